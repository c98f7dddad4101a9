"""Jobs: what can be said about one, and the definition that can be registered and triggered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, overload

from strait.authoring.definitions import Definition, TPayload
from strait.authoring.flow import dispatch
from strait.authoring.handlers import check_handler
from strait.authoring.plans import Plan, plan_job
from strait.authoring.recorded.values import BlobStore, Codec
from strait.authoring.registration import register_job
from strait.authoring.triggers import TriggerJobInput, batch_item, trigger_body
from strait.authoring.typed import payload_type, result_type
from strait.authoring.validation import Checks
from strait.cron import validate_job_cron, validate_timezone

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from strait.authoring.flow import Flow
    from strait.authoring.plans import DefinitionPlan
    from strait.authoring.registration import Names, Platform
    from strait.authoring.typed import DataType
    from strait.client import AsyncClient, Client
    from strait.errors import Json
    from strait.models import BulkTriggerResponse, Job, TriggerResult

# A handler takes the payload and a `RunContext` or `SyncRunContext`, and returns a value, or
# something to await; it is the user's own function, so its types are the user's.
Handler = Callable[..., Any]


@dataclass(slots=True)
class JobOptions(Generic[TPayload]):
    """Everything that can be said about a job; what is empty is left to the platform.

    Attributes:
        name: its name for people, at most 255 characters.
        slug: its name in the project, which registration finds it by.
        endpoint_url: where its runs are sent; needed unless `execution_mode` is `worker`, or
            the registration names another (`strait dev` does).
        project_id: the project that it belongs to.
        description: at most 2,000 characters.
        group_id: the group of jobs that it belongs to.
        tags: at most 20, which every run gets.
        environment_id: the environment whose variables and secrets it gets.
        cron: a schedule of 5 fields.
        timezone: the time zone of the schedule and of the execution window; UTC by default.
        execution_window_cron: the minutes in which runs may start; others wait for the next.
        max_concurrency: how many runs may execute at once; 0 is no limit.
        rate_limit_max: how many triggers are taken in `rate_limit_window_secs`.
        rate_limit_window_secs: see `rate_limit_max`.
        max_attempts: attempts in all, 1 to 100; 3 by default.
        retry_strategy: `exponential` (1, 2, 4 … s, the default), `linear` (1, 2, 3 … s), `fixed`
            (1 s) or `custom`; never more than an hour. The hosted platform of today keeps the word
            and applies `exponential` all the same.
        retry_delays_secs: delays of the `custom` strategy.
        timeout_secs: seconds for one attempt, up to a day; 300 by default.
        run_ttl_secs: seconds that a run may wait for its first dispatch.
        dedup_window_secs: a trigger with the same payload within these seconds gives the same
            run again.
        webhook_url: not taken by any platform; use `client.webhooks.create_subscription`.
        webhook_secret: another name of `endpoint_signing_secret`.
        fallback_endpoint_url: called when the endpoint cannot be reached.
        run: the handler, called with the payload and a `RunContext`; a plain function runs in a
            thread and gets a context whose methods block. A payload that is annotated with a
            model, a dataclass or a `TypedDict` is checked and made one of those.
        on_success: called with the payload, the result and the context after `run`.
        on_failure: called with the payload, the exception and the context when `run` raised.
        on_start: called with the payload and the context before `run`.
        payload_schema: a JSON schema that payloads must match; by default that of the model,
            the dataclass or the `TypedDict` that the payload of `run` is annotated with.
        result_schema: a JSON schema that results must match; the embedded platform fails an attempt
            whose result does not, others look at what `complete` is given only.
        enabled: whether it may be triggered; true by default.
        execution_mode: `http` (the default) or `worker`.
        queue_name: the queue of a `worker` job.
        endpoint_signing_secret: 16 to 4096 characters that dispatches are signed with.
        max_concurrency_per_key: like `max_concurrency`, for each concurrency key.
        retry_priority_boost: what a retry adds to the priority of its run, 0 to 10.
        poison_pill_threshold: after so many equal errors no attempt is made any more.
        version_policy: `pin`, `latest` or `minor`: which version of the job a queued run gets.
        default_run_metadata: metadata that every run starts with.
        cron_overlap_policy: `allow`, `skip` or `cancel_running`.
        cron_catchup: `skip` (the default), `last` or `all`: what becomes of ticks that no platform
            was there for. The embedded platform only.
        throttles: `[{"name": …, "key": …}]`, the throttles that its runs take from; see
            `client.throttles`. The embedded platform only.
        debounce_window_secs: triggers are gathered until so many seconds pass without one.
        batch_window_secs: triggers are gathered for so many seconds and run as one.
        batch_max_size: a batch of so many is run at once.
        on_complete_trigger_workflow: slug of a workflow that is run after a success.
        on_complete_trigger_job: slug of a job that is run after a success.
        on_complete_payload_mapping: `{key: path into the result}` for their payload.
        on_failure_trigger_job: slug of a job that is run when all attempts have failed.
        on_failure_trigger_workflow: slug of a workflow that is run then.
        on_failure_payload_mapping: like `on_complete_payload_mapping`.
        codec: seals what the handler's steps return; it stays with the host.
        blobs: keeps what steps return that is too large for a platform; it stays with the host.
        isolation: `process` has the host run the handler in a process of its own, which is killed
            at the timeout; by default it runs in the host's. It stays with the host.
    """

    name: str = ""
    slug: str = ""
    endpoint_url: str = ""
    project_id: str = ""
    description: str = ""
    group_id: str = ""
    tags: dict[str, str] | None = None
    environment_id: str = ""
    cron: str = ""
    timezone: str = ""
    execution_window_cron: str = ""
    max_concurrency: int | None = None
    rate_limit_max: int | None = None
    rate_limit_window_secs: int | None = None
    max_attempts: int | None = None
    retry_strategy: str = ""
    retry_delays_secs: list[int] | None = None
    timeout_secs: int | None = None
    run_ttl_secs: int | None = None
    dedup_window_secs: int | None = None
    webhook_url: str = ""
    webhook_secret: str = field(default="", repr=False)
    fallback_endpoint_url: str = ""
    run: Callable[[TPayload, Any], Any] | None = None
    on_success: Handler | None = None
    on_failure: Handler | None = None
    on_start: Handler | None = None
    payload_schema: Json | None = None
    result_schema: Json | None = None
    enabled: bool | None = None
    execution_mode: str = ""
    queue_name: str = ""
    endpoint_signing_secret: str = field(default="", repr=False)
    max_concurrency_per_key: int | None = None
    retry_priority_boost: int | None = None
    poison_pill_threshold: int | None = None
    version_policy: str = ""
    default_run_metadata: dict[str, str] | None = None
    cron_overlap_policy: str = ""
    cron_catchup: str = ""
    throttles: list[dict[str, str]] | None = None
    debounce_window_secs: int | None = None
    batch_window_secs: int | None = None
    batch_max_size: int | None = None
    on_complete_trigger_workflow: str = ""
    on_complete_trigger_job: str = ""
    on_complete_payload_mapping: Mapping[str, str] | None = None
    on_failure_trigger_job: str = ""
    on_failure_trigger_workflow: str = ""
    on_failure_payload_mapping: Mapping[str, str] | None = None
    codec: Codec | None = field(default=None, repr=False)
    blobs: BlobStore | None = field(default=None, repr=False)
    isolation: str = ""


_HANDLERS = ("run", "on_success", "on_failure", "on_start")
_NOT_SENT = {*_HANDLERS, "project_id", "webhook_url", "codec", "blobs", "isolation"}
_REQUIRED = ("project_id", "name", "slug")
_NUMBERS: dict[str, tuple[int, int | None]] = {
    "max_concurrency": (0, None),
    "rate_limit_max": (0, None),
    "rate_limit_window_secs": (0, None),
    "max_attempts": (1, 100),
    "timeout_secs": (1, 86_400),
    "run_ttl_secs": (0, None),
    "dedup_window_secs": (0, None),
    "max_concurrency_per_key": (0, None),
    "retry_priority_boost": (0, 10),
    "poison_pill_threshold": (1, None),
    "debounce_window_secs": (0, None),
    "batch_window_secs": (0, None),
    "batch_max_size": (0, None),
}
_WORDS = {
    "retry_strategy": ("exponential", "linear", "fixed", "custom"),
    "execution_mode": ("http", "worker"),
    "version_policy": ("pin", "latest", "minor"),
    "cron_overlap_policy": ("allow", "skip", "cancel_running"),
    "cron_catchup": ("skip", "last", "all"),
    "isolation": ("process",),
}


class JobDefinition(Definition, Generic[TPayload]):
    """A job as code: its options, its handler, and its way to the platform.

    Attributes:
        options: what it was defined with.
        run: the handler, or None if it lives elsewhere.
        on_success: see `JobOptions`.
        on_failure: see `JobOptions`.
        on_start: see `JobOptions`.
        payload_type: what the handler's payload is annotated with; None for just some JSON.
        result_type: what the handler is annotated to return; None for just some JSON.
    """

    kind: ClassVar[Literal["job"]] = "job"

    def __init__(self, opts: JobOptions[TPayload]) -> None:
        _check(opts)
        super().__init__(opts.slug)
        self.options = opts
        self.run = opts.run
        self.on_success = opts.on_success
        self.on_failure = opts.on_failure
        self.on_start = opts.on_start
        checks = Checks(f"define_job({opts.slug})")
        self.payload_type: DataType | None = opts.run and payload_type(opts.run, checks)
        self.result_type: DataType | None = opts.run and result_type(opts.run, checks)

    def parse_payload(self, payload: Json) -> Json:
        """Return a payload as the handler gets it: checked, and of the type it is annotated with.

        Raises:
            PayloadError: it does not fit; the text names the fields.
        """
        if self.payload_type is None:
            return payload
        return self.payload_type.load(payload, f"the payload of job `{self.slug}`")

    def to_registration_body(self, project_id: str = "", endpoint_url: str = "") -> dict[str, Json]:
        """Return the body that creates the job, in the platform's names.

        Args:
            project_id: the project, instead of the one in the options.
            endpoint_url: the endpoint, instead of the one in the options.

        Raises:
            DefinitionError: there is no project, or no endpoint for a job that needs one.
        """
        checks = Checks(f"define_job({self.slug})")
        project = project_id or self.options.project_id
        if not project:
            raise checks.refuse("requires `project_id`, in the options or at registration")
        body = {"project_id": project, **self.settings()}
        if endpoint_url:
            checks.url("endpoint_url", endpoint_url)
            body["endpoint_url"] = endpoint_url
        if "endpoint_url" not in body and self.options.execution_mode != "worker":
            raise checks.refuse("requires `endpoint_url`, in the options or at registration")
        return body

    def settings(self) -> dict[str, Json]:
        """Return the options that were given, in the platform's names, without the project."""
        given = (
            (option.name, getattr(self.options, option.name)) for option in fields(self.options)
        )
        said = {
            name: value for name, value in given if name not in _NOT_SENT and not _left_out(value)
        }
        if self.payload_type is not None:
            said.setdefault("payload_schema", self.payload_type.payload_schema())
        return said

    def registration(self, names: Names) -> Flow[Json]:
        """Register with the client and the project of `names`; part of a larger registration."""
        body = self.to_registration_body(names.project_id)
        return (yield from self._register(names.client, body))

    def planning(self, names: Names) -> Flow[list[DefinitionPlan]]:
        """Say what `registration` would do."""
        return [(yield from plan_job(names.client, self.to_registration_body(names.project_id)))]

    def _plan(self, client: Platform, body: dict[str, Json]) -> Flow[Plan]:
        return Plan(((yield from plan_job(client, body)),))

    def _register(self, client: Platform, body: dict[str, Json]) -> Flow[Json]:
        found = yield from register_job(client, body)
        self.id = found["id"]
        return found

    @overload
    def register(
        self, client: AsyncClient, project_id: str = "", *, endpoint_url: str = ""
    ) -> Awaitable[Job]: ...

    @overload
    def register(self, client: Client, project_id: str = "", *, endpoint_url: str = "") -> Job: ...

    def register(
        self, client: Client | AsyncClient, project_id: str = "", *, endpoint_url: str = ""
    ) -> Job | Awaitable[Job]:
        """Create the job on the platform, or change there what differs.

        Registering again changes nothing, except that a signing secret is sent each time,
        because the platform never shows which one it has.

        Args:
            client: a `Client`, or an `AsyncClient`, whose answer is to be awaited.
            project_id: the project, instead of the one in the options; without either, the
                project of the client.
            endpoint_url: the endpoint, instead of the one in the options.

        Returns:
            The platform's job.

        Raises:
            DefinitionError: there is no project, or no endpoint for a job that needs one.
        """
        project = project_id or self.options.project_id or client.project_id
        body = self.to_registration_body(project, endpoint_url)
        return dispatch(client, self._register(client, body))

    @overload
    def plan(
        self, client: AsyncClient, project_id: str = "", *, endpoint_url: str = ""
    ) -> Awaitable[Plan]: ...

    @overload
    def plan(self, client: Client, project_id: str = "", *, endpoint_url: str = "") -> Plan: ...

    def plan(
        self, client: Client | AsyncClient, project_id: str = "", *, endpoint_url: str = ""
    ) -> Plan | Awaitable[Plan]:
        """Say what `register`, with the same arguments, would create or change; change nothing.

        Raises:
            DefinitionError: there is no project, or no endpoint for a job that needs one.
        """
        project = project_id or self.options.project_id or client.project_id
        body = self.to_registration_body(project, endpoint_url)
        return dispatch(client, self._plan(client, body))

    @overload
    def trigger(
        self, client: AsyncClient, input: TriggerJobInput[TPayload]
    ) -> Awaitable[TriggerResult]: ...

    @overload
    def trigger(self, client: Client, input: TriggerJobInput[TPayload]) -> TriggerResult: ...

    def trigger(
        self, client: Client | AsyncClient, input: TriggerJobInput[TPayload]
    ) -> TriggerResult | Awaitable[TriggerResult]:
        """Start a run of the job.

        Raises:
            DefinitionError: the job's id is not known, or the input cannot be.
        """
        job_id = self._job_id(input.job_id, "trigger")
        body = trigger_body(self.slug, input)
        key = input.idempotency_key
        if key:
            return client.jobs.trigger(job_id, body, idempotency_key=key)
        return client.jobs.trigger(job_id, body)

    @overload
    def batch_trigger(
        self, client: AsyncClient, items: list[TriggerJobInput[TPayload]], job_id: str = ""
    ) -> Awaitable[BulkTriggerResponse]: ...

    @overload
    def batch_trigger(
        self, client: Client, items: list[TriggerJobInput[TPayload]], job_id: str = ""
    ) -> BulkTriggerResponse: ...

    def batch_trigger(
        self,
        client: Client | AsyncClient,
        items: list[TriggerJobInput[TPayload]],
        job_id: str = "",
    ) -> BulkTriggerResponse | Awaitable[BulkTriggerResponse]:
        """Start up to 500 runs of the job with one request.

        Raises:
            DefinitionError: the job's id is not known, or an item cannot be.
        """
        known = self._job_id(job_id, "batch_trigger")
        body = {"items": [batch_item(self.slug, item) for item in items]}
        return client.jobs.bulk_trigger(known, body)

    def _job_id(self, given: str, operation: str) -> str:
        known = given or self.id
        if not known:
            raise Checks(f"define_job({self.slug})").refuse(
                f"{operation} requires `job_id` or prior successful `register()`"
            )
        return known


def define_job(opts: JobOptions[TPayload]) -> JobDefinition[TPayload]:
    """Define a job.

    Raises:
        DefinitionError: an option cannot work; the text names it.
    """
    return JobDefinition(opts)


def _left_out(value: object) -> bool:
    """Say whether an option was not given; zero and False were."""
    return value is None or value == "" or (isinstance(value, (dict, list)) and not value)


def _check(opts: JobOptions[TPayload]) -> None:
    checks = Checks(f"define_job({opts.slug})")
    checks.text("name", opts.name)
    checks.text("slug", opts.slug, longest=128)
    checks.text("description", opts.description, longest=2000, shortest=0)
    for name in ("endpoint_url", "fallback_endpoint_url"):
        if getattr(opts, name):
            checks.url(name, getattr(opts, name))
    for name, (least, most) in _NUMBERS.items():
        checks.number(name, getattr(opts, name), least=least, most=most)
    for name, words in _WORDS.items():
        if getattr(opts, name):
            checks.one_of(name, getattr(opts, name), words)
    for name in ("cron", "execution_window_cron"):
        checks.cron(name, validate_job_cron, getattr(opts, name))
    checks.cron("timezone", validate_timezone, opts.timezone)
    checks.texts("tags", opts.tags)
    for name in ("payload_schema", "result_schema", "default_run_metadata"):
        checks.json(name, getattr(opts, name))
    for name in _HANDLERS:
        if getattr(opts, name) is not None:
            check_handler(checks, name, getattr(opts, name))
    _check_delays(checks, opts.retry_delays_secs)
    _check_secrets(checks, opts)
    _check_combinations(checks, opts)


def _check_delays(checks: Checks, delays: Sequence[int] | None) -> None:
    for index, delay in enumerate(delays or ()):
        checks.number(f"retry_delays_secs[{index}]", delay)


def _check_secrets(checks: Checks, opts: JobOptions[TPayload]) -> None:
    for name in ("webhook_secret", "endpoint_signing_secret"):
        length = len(getattr(opts, name))
        if length and not 16 <= length <= 4096:
            # The secret itself is never part of a text.
            raise checks.refuse(f"`{name}` must have 16 to 4096 characters, not {length}")
    if opts.webhook_secret and opts.endpoint_signing_secret:
        raise checks.refuse(
            "`webhook_secret` is another name of `endpoint_signing_secret`; give one of them"
        )


def _check_combinations(checks: Checks, opts: JobOptions[TPayload]) -> None:
    if opts.webhook_url:
        raise checks.refuse(
            "`webhook_url` is not something that a platform takes with a job; "
            "subscribe with `client.webhooks.create_subscription`"
        )
    if opts.rate_limit_max and not opts.rate_limit_window_secs:
        raise checks.refuse(
            "`rate_limit_max` needs `rate_limit_window_secs`: in how many seconds so many are taken"
        )
    if opts.debounce_window_secs and opts.batch_window_secs:
        raise checks.refuse("`debounce_window_secs` and `batch_window_secs` exclude each other")

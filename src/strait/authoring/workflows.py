"""Workflows: what can be said about one, and the definition that can be registered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, overload

from strait.authoring.definitions import Definition, TPayload
from strait.authoring.flow import dispatch
from strait.authoring.graph import validate_dag
from strait.authoring.jobs import Handler
from strait.authoring.picture import to_mermaid, to_svg
from strait.authoring.plans import Plan, plan_held, plan_workflow
from strait.authoring.registration import Names, register_workflow
from strait.authoring.steps import Step, step_to_api
from strait.authoring.triggers import TriggerWorkflowInput, workflow_trigger_body
from strait.authoring.validation import Checks
from strait.cron import validate_timezone, validate_workflow_cron
from strait.errors import DagValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Container

    from strait.authoring.flow import Flow
    from strait.authoring.plans import DefinitionPlan
    from strait.client import AsyncClient, Client
    from strait.errors import Json
    from strait.models import WorkflowResponse, WorkflowRun


@dataclass(slots=True)
class WorkflowOptions(Generic[TPayload]):
    """Everything that can be said about a workflow; what is empty is left to the platform.

    The fields that end this list from `environment_id` on belong to published clients. No
    platform takes them with a workflow, so giving one is an error that says what to use.

    Attributes:
        name: its name for people, at most 255 characters.
        slug: its name in the project, which registration finds it by.
        steps: what it consists of; they must form a directed acyclic graph.
        project_id: the project that it belongs to.
        description: at most 2,000 characters.
        tags: at most 20, which every run gets.
        max_concurrent_runs: how many runs there may be at once; 0 is no limit.
        max_parallel_steps: how many steps of one run may run at once; 0 is no limit.
        timeout_secs: seconds until a run times out; 0 is never.
        cron: a schedule of 5 fields, or a descriptor such as `@daily`.
        timezone: the time zone of the schedule; UTC by default.
        enabled: whether it may be triggered; true by default.
        cron_catchup: `skip` (the default), `last` or `all`: what becomes of ticks that no platform
            was there for. The embedded platform only.
        skip_if_running: do not start it by schedule while a run goes on.
        version_policy: `pin`, `latest` or `minor`.
        environment_id: belongs to jobs.
        max_attempts: belongs to jobs; a step has `retry_max_attempts`.
        retry_strategy: belongs to jobs; a step has `retry_backoff`.
        webhook_url: subscribe with `client.webhooks.create_subscription`.
        webhook_secret: the subscription has its own.
        run: a workflow has no handler; the jobs of its steps do.
        on_success: follow `workflow.completed` with a webhook subscription.
        on_failure: follow `workflow.failed` with a webhook subscription.
        payload_type: the model, dataclass or `TypedDict` that payloads are; it is not sent, and
            lets `check` look into templates.
    """

    name: str = ""
    slug: str = ""
    steps: list[Step] = field(default_factory=list)
    project_id: str = ""
    description: str = ""
    tags: dict[str, str] | None = None
    environment_id: str = ""
    max_concurrent_runs: int | None = None
    max_parallel_steps: int | None = None
    timeout_secs: int | None = None
    max_attempts: int | None = None
    retry_strategy: str = ""
    cron: str = ""
    timezone: str = ""
    webhook_url: str = ""
    webhook_secret: str = field(default="", repr=False)
    run: Handler | None = None
    on_success: Handler | None = None
    on_failure: Handler | None = None
    enabled: bool | None = None
    skip_if_running: bool | None = None
    version_policy: str = ""
    payload_type: type[TPayload] | None = None
    cron_catchup: str = ""


# Option -> the platform's name of it.
_WIRE = {
    "name": "name",
    "slug": "slug",
    "description": "description",
    "tags": "tags",
    "enabled": "enabled",
    "timeout_secs": "timeout_secs",
    "max_concurrent_runs": "max_concurrent_runs",
    "max_parallel_steps": "max_parallel_steps",
    "cron": "cron",
    "timezone": "cron_timezone",
    "cron_catchup": "cron_catchup",
    "skip_if_running": "skip_if_running",
    "version_policy": "version_policy",
}
_NOT_TAKEN = {
    "environment_id": "give it to the jobs of the steps",
    "max_attempts": "give the steps `retry_max_attempts`, or their jobs `max_attempts`",
    "retry_strategy": "give the steps `retry_backoff`",
    "webhook_url": "subscribe with `client.webhooks.create_subscription`",
    "webhook_secret": "a webhook subscription has its own secret",
    "run": "a workflow has no handler, the jobs of its steps do",
    "on_success": "subscribe to `workflow.completed` with `client.webhooks.create_subscription`",
    "on_failure": "subscribe to `workflow.failed` with `client.webhooks.create_subscription`",
}


class WorkflowDefinition(Definition, Generic[TPayload]):
    """A workflow as code: its options, its steps, and its way to the platform.

    Attributes:
        options: what it was defined with.
        steps: its steps, in the order given.
        order: the names of the steps, each after all that it depends on.
    """

    kind: ClassVar[Literal["workflow"]] = "workflow"

    def __init__(self, opts: WorkflowOptions[TPayload]) -> None:
        _check(opts)
        super().__init__(opts.slug)
        self.options = opts
        self.steps = list(opts.steps)
        try:
            self.order = validate_dag(self.steps)
        except DagValidationError as error:
            raise DagValidationError(
                f"define_workflow({opts.slug}): {error}",
                cycles=error.cycles,
                missing_refs=error.missing_refs,
                duplicate_refs=error.duplicate_refs,
            ) from None

    def to_registration_body(self, project_id: str = "") -> dict[str, Json]:
        """Return the body that creates the workflow, in the platform's names.

        Its steps name jobs and workflows as they were named here; `register` puts the ids.

        Args:
            project_id: the project, instead of the one in the options.

        Raises:
            DefinitionError: there is no project.
        """
        project = project_id or self.options.project_id
        if not project:
            raise Checks(f"define_workflow({self.slug})").refuse(
                "requires `project_id`, in the options or at registration"
            )
        return {"project_id": project, **self.settings()}

    def settings(self) -> dict[str, Json]:
        """Return what was given, in the platform's names, without the project."""
        given = ((wire, getattr(self.options, name)) for name, wire in _WIRE.items())
        said = {wire: value for wire, value in given if value not in (None, "", {})}
        return {**said, "steps": [step_to_api(step) for step in self.steps]}

    def to_mermaid(self) -> str:
        """Return the steps as a Mermaid flowchart; dotted arrows lead to conditional steps."""
        return to_mermaid(self.steps)

    def to_svg(self) -> str:
        """Return the steps as an SVG picture."""
        return to_svg(self.steps, self.order)

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        """Show the picture in notebooks."""
        return {"text/plain": repr(self), "image/svg+xml": self.to_svg()}

    def registration(self, names: Names) -> Flow[Json]:
        """Register with the client and the project of `names`; part of a larger registration."""
        body = self.to_registration_body(names.project_id)
        yield from names.register_held(self.steps)
        yield from names.resolve(self.slug, body["steps"])
        found = yield from register_workflow(names.client, body)
        self.id = found["id"]
        return found

    def planning(self, names: Names) -> Flow[list[DefinitionPlan]]:
        """Say what `registration` would do, with this workflow and with what its steps hold."""
        body = self.to_registration_body(names.project_id)
        held = yield from plan_held(names, self.steps)
        yield from names.resolve(self.slug, body["steps"])
        return [*held, (yield from plan_workflow(names.client, body))]

    @overload
    def register(
        self,
        client: AsyncClient,
        project_id: str = "",
        *,
        job_ids: dict[str, str] | None = None,
        workflow_ids: dict[str, str] | None = None,
    ) -> Awaitable[WorkflowResponse]: ...

    @overload
    def register(
        self,
        client: Client,
        project_id: str = "",
        *,
        job_ids: dict[str, str] | None = None,
        workflow_ids: dict[str, str] | None = None,
    ) -> WorkflowResponse: ...

    def register(
        self,
        client: Client | AsyncClient,
        project_id: str = "",
        *,
        job_ids: dict[str, str] | None = None,
        workflow_ids: dict[str, str] | None = None,
    ) -> WorkflowResponse | Awaitable[WorkflowResponse]:
        """Create the workflow on the platform, or change there what differs.

        The ids of jobs and workflows that steps name by slug are looked up; those that steps
        hold as definitions are registered first. Registering again changes nothing.

        Args:
            client: a `Client`, or an `AsyncClient`, whose answer is to be awaited.
            project_id: the project, instead of the one in the options; without either, the
                project of the client.
            job_ids: ids of jobs that are known already, by slug; what is found is added.
            workflow_ids: the same for workflows.

        Returns:
            The platform's workflow.

        Raises:
            DefinitionError: there is no project, or a step names what the project does not have.
        """
        project = project_id or self.options.project_id or client.project_id
        names = Names(client, project, job_ids, workflow_ids)
        return dispatch(client, self.registration(names))

    @overload
    def plan(self, client: AsyncClient, project_id: str = "") -> Awaitable[Plan]: ...

    @overload
    def plan(self, client: Client, project_id: str = "") -> Plan: ...

    def plan(self, client: Client | AsyncClient, project_id: str = "") -> Plan | Awaitable[Plan]:
        """Say what `register` would create or change, and change nothing.

        Raises:
            DefinitionError: there is no project, or a step names what the project does not have.
        """
        project = project_id or self.options.project_id or client.project_id
        return dispatch(client, self._plan(Names(client, project)))

    def _plan(self, names: Names) -> Flow[Plan]:
        return Plan(tuple((yield from self.planning(names))))

    @overload
    def trigger(
        self, client: AsyncClient, input: TriggerWorkflowInput[TPayload]
    ) -> Awaitable[WorkflowRun]: ...

    @overload
    def trigger(self, client: Client, input: TriggerWorkflowInput[TPayload]) -> WorkflowRun: ...

    def trigger(
        self, client: Client | AsyncClient, input: TriggerWorkflowInput[TPayload]
    ) -> WorkflowRun | Awaitable[WorkflowRun]:
        """Start a run of the workflow.

        Raises:
            DefinitionError: the workflow's id is not known, or the input cannot be.
        """
        known = input.workflow_id or self.id
        if not known:
            raise Checks(f"define_workflow({self.slug})").refuse(
                "trigger requires `workflow_id` or prior successful `register()`"
            )
        body = workflow_trigger_body(self.slug, input)
        key = input.idempotency_key
        if key:
            return client.workflows.trigger(known, body, idempotency_key=key)
        return client.workflows.trigger(known, body)


def define_workflow(opts: WorkflowOptions[TPayload]) -> WorkflowDefinition[TPayload]:
    """Define a workflow.

    Raises:
        DefinitionError: an option cannot work; the text names it.
        DagValidationError: the steps do not form a directed acyclic graph; the text names them.
    """
    return WorkflowDefinition(opts)


def _check(opts: WorkflowOptions[TPayload]) -> None:
    checks = Checks(f"define_workflow({opts.slug})")
    checks.text("name", opts.name)
    checks.text("slug", opts.slug)
    checks.text("description", opts.description, longest=2000, shortest=0)
    checks.texts("tags", opts.tags)
    for name in ("max_concurrent_runs", "max_parallel_steps", "timeout_secs"):
        checks.number(name, getattr(opts, name))
    checks.cron("cron", validate_workflow_cron, opts.cron)
    checks.cron("timezone", validate_timezone, opts.timezone)
    if opts.version_policy:
        checks.one_of("version_policy", opts.version_policy, ("pin", "latest", "minor"))
    for name, instead in _NOT_TAKEN.items():
        if getattr(opts, name):
            raise checks.refuse(f"`{name}` is nothing that a platform takes here: {instead}")
    if len(opts.steps) > 1000:
        raise checks.refuse(f"`steps` has {len(opts.steps)} entries; at most 1000 may be")
    for index, step in enumerate(opts.steps):
        if not isinstance(step, Step):
            raise checks.refuse(f"`steps[{index}]` must be a step, not {step!r}")

"""How definitions get onto a platform: found by slug, created, or changed where they differ.

Everything here is a flow (see `flow`), so it serves synchronous and asynchronous clients.
Registering twice changes nothing the second time, except where a signing secret is given: the
platform never shows it, so it is sent each time rather than left to differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

from strait.authoring.flow import Flow, as_json, items_of, next_cursor
from strait.authoring.steps import held_by
from strait.authoring.validation import Checks
from strait.errors import ConflictError, HttpError

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence

    from strait.authoring.steps import Step
    from strait.errors import Json

    ListPage: TypeAlias = Callable[[dict[str, str]], object]

_PAGE = 100
# What a request calls `queue_name` is `queue` in the answer.
_READ_AS = {"queue_name": "queue"}
SECRETS = ("endpoint_signing_secret", "webhook_secret")
# What the platform writes where a step says nothing.
_STEP_DEFAULTS = {
    "step_type": "job",
    "on_failure": "fail_workflow",
    "retry_backoff": "exponential",
    "resource_class": "small",
}
_STEP_READ_ONLY = ("id", "workflow_id", "created_at")
_NO_SUCH_THING = (400, 404)


class _Resource(Protocol):
    """The operations of a service that registration uses; `client.jobs` and `.workflows`."""

    def get(self, id: str, /) -> object: ...
    def create(self, body: dict[str, Json], /) -> object: ...
    def update(self, id: str, body: dict[str, Json], /) -> object: ...


class _Jobs(_Resource, Protocol):
    def list(self, *, slug: str, limit: int, cursor: str | None = None) -> object: ...


class _Workflows(_Resource, Protocol):
    def list(self, *, limit: int, cursor: str | None = None) -> object: ...


class Platform(Protocol):
    """What registration needs of a client."""

    @property
    def jobs(self) -> _Jobs:
        """The operations on jobs."""
        ...

    @property
    def workflows(self) -> _Workflows:
        """The operations on workflows."""
        ...


def register_job(client: Platform, body: dict[str, Json]) -> Flow[Json]:
    """Create a job, or change what differs; returns the platform's job."""
    found = yield from find_job(client, body["slug"])
    if found is None:
        try:
            created = yield lambda: client.jobs.create(body)
            return (yield from _complete(client, created, body))
        except ConflictError:
            # Somebody registered it at the same time.
            found = yield from find_job(client, body["slug"])
            if found is None:
                raise
    changes = job_changes(as_json(found), body)
    if not changes:
        return found
    return (yield lambda: client.jobs.update(found["id"], changes))


def _complete(client: Platform, created: Json, body: dict[str, Json]) -> Flow[Json]:
    """Change what creating a job cannot say: a `retry_priority_boost` of 0 is 1 there."""
    has = as_json(created)
    changes = job_changes(has, body)
    missed = {name: value for name, value in changes.items() if shown(has, name)}
    if not missed:
        return created
    return (yield lambda: client.jobs.update(created["id"], missed))


def register_workflow(client: Platform, body: dict[str, Json]) -> Flow[Json]:
    """Create a workflow, or change what differs; returns the platform's workflow.

    The steps in the body must have ids; `Names.resolve` puts them.
    """
    found = yield from _find_workflow(client, body["slug"])
    if found is None:
        try:
            return (yield lambda: client.workflows.create(body))
        except ConflictError:
            found = yield from _find_workflow(client, body["slug"])
            if found is None:
                raise
    whole = yield from _whole(client, found)
    changes = workflow_changes(as_json(whole), body)
    if not changes:
        return whole
    return (yield lambda: client.workflows.update(found["id"], changes))


class Names:
    """Finds the ids of the jobs and workflows that steps name.

    Args:
        client: the client.
        project_id: the project that definitions in steps are registered in.
        job_ids: ids that are known already, by slug; what is found is added.
        workflow_ids: the same for workflows.
    """

    def __init__(
        self,
        client: Platform,
        project_id: str,
        job_ids: MutableMapping[str, str] | None = None,
        workflow_ids: MutableMapping[str, str] | None = None,
    ) -> None:
        self.client = client
        self.project_id = project_id
        self.job_ids = {} if job_ids is None else job_ids
        self.workflow_ids = {} if workflow_ids is None else workflow_ids

    def register_held(self, steps: Sequence[Step]) -> Flow[None]:
        """Register the jobs and workflows that steps hold as definitions."""
        for definition in held_by(steps):
            known = self.job_ids if definition.kind == "job" else self.workflow_ids
            if definition.slug not in known:
                found = yield from definition.registration(self)
                known[definition.slug] = found["id"]

    def resolve(self, slug: str, bodies: Sequence[dict[str, Json]]) -> Flow[None]:
        """Put ids into the wire form of the steps of a workflow.

        Raises:
            DefinitionError: a step names something that the project does not have.
        """
        for body in bodies:
            checks = Checks(f"workflow `{slug}`, step `{body['step_ref']}`")
            for field in ("job_id", "compensation_job_id"):
                if field in body:
                    body[field] = yield from self._job(checks, field, body[field])
            if "sub_workflow_id" in body:
                body["sub_workflow_id"] = yield from self._workflow(checks, body["sub_workflow_id"])

    def _job(self, checks: Checks, field: str, name: str) -> Flow[str]:
        if name not in self.job_ids:
            found = yield from find_job(self.client, name)
            if found is None:
                found = yield from _get(lambda: self.client.jobs.get(name))
            if found is None:
                raise checks.refuse(f"`{field}` names {name!r}, {_unknown('job')}")
            self.job_ids[name] = found["id"]
        return self.job_ids[name]

    def _workflow(self, checks: Checks, name: str) -> Flow[str]:
        if name not in self.workflow_ids:
            found = yield from _find_workflow(self.client, name)
            if found is None:
                found = yield from _get(lambda: self.client.workflows.get(name))
            if found is None:
                raise checks.refuse(f"`sub_workflow_id` names {name!r}, {_unknown('workflow')}")
            self.workflow_ids[name] = found["id"]
        return self.workflow_ids[name]


def _unknown(kind: str) -> str:
    return (
        f"which is neither the slug nor the id of a {kind} of this project; "
        f"register the {kind} first, or give its definition"
    )


def find_job(client: Platform, slug: str) -> Flow[Json]:
    """Return the job with a slug; None if the project has none."""
    return (yield from _find(slug, lambda page: client.jobs.list(slug=slug, limit=_PAGE, **page)))


def find_whole_workflow(client: Platform, slug: str) -> Flow[Json]:
    """Return the workflow with a slug and its steps; None if the project has none."""
    found = yield from _find_workflow(client, slug)
    return found if found is None else (yield from _whole(client, found))


def _whole(client: Platform, found: Json) -> Flow[Json]:
    # The list shows no steps.
    return (yield lambda: client.workflows.get(found["id"]))


def _find_workflow(client: Platform, slug: str) -> Flow[Json]:
    # The list of workflows cannot be asked for a slug.
    return (yield from _find(slug, lambda page: client.workflows.list(limit=_PAGE, **page)))


def _find(slug: str, list_page: ListPage) -> Flow[Json]:
    """Go through the pages of a list until there is one with this slug."""
    where: dict[str, str] = {}
    while True:
        page = yield partial(list_page, where)
        for row in items_of(page):
            if row["slug"] == slug:
                return row
        following = next_cursor(page)
        if not following or following == where.get("cursor"):
            return None
        where = {"cursor": following}


def _get(call: Callable[[], object]) -> Flow[Json]:
    """Make a call that gets something by its id; None if there is no such thing."""
    try:
        return (yield call)
    except HttpError as error:
        if error.status in _NO_SUCH_THING:
            return None
        raise


def job_changes(existing: Mapping[str, Json], wanted: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fields of a job that are to be changed; what is not wanted stays as it is."""
    return {
        name: value
        for name, value in wanted.items()
        if name != "project_id" and (name in SECRETS or not _same(shown(existing, name), value))
    }


def shown(existing: Mapping[str, Json], name: str) -> Json:
    """Return a field of a job by the name that requests call it by."""
    return existing.get(_READ_AS.get(name, name))


def workflow_changes(existing: Mapping[str, Json], wanted: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fields of a workflow that are to be changed; its steps are replaced as a whole."""
    changes = {
        name: value
        for name, value in wanted.items()
        if name not in ("project_id", "steps") and not _same(existing.get(name), value)
    }
    if normal_steps(existing.get("steps") or ()) != normal_steps(wanted["steps"]):
        changes["steps"] = wanted["steps"]
    return changes


def _same(existing: Json, wanted: Json) -> bool:
    """Compare a value with what the platform shows, which leaves out what is empty or zero."""
    return bool(existing == wanted or (not existing and not wanted))


def normal_steps(steps: Iterable[Mapping[str, Json]]) -> dict[str, dict[str, Json]]:
    """Return steps by name, with defaults filled in and without what says nothing."""
    return {step["step_ref"]: _normal_step(step) for step in steps}


def _normal_step(step: Mapping[str, Json]) -> dict[str, Json]:
    said = {name: value for name, value in step.items() if value not in (None, "", 0, [], {})}
    for name in _STEP_READ_ONLY:
        said.pop(name, None)
    said = {**_STEP_DEFAULTS, **said}
    said["depends_on"] = sorted(set(said.get("depends_on", ())))
    return said

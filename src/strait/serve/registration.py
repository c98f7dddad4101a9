"""Registering everything that a host has, with the host's own addresses: what `strait dev` does.

It works from a `Manifest`, which is plain JSON, so that the process that registers need not
import what it registers.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from strait.authoring.definitions import Definition
from strait.authoring.flow import Flow, dispatch
from strait.authoring.plans import DefinitionPlan, Plan, plan_job, plan_workflow
from strait.authoring.registration import Names, register_job, register_workflow
from strait.authoring.validation import Checks
from strait.dag import DagError, topological_order
from strait.errors import ConfigurationError
from strait.serve.core import job_url
from strait.serve.manifest import JobEntry, Manifest, WorkflowEntry

if TYPE_CHECKING:
    from strait.client import AsyncClient, Client
    from strait.errors import Json


@dataclass(frozen=True, slots=True)
class Override:
    """Something that a definition says and the registration said otherwise.

    Attributes:
        kind: `job` or `workflow`.
        slug: which one.
        field: the platform's name of the field.
        said: what the definition says.
        used: what was registered.
    """

    kind: str
    slug: str
    field: str
    said: str
    used: str

    def __str__(self) -> str:
        return f"{self.kind} `{self.slug}`: {self.field} is {self.used}, not {self.said}"


@dataclass(slots=True)
class RegistrationReport:
    """What was registered.

    Attributes:
        jobs: ids by slug.
        workflows: ids by slug.
        overrides: where the registration went past the definitions.
    """

    jobs: dict[str, str] = field(default_factory=dict)
    workflows: dict[str, str] = field(default_factory=dict)
    overrides: list[Override] = field(default_factory=list)


def register_all(
    client: Client | AsyncClient,
    definitions: Manifest | Iterable[Definition],
    *,
    base_url_of_handlers: str,
    project_id: str,
    signing_secret: str = "",
) -> RegistrationReport | Awaitable[RegistrationReport]:
    """Register jobs, then workflows in the order in which they need each other.

    Args:
        client: a `Client`, or an `AsyncClient`, whose answer is to be awaited.
        definitions: what to register, or its manifest.
        base_url_of_handlers: where the host is reached; jobs that it hosts get an address there.
        project_id: the project, instead of the one in the definitions.
        signing_secret: the secret that dispatches to the host are signed with.

    Raises:
        ConfigurationError: `project_id` is empty.
        DefinitionError: a job has neither a handler nor an endpoint, a step names what the
            project does not have, or workflows run each other in a circle.
    """
    manifest = definitions if isinstance(definitions, Manifest) else Manifest.of(definitions)
    target = _Target(base_url_of_handlers, project_id, signing_secret)
    return dispatch(client, _register(Names(client, project_id), manifest, target))


def plan_all(
    client: Client | AsyncClient,
    definitions: Manifest | Iterable[Definition],
    *,
    base_url_of_handlers: str,
    project_id: str,
    signing_secret: str = "",
) -> Plan | Awaitable[Plan]:
    """Say what `register_all`, with the same arguments, would do; change nothing.

    Raises:
        ConfigurationError: as `register_all` does.
        DefinitionError: as it does.
    """
    manifest = definitions if isinstance(definitions, Manifest) else Manifest.of(definitions)
    target = _Target(base_url_of_handlers, project_id, signing_secret)
    return dispatch(client, _plan(Names(client, project_id), manifest, target))


@dataclass(frozen=True, slots=True)
class _Target:
    base_url: str
    project_id: str
    signing_secret: str

    def __post_init__(self) -> None:
        if not self.project_id:
            raise ConfigurationError(
                "`project_id` is empty, so nothing can be registered: give the id of a project, or "
                "set `STRAIT_PROJECT`, or `project.id` in strait.json, for `client.project_id`"
            )


def _register(names: Names, manifest: Manifest, target: _Target) -> Flow[RegistrationReport]:
    report = RegistrationReport()
    for job in manifest.jobs:
        body = _job_body(job, target)
        report.overrides += _overrides("job", job.slug, job.project_id, job.settings, body)
        found = yield from register_job(names.client, body)
        report.jobs[job.slug] = names.job_ids[job.slug] = found["id"]
    for workflow in _in_order(manifest.workflows):
        # The steps get ids, and the manifest stays as it was.
        settings = copy.deepcopy(workflow.settings)
        body = {**settings, "project_id": target.project_id}
        report.overrides += _overrides(
            "workflow", workflow.slug, workflow.project_id, workflow.settings, body
        )
        yield from names.resolve(workflow.slug, body["steps"])
        found = yield from register_workflow(names.client, body)
        report.workflows[workflow.slug] = names.workflow_ids[workflow.slug] = found["id"]
    return report


def _plan(names: Names, manifest: Manifest, target: _Target) -> Flow[Plan]:
    plans: list[DefinitionPlan] = []
    for job in manifest.jobs:
        plans.append((yield from plan_job(names.client, _job_body(job, target))))
        names.job_ids[job.slug] = plans[-1].id or f"(id of new job {job.slug})"
    for workflow in _in_order(manifest.workflows):
        body = {**copy.deepcopy(workflow.settings), "project_id": target.project_id}
        yield from names.resolve(workflow.slug, body["steps"])
        plans.append((yield from plan_workflow(names.client, body)))
        new = f"(id of new workflow {workflow.slug})"
        names.workflow_ids[workflow.slug] = plans[-1].id or new
    return Plan(tuple(plans))


def _job_body(job: JobEntry, target: _Target) -> dict[str, Json]:
    body = {**job.settings, "project_id": target.project_id}
    for_workers = body.get("execution_mode") == "worker"
    if job.hosted:
        if not for_workers:
            body["endpoint_url"] = job_url(target.base_url, job.slug)
            # It may have been given to workers before, which it then would wait for.
            body["execution_mode"] = "http"
        if target.signing_secret:
            body["endpoint_signing_secret"] = target.signing_secret
    elif "endpoint_url" not in body and not for_workers:
        raise Checks(f"job `{job.slug}`").refuse(
            "has neither a handler (`run`) nor an `endpoint_url`; give it one of them"
        )
    return body


def _overrides(
    kind: str, slug: str, project: str, settings: Mapping[str, Json], body: Mapping[str, Json]
) -> list[Override]:
    said = {"project_id": project, "endpoint_url": settings.get("endpoint_url", "")}
    return [
        Override(kind, slug, name, value, body[name])
        for name, value in said.items()
        if value and body.get(name) != value
    ]


def _in_order(workflows: Iterable[WorkflowEntry]) -> list[WorkflowEntry]:
    """Return the workflows so that each comes after those that its steps run."""
    by_slug = {workflow.slug: workflow for workflow in workflows}
    runs = {
        slug: [
            step["sub_workflow_id"]
            for step in workflow.settings["steps"]
            if step.get("sub_workflow_id") in by_slug
        ]
        for slug, workflow in by_slug.items()
    }
    try:
        return [by_slug[slug] for slug in topological_order(runs)]
    except DagError as fault:
        raise Checks("workflows").refuse(f"run each other in a circle: {fault}") from None

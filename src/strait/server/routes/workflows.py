"""Workflow definitions: create, change, trigger (`contract/workflows.md` §1, §4.1-4.2)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from msgspec import UNSET, Raw, json
from msgspec.structs import replace

from strait import ids
from strait.engine.model import StepDefinition, Workflow
from strait.engine.refusal import Refused
from strait.engine.workflows import definitions
from strait.engine.workflows.policies import policy_violation
from strait.server import addresses, checks, within
from strait.server._generated import bodies
from strait.server.addresses import Reach
from strait.server.errors import ApiError, not_found
from strait.server.http import NO_CONTENT, Call, Reply, page, reply
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.routes.triggers import trace
from strait.server.unit import Unit
from strait.server.work import budgets, canaries, schedules, workflow_policies, workflow_starts
from strait.store import jobs, records, workflow_runs, workflows

registry = Registry()

Steps = tuple[StepDefinition, ...]
_PLAIN = (
    "name", "slug", "description", "enabled", "timeout_secs", "max_concurrent_runs",
    "max_parallel_steps", "cron", "cron_timezone", "cron_catchup",
    "skip_if_running", "version_policy", "backwards_compatible",
)  # fmt: skip


@registry.write("create-workflow")
def create(call: Call, unit: Unit) -> Reply:
    """Make a workflow."""
    body = call.body(bodies.CreateWorkflowRequest)
    if body.project_id != call.project_id:
        raise not_found("workflow")
    requested = body.steps or []
    _check_steps(call, unit, requested)
    unit.tick()
    workflow = Workflow(
        id=unit.new_id(),
        project_id=body.project_id,
        name=body.name,
        slug=body.slug,
        enabled=True,
        version=1,
        version_id=ids.version_id(),
        version_policy="pin",
        created_by=call.principal.actor,
        updated_by=call.principal.actor,
        created_at=unit.stamp,
        updated_at=unit.stamp,
    )
    workflow = _merged(workflow, body)
    steps = _records(unit, workflow.id, requested, ())
    _check(unit, workflow, steps)
    insert(unit, workflow, steps)
    return reply(with_steps(workflow, steps), 201)


def insert(unit: Unit, workflow: Workflow, steps: Steps) -> None:
    """Store a new workflow and have its schedule watched.

    Raises:
        ApiError: 409, the slug is taken.
    """
    try:
        workflows.insert(unit.db, workflow, steps)
    except sqlite3.IntegrityError as error:
        raise _slug_taken(workflow) from error
    schedules.begin(unit, schedules.of_workflow(workflow))


@registry.other("list-workflows")
async def list_all(call: Call, platform: Platform) -> Reply:
    """List the workflows of the project without their steps, newest first."""
    query = call.query
    if query.get("tag_value") and not query.get("tag_key"):
        raise ApiError(400, "tag_key is required when tag_value is provided")
    if query.get("tag_key") or call.principal.environment_id:
        return await platform.analyst.ask(lambda db: _page(call, db))
    return _page(call, platform.reader)


def _page(call: Call, db: sqlite3.Connection) -> Reply:
    query = call.query
    limit = query["limit"]
    own = call.principal.environment_id
    rows = workflows.page(
        db,
        call.project_id,
        tag_key=query.get("tag_key") or "",
        tag_value=query.get("tag_value") or "",
        among=within.workflows_of(db, call.project_id, own) if own else None,
        before=checks.cursor(query),
        limit=limit + 1,
    )
    return page(rows, limit, lambda workflow: workflow.created_at)


@registry.read("get-workflow")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a workflow with its steps."""
    workflow = find(call, db)
    return reply(with_steps(workflow, workflows.steps(db, workflow)))


def find(call: Call, db: sqlite3.Connection) -> Workflow:
    """Return the workflow that a path names, if it is the caller's.

    Raises:
        ApiError: 404.
    """
    workflow = workflows.get(db, call.params["workflowID"])
    if workflow is None or workflow.project_id != call.project_id:
        raise not_found("workflow")
    return workflow


def with_steps(workflow: Workflow, steps: Steps) -> dict[str, object]:
    """Return a workflow as `WorkflowResponse`."""
    shown = json.decode(json.encode(workflow))
    return {**shown, "steps": steps}


@registry.write("update-workflow")
def update(call: Call, unit: Unit) -> Reply:
    """Change a workflow; runs that are under way keep the steps that they began with."""
    old = find(call, unit.db)
    body = call.body(bodies.UpdateWorkflowRequest)
    present = workflows.steps(unit.db, old)
    if body.steps is not None:
        _check_steps(call, unit, body.steps)
        definitions.check_kept_refs(present, body.steps)
    unit.tick()
    workflow = replace(
        _merged(old, body),
        version=old.version + 1,
        version_id=ids.version_id(),
        updated_by=call.principal.actor,
        updated_at=unit.stamp,
    )
    steps = present if body.steps is None else _records(unit, old.id, body.steps, present)
    _check(unit, workflow, steps)
    try:
        workflows.update(unit.db, workflow, steps)
    except sqlite3.IntegrityError as error:
        raise _slug_taken(workflow) from error
    schedules.changed(unit, schedules.of_workflow(old), schedules.of_workflow(workflow))
    answer = with_steps(workflow, steps)
    active = _active_on(unit.db, old)
    if active:
        answer |= {"active_runs_on_previous_version": active, "previous_version_id": old.version_id}
    return reply(answer)


def _active_on(db: sqlite3.Connection, workflow: Workflow) -> int:
    runs = workflow_runs.page(
        db,
        "workflow_id = ? AND status IN ('pending', 'running', 'paused') "
        "AND doc ->> 'workflow_version_id' = ?",
        (workflow.id, workflow.version_id),
        limit=10_000,
    )
    return len(runs)


@registry.write("delete-workflow")
def delete(call: Call, unit: Unit) -> Reply:
    """Delete a workflow and its runs."""
    workflow = find(call, unit.db)
    counts = workflow_runs.count_by_status(unit.db, workflow.id)
    if counts:
        running = counts.get("running", 0)
        how_many = f"{running} active run(s)" if running else "active run(s)"
        raise ApiError(409, f"workflow has {how_many} -- cancel them before deleting")
    workflows.delete(unit.db, workflow.id)
    schedules.begin(unit, schedules.of_workflow(replace(workflow, cron="")))
    records.delete_owned(unit.db, canaries.KIND, workflow.id)
    return NO_CONTENT


@registry.write("clone-workflow")
def clone(call: Call, unit: Unit) -> Reply:
    """Make a workflow like another one."""
    source = find(call, unit.db)
    body = call.body(bodies.CloneWorkflowRequest)
    if body.project_id and body.project_id != call.project_id:
        raise not_found("workflow")
    unit.tick()
    copy = replace(
        source,
        id=unit.new_id(),
        name=body.name or f"{source.name} (copy)",
        slug=body.slug or f"{source.slug}-copy",
        version=1,
        version_id=ids.version_id(),
        created_by=call.principal.actor,
        updated_by=call.principal.actor,
        created_at=unit.stamp,
        updated_at=unit.stamp,
    )
    steps = tuple(
        replace(step, id=unit.new_id(), workflow_id=copy.id, created_at=unit.stamp)
        for step in workflows.steps(unit.db, source)
    )
    insert(unit, copy, steps)
    return reply(with_steps(copy, steps), 201)


@registry.write("trigger-workflow")
def trigger(call: Call, unit: Unit) -> Reply:
    """Start a run of a workflow."""
    workflow = find(call, unit.db)
    body = call.body(bodies.TriggerWorkflowRequest)
    if body.project_id and body.project_id != call.project_id:
        raise not_found("workflow")
    budgets.check(unit, workflow.project_id)
    run = workflow_starts.start(
        unit,
        workflow,
        triggered_by=body.triggered_by or "manual",
        created_by=call.principal.actor,
        payload=json.decode(body.payload) if isinstance(body.payload, Raw) else UNSET,
        tags=checks.tags(body.tags),
        labels=body.labels or {},
        overrides=overrides(body.step_overrides),
        trace_context=trace(call),
    )
    return reply(run, 201)


def overrides(asked: Sequence[bodies.StepOverride] | None) -> dict[str, bool]:
    """Return step overrides as `{step_ref: enabled}`."""
    return {item.step_ref or "": bool(item.enabled) for item in asked or ()}


# ----------------------------------------------------------------------------------------- checks


def _check_steps(call: Call, unit: Unit, steps: Sequence[bodies.WorkflowStepRequest]) -> None:
    db, own = unit.db, call.principal.environment_id
    check_steps(steps, unit.platform.reach)
    job_ids = {job_id for s in steps for job_id in (s.job_id, s.compensation_job_id) if job_id}
    found_jobs = {job_id: jobs.get(db, job_id) for job_id in job_ids}
    child_ids = {s.sub_workflow_id for s in steps if s.sub_workflow_id}
    found_children = {child: workflows.get(db, child) for child in child_ids}
    # What is outside of the environment of a key is not there for it.
    definitions.check_references(
        steps,
        call.project_id,
        {
            job_id: job.project_id
            for job_id, job in found_jobs.items()
            if job is not None and (not own or within.job(db, job_id, own))
        },
        {
            child: found.project_id
            for child, found in found_children.items()
            if found is not None and (not own or within.workflow(db, child, own))
        },
    )


def check_steps(steps: Sequence[bodies.WorkflowStepRequest], reach: Reach) -> None:
    """Check the steps of a request by themselves.

    Raises:
        Refused: 400 with the contract's text.
    """
    definitions.check_steps(steps, partial(_check_url, reach))


def _check_url(reach: Reach, url: str) -> None:
    try:
        addresses.endpoint(url, "url", reach)
    except ApiError as error:
        raise ValueError(error.message.removeprefix("invalid url: ")) from error


def _check(unit: Unit, workflow: Workflow, steps: Steps) -> None:
    policy = workflow_policies.of_project(unit.db, workflow.project_id)
    violation = policy_violation(policy, steps) if policy is not None else ""
    if violation:
        raise Refused(400, violation)
    definitions.check_settings(workflow.max_parallel_steps, workflow.cron, workflow.cron_timezone)


def _records(
    unit: Unit,
    workflow_id: str,
    steps: Sequence[bodies.WorkflowStepRequest],
    present: Steps,
) -> Steps:
    """Return the records of requested steps; a step that was there keeps its id and its date."""
    known = {step.step_ref: step for step in present}
    made = []
    for step in steps:
        old = known.get(step.step_ref)
        step_id, created_at = (old.id, old.created_at) if old else (unit.new_id(), unit.stamp)
        made.append(definitions.step_definition(step, step_id, workflow_id, created_at))
    return tuple(made)


def _merged(
    workflow: Workflow, body: bodies.CreateWorkflowRequest | bodies.UpdateWorkflowRequest
) -> Workflow:
    given = {name: getattr(body, name, None) for name in _PLAIN}
    changes: dict[str, object] = {k: v for k, v in given.items() if v is not None}
    if body.version_policy == "":
        del changes["version_policy"]
    if body.tags is not None:
        changes["tags"] = checks.tags(body.tags)
    return replace(workflow, **changes)


def _slug_taken(workflow: Workflow) -> ApiError:
    return ApiError(409, f"a workflow with slug {workflow.slug!r} already exists in this project")

"""What can be told of workflow definitions: plans, graphs, versions, policies."""

from __future__ import annotations

import sqlite3

from strait.engine.refusal import Refused
from strait.engine.workflows import definitions, graphs
from strait.engine.workflows.start import apply_overrides
from strait.server._generated import bodies
from strait.server.errors import ApiError, invalid, not_found
from strait.server.http import Call, Reply, reply
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.routes.workflows import check_steps, find, overrides
from strait.server.unit import Unit
from strait.server.work import workflow_policies
from strait.store import workflow_runs, workflows
from strait.store.workflows import Version

registry = Registry()

_SAMPLE = 500
_VERSION_FIELDS = (
    "version", "project_id", "name", "slug", "description", "enabled", "timeout_secs",
    "max_concurrent_runs", "max_parallel_steps", "cron", "cron_timezone", "skip_if_running",
    "version_id", "created_by", "updated_by",
)  # fmt: skip
_ALWAYS_SHOWN = frozenset(
    {"version", "project_id", "name", "slug", "enabled", "timeout_secs", "max_concurrent_runs",
     "max_parallel_steps"}
)  # fmt: skip


@registry.other("dry-run-workflow")
async def dry_run(call: Call, platform: Platform) -> Reply:
    """Check steps without storing them; an empty list checks those of the workflow."""
    db = platform.reader
    workflow = find(call, db)
    steps = call.body(bodies.DryRunWorkflowRequest).steps
    if steps is None:
        raise invalid("steps: failed on 'required'")
    if steps:
        check_steps(steps, platform.reach)
        fault, count = definitions.dag_fault(steps), len(steps)
    else:
        present = workflows.steps(db, workflow)
        fault, count = definitions.dag_fault(present), len(present)
    if fault:
        raise Refused(400, fault)
    return reply({"valid": True, "step_count": count})


@registry.read("plan-workflow")
def plan(call: Call, db: sqlite3.Connection) -> Reply:
    """Show in which order the steps of a workflow would run."""
    workflow = find(call, db)
    asked = overrides(call.body(bodies.WorkflowPlanRequest).step_overrides)
    steps = apply_overrides(workflows.steps(db, workflow), asked)
    fault = definitions.dag_fault(steps)
    if fault:
        raise Refused(400, fault)
    return reply(graphs.plan(workflow.id, workflow.version, steps))


@registry.read("simulate-workflow")
def simulate(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the order in which the steps of a workflow would run."""
    workflow = find(call, db)
    steps = workflows.steps(db, workflow)
    fault = definitions.dag_fault(steps)
    if fault:
        raise Refused(400, fault)
    return reply(graphs.simulate(workflow.id, workflow.version, steps))


@registry.read("get-workflow-graph")
def graph(call: Call, db: sqlite3.Connection) -> Reply:
    """Show which steps depend on which."""
    workflow = find(call, db)
    draw = graphs.dot if call.query.get("format") == "dot" else graphs.graph
    return reply(draw(workflow.id, workflows.steps(db, workflow)))


# --------------------------------------------------------------------------------------- versions


@registry.read("list-workflow-versions")
def versions(call: Call, db: sqlite3.Connection) -> Reply:
    """List the versions of a workflow, newest first."""
    workflow = find(call, db)
    rows = workflows.versions(db, workflow.id, limit=call.query["limit"])
    return reply([_shown(row) for row in rows])


@registry.read("get-workflow-version")
def version(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a version of a workflow."""
    return reply(_shown(_version(call, db)))


@registry.read("list-workflow-version-steps")
def version_steps(call: Call, db: sqlite3.Connection) -> Reply:
    """List the steps that a workflow had at a version."""
    return reply(_version(call, db).steps)


@registry.read("diff-workflow-versions")
def diff(call: Call, db: sqlite3.Connection) -> Reply:
    """Show which steps came and went between two versions."""
    before = _version(call, db, "fromVersionID", "from workflow version")
    after = _version(call, db, "toVersionID", "to workflow version")
    return reply(
        graphs.diff(
            before.workflow.version_id, before.steps, after.workflow.version_id, after.steps
        )
    )


@registry.read("get-workflow-version-impact")
def impact(call: Call, db: sqlite3.Connection) -> Reply:
    """Count how many of the newest runs followed a version."""
    found = _version(call, db)
    runs = workflow_runs.page(db, "workflow_id = ?", (found.workflow.id,), limit=_SAMPLE)
    version_id = found.workflow.version_id
    matching = sum(1 for run in runs if run.workflow_version_id == version_id)
    return reply({"version_id": version_id, "matching_runs": matching, "sampled_runs": len(runs)})


@registry.read("get-active-versions")
def active_versions(call: Call, db: sqlite3.Connection) -> Reply:
    """Count the runs that are under way, by the version that they follow."""
    workflow = find(call, db)
    rows = db.execute(
        "SELECT doc ->> 'workflow_version_id', doc ->> 'workflow_version', "
        "sum(status = 'pending'), sum(status = 'running'), sum(status = 'paused'), count(*) "
        "FROM workflow_runs WHERE workflow_id = ? AND status IN ('pending', 'running', 'paused') "
        "GROUP BY 1, 2 ORDER BY 2 DESC",
        (workflow.id,),
    )
    names = ("version_id", "version", "pending", "running", "paused", "total")
    shown = [dict(zip(names, row, strict=True)) for row in rows]
    return reply({"workflow_id": workflow.id, "versions": shown})


def _version(
    call: Call, db: sqlite3.Connection, name: str = "versionID", what: str = "workflow version"
) -> Version:
    workflow = find(call, db)
    found = workflows.version(db, workflow.id, call.params[name])
    if found is None:
        raise not_found(what)
    return found


def _shown(row: Version) -> dict[str, object]:
    workflow = row.workflow
    fields = {name: getattr(workflow, name) for name in _VERSION_FIELDS}
    kept = {name: value for name, value in fields.items() if value or name in _ALWAYS_SHOWN}
    return {
        "id": f"{workflow.id}:v{workflow.version}",
        "workflow_id": workflow.id,
        **kept,
        "created_at": row.created_at,
    }


# --------------------------------------------------------------------------------------- policies


@registry.read("get-workflow-policy")
def get_policy(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the limits that the project sets to its workflows."""
    policy = workflow_policies.load(db, _own_project(call))
    if policy is None:
        raise not_found("workflow policy")
    return reply(policy)


@registry.write("upsert-workflow-policy")
def put_policy(call: Call, unit: Unit) -> Reply:
    """Set the limits of the project's workflows."""
    project_id = _own_project(call)
    if not call.principal.internal:
        raise ApiError(403, "workflow policy changes require an operator or user context")
    body = call.body(bodies.UpsertWorkflowPolicyRequest)
    present = workflow_policies.load(unit.db, project_id)
    policy = workflow_policies.StoredPolicy(
        id=present.id if present else unit.new_id(),
        project_id=project_id,
        max_fan_out=body.max_fan_out or 0,
        max_depth=body.max_depth or 0,
        forbidden_step_types=tuple(body.forbidden_step_types or ()),
        require_approval_for_deploy=bool(body.require_approval_for_deploy),
        created_at=present.created_at if present else unit.stamp,
        updated_at=unit.stamp,
    )
    workflow_policies.save(unit.db, policy)
    return reply(policy)


def _own_project(call: Call) -> str:
    project_id = call.params["projectID"]
    if project_id != call.project_id:
        raise not_found("workflow policy")
    return project_id

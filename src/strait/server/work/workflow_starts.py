"""Starting workflow runs: by a trigger, a schedule, a step of another one, or as a retry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import UNSET, UnsetType, json

from strait.clock import Timestamp
from strait.engine.model import Json, Tags, Workflow, WorkflowRun
from strait.engine.refusal import Refused
from strait.engine.workflows import effects as asked
from strait.engine.workflows import start as engine
from strait.engine.workflows.starting import nesting_too_deep
from strait.engine.workflows.state import Transition
from strait.server.unit import Unit
from strait.server.work import budgets, canaries, workflow_policies, workflows
from strait.store import ledger, spend, workflow_runs
from strait.store import workflows as definitions
from strait.store.workflow_runs import Stored

# Two for each step that a run may have.
_MAX_COMPENSATION_LINES = 2_000

NESTING_CEILING = 50
"""How deep a step may let workflows be nested at most: a start happens in one transaction."""

MAX_CHILDREN_AT_ONCE = 1_000
"""How many workflow runs may come of one start: a workflow that contains itself twice doubles them
with each level."""


def start(
    unit: Unit,
    workflow: Workflow,
    *,
    triggered_by: str,
    created_by: str,
    payload: Json | UnsetType = UNSET,
    tags: Tags | None = None,
    labels: Tags | None = None,
    overrides: Mapping[str, bool] | None = None,
    parent: tuple[str, str] = ("", ""),
    trace_context: Tags | None = None,
) -> WorkflowRun:
    """Start a run of a workflow and return it.

    Args:
        unit: the transaction.
        workflow: the workflow.
        triggered_by: what started it, in the API's words.
        created_by: who did.
        payload: what its steps are given; absent is not the same as null.
        tags: laid over those of the workflow.
        labels: kept beside the run.
        overrides: `{step_ref: enabled}`.
        parent: the workflow run and the step run that wait for this one.
        trace_context: trace headers for its job runs.

    Raises:
        Refused: it cannot be started; 400 or 409 with the contract's text.
    """
    workflow = canaries.choose(unit, workflow)
    steps = engine.admitted_steps(
        workflow,
        definitions.steps(unit.db, workflow),
        overrides=overrides,
        running=_running(unit, workflow),
        policy=workflow_policies.of_project(unit.db, workflow.project_id),
    )
    unit.tick()
    snapshot_id = definitions.snapshot(unit.db, workflow.id, steps, unit.new_id())
    request = engine.StartRequest(
        workflow=workflow,
        steps=unit.platform.workflow_runs.snapshot(unit.db, snapshot_id),
        triggered_by=triggered_by,
        payload=payload,
        tags=tags or {},
        created_by=created_by,
        snapshot_id=snapshot_id,
        parent_workflow_run_id=parent[0],
        parent_step_run_id=parent[1],
        trace_context=trace_context or {},
    )
    transition = engine.start(request, unit.now, unit.new_id, _mean_cost(unit))
    return _begin(unit, transition, snapshot_id, labels or {})


def _mean_cost(unit: Unit) -> Callable[[str], int]:
    return partial(spend.mean_of_job, unit.db)


def _running(unit: Unit, workflow: Workflow) -> int:
    return workflow_runs.count_by_status(unit.db, workflow.id).get("running", 0)


def retry(unit: Unit, stored: Stored, created_by: str) -> WorkflowRun:
    """Start a run that does again what an earlier one has not completed, and return it.

    Raises:
        QuotaExceeded: 402, the budget is used up.
        Refused: 400, the earlier one is not over; 409, the workflow may have no more runs now.
    """
    budgets.check(unit, stored.run.project_id)
    unit.tick()
    original, old = unit.platform.workflow_runs.state(unit.db, stored), stored.run
    transition = engine.retry(
        original,
        unit.now,
        unit.new_id,
        _mean_cost(unit),
        created_by=created_by,
        timeout_secs=definitions.timeout_secs(unit.db, old.workflow_id, old.workflow_version),
        undone=undone(unit, old.id),
    )
    workflow = definitions.get(unit.db, stored.run.workflow_id)
    if workflow is not None:
        engine.require_room(workflow, _running(unit, workflow))
    labels = workflow_runs.labels(unit.db, stored.run.id)
    return _begin(unit, transition, stored.snapshot_id, labels)


def undone(unit: Unit, run_id: str) -> frozenset[str]:
    """Return the refs of the steps of a run that its compensation has undone so far."""
    lines = ledger.search(unit.db, run_id, type="compensation", limit=_MAX_COMPENSATION_LINES)
    facts = [json.decode(line.data, type=dict[str, Any]) for line in lines if line.data]
    return frozenset(each["step_ref"] for each in facts if each.get("undone"))


def _begin(unit: Unit, transition: Transition, snapshot_id: str, labels: Tags) -> WorkflowRun:
    run = transition.run
    workflows.begin(unit, transition, snapshot_id, labels)
    workflows.perform(unit, transition)
    # Later rows get later instants than the steps, which count up from the run's own.
    for _ in transition.steps:
        unit.tick()
    stored = unit.platform.workflow_runs.load(unit.db, run.id)
    return run if stored is None else stored.run


def start_child(unit: Unit, run: WorkflowRun, effect: asked.StartChild) -> str:
    """Start the workflow of a sub-workflow step; return why it cannot be, or ""."""
    workflow = definitions.get(unit.db, effect.workflow_id)
    if workflow is None or workflow.project_id != run.project_id:
        return f"sub-workflow {effect.workflow_id} not found"
    if unit.child_workflows >= MAX_CHILDREN_AT_ONCE:
        return f"more than {MAX_CHILDREN_AT_ONCE} sub-workflows would start at once"
    most = min(effect.max_nesting_depth, NESTING_CEILING)
    depth = _ancestors(unit, run, most)
    if depth >= most:
        return nesting_too_deep(depth, most, effect.ref)
    unit.child_workflows += 1
    try:
        start(
            unit,
            workflow,
            triggered_by="workflow",
            created_by="system:workflow",
            payload=effect.payload,
            parent=(run.id, effect.step_run_id),
            trace_context=run.trace_context,
        )
    except Refused as refusal:
        return refusal.message
    return ""


def _ancestors(unit: Unit, run: WorkflowRun, most: int) -> int:
    """Count the runs above a run, up to `most` of them."""
    depth = 0
    while run.parent_workflow_run_id and depth < most:
        depth += 1
        parent = workflow_runs.load(unit.db, run.parent_workflow_run_id)
        if parent is None:
            break
        run = parent.run
    return depth


def fire(unit: Unit, workflow: Workflow, tick: Timestamp) -> None:
    """Start a workflow for a tick of its schedule, unless one runs and it asks to skip then."""
    if workflow.skip_if_running and _running(unit, workflow):
        return
    try:
        start(
            unit,
            workflow,
            triggered_by="cron",
            created_by="system:cron",
            tags={"cron_fire_key": f"cron:workflow:{workflow.id}:{tick[:19]}"},
        )
    except Refused as refusal:
        unit.platform.warn(f"the schedule of workflow {workflow.id} could not start it", refusal)

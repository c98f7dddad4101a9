"""Views of workflow runs: lists, steps, and what the engine's read models make of them."""

from __future__ import annotations

import sqlite3

from msgspec import Raw, json

from strait.engine.workflows import compensation, views
from strait.engine.workflows.state import State
from strait.server import checks, within
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, page, reply
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.workflow_cache import state_of
from strait.store import ledger, workflow_runs, workflows
from strait.store import runs as run_rows

registry = Registry()

_MAX_DECISIONS = 10_000


def owned(
    call: Call, db: sqlite3.Connection, name: str = "workflowRunID", what: str = "workflow run"
) -> workflow_runs.Stored:
    """Return the workflow run that a path names, if it is the caller's.

    Raises:
        ApiError: 404.
    """
    stored = workflow_runs.load(db, call.params[name])
    if stored is None or stored.run.project_id != call.project_id:
        raise not_found(what)
    return stored


@registry.read("get-workflow-run")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a workflow run."""
    return reply(owned(call, db).run)


@registry.other("list-workflow-runs")
async def list_all(call: Call, platform: Platform) -> Reply:
    """List the workflow runs of the project that fit the filters, newest first."""
    query = call.query
    status, key = query.get("status"), query.get("tag_key")
    if status and key:
        raise ApiError(400, "status filter cannot be combined with tag_key; use one or the other")
    if query.get("tag_value") and not key:
        raise ApiError(400, "tag_key is required when tag_value is provided")
    if status or key or call.principal.environment_id:
        # A filter may have to look at every run that there is.
        return await platform.analyst.ask(lambda db: _filtered(call, db))
    return _filtered(call, platform.reader)


def _filtered(call: Call, db: sqlite3.Connection) -> Reply:
    query = call.query
    status, key, value = query.get("status"), query.get("tag_key"), query.get("tag_value")
    own = call.principal.environment_id
    where, values = "project_id = ? AND created_at < ?", [call.project_id, checks.cursor(query)]
    if status:
        where, values = f"{where} AND status = ?", [*values, status]
    if key:
        test = "key = ?" + (" AND value = ?" if value else "")
        where = f"{where} AND EXISTS (SELECT 1 FROM json_each(doc, '$.tags') WHERE {test})"
        values += [key, value] if value else [key]
    if own:
        where = f"{where} AND workflow_id IN ({within.LISTED})"
        values.append(within.workflows_of(db, call.project_id, own))
    return _page(call, db, where, values)


@registry.read("list-workflow-runs-by-workflow")
def list_of_workflow(call: Call, db: sqlite3.Connection) -> Reply:
    """List the runs of a workflow, newest first."""
    workflow = workflows.get(db, call.params["workflowID"])
    if workflow is None or workflow.project_id != call.project_id:
        raise not_found("workflow")
    where = "workflow_id = ? AND created_at < ?"
    return _page(call, db, where, [workflow.id, checks.cursor(call.query)])


def _page(call: Call, db: sqlite3.Connection, where: str, values: list[str]) -> Reply:
    limit = call.query["limit"]
    rows = workflow_runs.page(db, where, values, limit=limit + 1)
    return page(rows, limit, lambda run: run.created_at)


@registry.read("get-workflow-run-labels")
def labels(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the labels that a run was triggered with."""
    return reply({"labels": workflow_runs.labels(db, owned(call, db).run.id)})


@registry.read("list-workflow-step-runs")
def steps(call: Call, db: sqlite3.Connection) -> Reply:
    """List the steps of a run, in the order of their definitions."""
    run_id = owned(call, db).run.id
    limit = call.query["limit"]
    rows = workflow_runs.steps_page(db, run_id, after=checks.after(call.query), limit=limit + 1)
    return page(rows, limit, lambda step: step.created_at)


@registry.read("get-workflow-run-explain")
def explain(call: Call, db: sqlite3.Connection) -> Reply:
    """List why steps wait or were skipped, newest first."""
    run_id = owned(call, db).run.id
    limit = call.query["limit"]
    lines = [line for line in _decisions(call, db, run_id) if _is_wanted(call, line)]
    cursor = (
        checks.cursor_behind(lines[limit - 1].at, lines[limit - 1].seq) if lines[limit:] else ""
    )
    return page([_decision(line) for line in lines], limit, lambda _: cursor)


def _decisions(call: Call, db: sqlite3.Connection, run_id: str) -> list[ledger.Line]:
    """Return the decisions before the cursor, newest first."""
    before_seq, before = checks.line_cursor(call.query)
    lines = ledger.search(db, run_id, type="decision", limit=_MAX_DECISIONS)
    return [
        line
        for line in reversed(lines)
        if (not before_seq or line.seq < before_seq) and (not before or line.at < before)
    ]


def _is_wanted(call: Call, line: ledger.Line) -> bool:
    facts = json.decode(line.data) if line.data else {}
    wanted = {name: call.query.get(name) for name in ("step_ref", "decision_type")}
    return all(not value or facts.get(name) == value for name, value in wanted.items())


def _decision(line: ledger.Line) -> dict[str, object]:
    facts = json.decode(line.data) if line.data else {}
    row: dict[str, object] = {
        "id": line.id,
        "workflow_run_id": line.subject,
        "step_run_id": facts.get("step_run_id", ""),
        "step_ref": facts.get("step_ref", ""),
        "decision_type": facts.get("decision_type", ""),
        "decision": facts.get("decision", ""),
        "explanation": facts.get("explanation", line.message),
        "created_at": line.at,
    }
    if "details" in facts:
        row["details"] = Raw(json.encode(facts["details"]))
    return row


# ------------------------------------------------------------------------------------ read models

# A run may have a thousand steps, and one of them that many beside it: not on the loop.


@registry.analysis("get-workflow-run-graph")
def graph(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the steps of a run as a graph, with the slowest chain of them."""
    return reply(views.graph(state_of(db, owned(call, db))))


@registry.analysis("get-workflow-run-timeline")
def timeline(call: Call, db: sqlite3.Connection) -> Reply:
    """Show when the steps of a run ran."""
    return reply(views.timeline(state_of(db, owned(call, db)), call.now))


@registry.analysis("get-workflow-run-debug")
def debug(call: Call, db: sqlite3.Connection) -> Reply:
    """Show all that is known of a run: what went into each step and came out of it."""
    state = state_of(db, owned(call, db))
    inputs = {}
    for ref, step in state.step_runs.items():
        payload = run_rows.payload(db, step.job_run_id) if step.job_run_id else None
        if payload is not None:
            inputs[ref] = json.decode(payload)
    return reply(views.debug(state, call.now, inputs, _costs(db, state)))


# What a step cost: its runs (one for each time that it was tried again), what those have spawned,
# and the same for the steps of workflows below it.
_COST_OF_A_STEP = """
    WITH RECURSIVE
    step (id) AS (
      SELECT :step UNION
      SELECT step_runs.id FROM step
        JOIN workflow_runs ON workflow_runs.parent_step_run_id = step.id
        JOIN step_runs ON step_runs.workflow_run_id = workflow_runs.id),
    run (id) AS (
      SELECT runs.id FROM step JOIN runs ON runs.workflow_step_run_id = step.id UNION
      SELECT runs.id FROM run JOIN runs ON runs.parent_run_id = run.id)
    SELECT coalesce(sum(sample.doc ->> 'cost_microusd'), 0)
      FROM run JOIN run_samples AS sample ON sample.run_id = run.id AND sample.kind = 'usage'
"""


def _costs(db: sqlite3.Connection, state: State) -> dict[str, int]:
    costs = {}
    for ref, step in state.step_runs.items():
        (cost,) = db.execute(_COST_OF_A_STEP, {"step": step.id}).fetchone()
        if cost:
            costs[ref] = int(cost)
    return costs


@registry.analysis("compare-workflow-runs")
def compare(call: Call, db: sqlite3.Connection) -> Reply:
    """Show what differs between two runs."""
    first = owned(call, db, what="workflow run A")
    second = owned(call, db, "otherRunID", "workflow run B")
    return reply(views.compare(state_of(db, first), state_of(db, second)))


@registry.read("get-compensation-plan")
def compensation_plan(call: Call, db: sqlite3.Connection) -> Reply:
    """Show what undoing a run would do, in its order."""
    plan = compensation.plan(state_of(db, owned(call, db)))
    if not plan.steps:
        raise ApiError(404, "no compensation plan available")
    return reply(plan)

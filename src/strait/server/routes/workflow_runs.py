"""What can be done with a workflow run and its steps (`contract/workflows.md` §3.15-3.16, §4.3)."""

from __future__ import annotations

from msgspec import UNSET, Raw, UnsetType, json

from strait.engine.model import Json
from strait.engine.refusal import Refused
from strait.engine.workflows import compensation
from strait.engine.workflows import events as happened
from strait.engine.workflows.state import Transition
from strait.fsm import is_terminal_workflow_run_status
from strait.server._generated import bodies
from strait.server.auth import INTERNAL_ACTOR
from strait.server.errors import ApiError
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.work import workflow_starts, workflows
from strait.store import workflow_runs
from strait.store import workflows as definitions
from strait.store.workflow_runs import Stored

registry = Registry()


@registry.write("cancel-workflow-run")
def cancel(call: Call, unit: Unit) -> Reply:
    """Cancel a run with all that it has under way."""
    return _run(call, unit, happened.Cancel())


@registry.write("pause-workflow-run")
def pause(call: Call, unit: Unit) -> Reply:
    """Start nothing more until the run is resumed; what executes is held."""
    return _run(call, unit, happened.Pause())


@registry.write("resume-workflow-run")
def resume(call: Call, unit: Unit) -> Reply:
    """Go on after a pause."""
    return _run(call, unit, happened.Resume())


def _run(call: Call, unit: Unit, event: happened.Event) -> Reply:
    run_id = call.params["workflowRunID"]
    workflows.advance(unit, workflows.load(unit, call.project_id, run_id), event)
    # A step that cannot begin may have ended the run meanwhile.
    return reply(workflows.load(unit, call.project_id, run_id).run)


@registry.write("retry-workflow-run")
def retry(call: Call, unit: Unit) -> Reply:
    """Run a workflow again that has ended; steps that were completed are taken over."""
    return reply(workflow_starts.retry(unit, _stored(call, unit), call.principal.actor), 201)


@registry.write("bulk-cancel-workflow-runs")
def bulk_cancel(call: Call, unit: Unit) -> Reply:
    """Cancel runs by id; those that are over, or not there, are left out."""
    wanted = call.body(bodies.BulkCancelWorkflowRunsRequest).workflow_run_ids or []
    canceled = []
    for run_id in dict.fromkeys(wanted):
        stored = workflow_runs.load(unit.db, run_id)
        if stored is None or stored.run.project_id != call.project_id:
            continue
        if is_terminal_workflow_run_status(stored.run.status):
            continue
        event = happened.Cancel("canceled by user (bulk)", "parent workflow canceled (bulk)")
        workflows.advance(unit, stored, event)
        canceled.append(run_id)
    return reply({"canceled": len(canceled), "workflow_run_ids": canceled})


@registry.write("bulk-replay-workflow-runs")
def bulk_replay(call: Call, unit: Unit) -> Reply:
    """Retry runs by id; each has its own outcome."""
    wanted = call.body(bodies.BulkReplayWorkflowRunsRequest).workflow_run_ids or []
    results = [
        _replay(call, unit, run_id, again=run_id in wanted[:place])
        for place, run_id in enumerate(wanted)
    ]
    replayed = sum(1 for row in results if row["status"] == "replayed")
    return reply({"results": results, "total": len(results), "replayed": replayed})


def _replay(call: Call, unit: Unit, run_id: str, *, again: bool) -> dict[str, str]:
    try:
        if again:
            raise ApiError(409, "workflow run is named twice")
        stored = workflows.load(unit, call.project_id, run_id)
        run = workflow_starts.retry(unit, stored, call.principal.actor)
    except (ApiError, Refused) as error:
        return {"original_run_id": run_id, "status": "failed", "error": error.message}
    return {"original_run_id": run_id, "new_run_id": run.id, "status": "replayed"}


# ------------------------------------------------------------------------------------------ steps


@registry.write("approve-workflow-step")
def approve(call: Call, unit: Unit) -> Reply:
    """Approve a step in the name of the caller."""
    person = call.body(bodies.ApproveWorkflowStepRequest).approver or ""
    event = happened.Approved(call.params["stepRef"], _approver(call), person)
    return _decided(call, unit, event)


@registry.write("reject-workflow-step")
def reject(call: Call, unit: Unit) -> Reply:
    """Reject a step in the name of the caller; it fails with the reason."""
    body = call.body(bodies.RejectWorkflowStepRequest)
    ref, person = call.params["stepRef"], body.approver or ""
    return _decided(call, unit, happened.Rejected(ref, _approver(call), body.reason, person))


def _approver(call: Call) -> str:
    if call.principal.actor == INTERNAL_ACTOR:
        raise ApiError(401, "authenticated identity required")
    return call.principal.actor


def _decided(call: Call, unit: Unit, event: happened.Approved | happened.Rejected) -> Reply:
    ref, transition = event.ref, _step(call, unit, event)
    return reply(
        {
            "step_run": transition.state.step_runs[ref],
            "approval": transition.state.approvals[ref],
        }
    )


@registry.write("skip-workflow-step")
def skip(call: Call, unit: Unit) -> Reply:
    """Count a step as done that has not begun, or that waits."""
    ref = call.params["stepRef"]
    reason = call.body(bodies.SkipStepRequest).reason or ""
    event = happened.SkipStep(ref, reason, call.principal.actor)
    return _step_reply(_step(call, unit, event), ref)


@registry.write("force-complete-workflow-step")
def force_complete(call: Call, unit: Unit) -> Reply:
    """Complete a step with an output of one's own."""
    ref = call.params["stepRef"]
    result = _value(call.body(bodies.ForceCompleteStepRequest).result)
    event = happened.ForceComplete(ref, result, call.principal.actor)
    return _step_reply(_step(call, unit, event), ref)


@registry.write("retry-workflow-step")
def retry_step(call: Call, unit: Unit) -> Reply:
    """Do a step again that has ended."""
    ref, stored = call.params["stepRef"], _to_go_on(call, unit)
    event = happened.RetryStep(ref, _timeout_secs(unit, stored))
    return _step_reply(workflows.advance(unit, stored, event), ref)


@registry.write("replay-workflow-subtree")
def replay_subtree(call: Call, unit: Unit) -> Reply:
    """Do a step again, and all that depends on it."""
    stored = _to_go_on(call, unit)
    event = happened.ReplaySubtree(call.params["stepRef"], _timeout_secs(unit, stored))
    return reply({"reset_steps": len(workflows.advance(unit, stored, event).reset)})


def _to_go_on(call: Call, unit: Unit) -> Stored:
    """Return a run that goes on from where it is.

    Raises:
        Refused: 409, some of what it did was undone before the undoing was canceled.
    """
    stored = _stored(call, unit)
    if stored.run.status == "canceled" and workflow_starts.undone(unit, stored.run.id):
        raise Refused(409, "workflow run was undone in part; retry the whole run instead")
    return stored


def _timeout_secs(unit: Unit, stored: Stored) -> int:
    run = stored.run
    return definitions.timeout_secs(unit.db, run.workflow_id, run.workflow_version)


def _step(call: Call, unit: Unit, event: happened.Event) -> Transition:
    return workflows.advance(unit, _stored(call, unit), event)


def _stored(call: Call, unit: Unit) -> Stored:
    return workflows.load(unit, call.project_id, call.params["workflowRunID"])


def _step_reply(transition: Transition, ref: str) -> Reply:
    return reply({"step_run": transition.state.step_runs[ref]})


def _value(raw: Raw | UnsetType) -> Json | UnsetType:
    return json.decode(raw) if isinstance(raw, Raw) else UNSET


# ----------------------------------------------------------------------------------- compensation


@registry.write("compensate-workflow-run")
def compensate(call: Call, unit: Unit) -> Reply:
    """Undo the completed steps of a run that failed, in reverse order."""
    stored = _stored(call, unit)
    plan = compensation.plan(unit.platform.workflow_runs.state(unit.db, stored))
    workflows.advance(unit, stored, happened.Compensate())
    return reply(plan)

"""The life of a workflow run: one decision per event (`contract/workflows.md` §3).

`decide(state, event, now, new_id)` answers what the run and its steps become, with what the shell
has to do. An event that no longer concerns the run (a job run that was canceled, a timer that was
overtaken) gives None. A request that cannot be met raises `Refused`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from strait.clock import SECOND, from_timestamp
from strait.engine.entries import Entry
from strait.engine.model import Approval, Json
from strait.engine.refusal import Refused
from strait.engine.workflows import compensation, cost_gates, events, reopen
from strait.engine.workflows.advance import advance
from strait.engine.workflows.draft import UNSTARTED, Draft, costs_nothing
from strait.engine.workflows.effects import (
    CancelCompensation,
    EmitEvent,
    PauseJob,
    ResumeJob,
    SettleTriggers,
)
from strait.engine.workflows.failure import cancel_step, end_run, fail_step, reject_approval
from strait.engine.workflows.state import State, Transition
from strait.fsm import is_terminal_workflow_run_status
from strait.templating import TemplateError, TransformError, render_key, transform

_RUN_IS_OVER = "workflow run already in terminal state"


def decide(
    state: State,
    event: events.Event,
    now: int,
    new_id: Callable[[], str],
    mean_cost: Callable[[str], int] = costs_nothing,
) -> Transition | None:
    """Return what a workflow run becomes by `event`, or None when it does not concern it.

    Args:
        state: the run as it is stored.
        event: what happened.
        now: the instant in microseconds since the epoch.
        new_id: makes the ids of the job runs that are started.
        mean_cost: says what a run of a job costs on average, in microusd, where a step asks.

    Raises:
        Refused: the event is a request, and the run or the step is in no state for it.
    """
    draft = Draft(state, now, new_id, mean_cost)
    concerned: bool = _DECISIONS[type(event)](draft, event)
    if not concerned:
        return None
    advance(draft)
    return draft.transition()


# ---------------------------------------------------------------------------------- steps that end


def _job_ended(draft: Draft, event: events.JobEnded) -> bool:
    step = draft.step_run(event.ref)
    if step.status != "running" or step.job_run_id != event.job_run_id:
        return False
    match event.status:
        case "completed":
            _complete(draft, event.ref, _transformed(draft, event.ref, event.output), emits=True)
        case "canceled":
            cancel_step(draft, event.ref, event.error)
        case status:
            fail_step(draft, event.ref, event.error or f"job run ended with status {status}")
    return True


def _child_ended(draft: Draft, event: events.ChildEnded) -> bool:
    running = draft.step_run(event.ref).status == "running"
    if not running or draft.steps[event.ref].step_type != "sub_workflow":
        return False
    match event.status:
        case "completed":
            _complete(draft, event.ref, event.outputs)
        case "failed":
            fail_step(draft, event.ref, event.error or f"sub-workflow {event.workflow_id} failed")
        case status:
            fail_step(
                draft, event.ref, f"sub-workflow {event.workflow_id} ended with status {status}"
            )
    return True


def _event_received(draft: Draft, event: events.EventReceived) -> bool:
    if not _waits(draft, event.ref):
        return False
    if draft.steps[event.ref].step_type == "approval":
        _approve(draft, event.ref, event.sent_by)
        return _settled(draft, event.ref, "received", event.payload)
    return _settled(draft, event.ref, "received", event.payload, emits=True)


def _sleep_elapsed(draft: Draft, event: events.SleepElapsed) -> bool:
    if not _waits(draft, event.ref) or draft.steps[event.ref].step_type != "sleep":
        return False
    slept_us = draft.now - from_timestamp(draft.step_runs[event.ref].started_at)
    output = {"slept_for_secs": round(slept_us / SECOND, 1), "completed_at": draft.stamp}
    return _settled(draft, event.ref, "received", output, emits=True)


def _event_timed_out(draft: Draft, event: events.EventTimedOut) -> bool:
    if not _waits(draft, event.ref):
        return False
    if draft.steps[event.ref].step_type == "approval":
        return _wait_failed(draft, event.ref, "timed_out", "approval timed out")
    return _wait_failed(draft, event.ref, "timed_out", "event trigger timed out")


def _approval_timed_out(draft: Draft, event: events.ApprovalTimedOut) -> bool:
    approval = draft.approvals.get(event.ref)
    if approval is None or approval.status != "pending" or not _waits(draft, event.ref):
        return False
    default_action = draft.steps[event.ref].cost_gate_default_action
    if cost_gates.is_gate(approval) and default_action == "approve":
        _approve(draft, event.ref, cost_gates.TIMEOUT_ACTOR)
        cost_gates.let_through(draft, event.ref)
        return True
    return _wait_failed(draft, event.ref, "timed_out", "approval timed out")


def _event_canceled(draft: Draft, event: events.EventCanceled) -> bool:
    return _waits(draft, event.ref) and _wait_failed(draft, event.ref, "canceled", event.error)


def _start_failed(draft: Draft, event: events.StartFailed) -> bool:
    step = draft.step_run(event.ref)
    if step.status != "running" and not draft.is_waited_for(event.ref):
        return False
    if step.status == "running":
        fail_step(draft, event.ref, event.error)
        return True
    return _wait_failed(draft, event.ref, "canceled", event.error)


def _waits(draft: Draft, ref: str) -> bool:
    draft.step_run(ref)
    return draft.is_waited_for(ref)


def _settled(
    draft: Draft, ref: str, status: str, output: Json | UnsetType, *, emits: bool = False
) -> bool:
    """Complete a step that has waited, and end what it waited for."""
    draft.effects.append(SettleTriggers(draft.step_runs[ref].id, status, payload=output))
    _complete(draft, ref, output, emits=emits)
    return True


def _wait_failed(draft: Draft, ref: str, status: str, error: str) -> bool:
    """Let a step fail that has waited in vain, and end what it waited for."""
    draft.effects.append(SettleTriggers(draft.step_runs[ref].id, status, error))
    approval = draft.approvals.get(ref)
    if approval is not None and approval.status == "pending":
        outcome = "timed_out" if status == "timed_out" else "rejected"
        draft.put_approval(ref, replace(approval, status=outcome, error=error))
    fail_step(draft, ref, error)
    return True


def _complete(draft: Draft, ref: str, output: Json | UnsetType, *, emits: bool = False) -> None:
    draft.move_step(
        ref, "completed", f"step `{ref}` completed", output=output, finished_at=draft.stamp
    )
    if emits and draft.steps[ref].event_emit_key:
        _emit(draft, ref, output)


def _emit(draft: Draft, ref: str, output: Json | UnsetType) -> None:
    try:
        key = render_key(draft.steps[ref].event_emit_key, draft.run.payload)
    except TemplateError as error:
        draft.note(Entry("log", f"step `{ref}` sends no event: {error}", "warn"))
        return
    if key:
        draft.effects.append(EmitEvent(key, output))


def _transformed(draft: Draft, ref: str, output: Json | UnsetType) -> Json | UnsetType:
    path = draft.steps[ref].output_transform
    if not path or output is UNSET:
        return output
    try:
        return transform(path, output)
    except TransformError as error:
        draft.note(Entry("log", f"step `{ref}` keeps its whole output: {error}", "warn"))
        return output


# ------------------------------------------------------------------------------------- approvals


def _approved(draft: Draft, event: events.Approved) -> bool:
    ref = event.ref
    approval = _asked(draft, ref, event.approver)
    draft.put_approval(ref, replace(approval, person=event.person))
    _approve(draft, ref, event.approver)
    if cost_gates.is_gate(approval):
        cost_gates.let_through(draft, ref)
        return True
    return _settled(draft, ref, "received", UNSET)


def _rejected(draft: Draft, event: events.Rejected) -> bool:
    approval = _asked(draft, event.ref, event.approver)
    rejected = replace(
        approval,
        status="rejected",
        approved_by=event.approver,
        error=event.reason,
        person=event.person,
    )
    draft.put_approval(event.ref, rejected)
    by = f" by {event.person}" if event.person else ""
    return _wait_failed(draft, event.ref, "canceled", f"approval rejected{by}: {event.reason}")


def _asked(draft: Draft, ref: str, approver: str) -> Approval:
    """Return the approval that a step waits for, which an actor may give or refuse."""
    if not approver:
        raise Refused(400, "approver is required")
    draft.step_run(ref)
    if draft.is_over(ref):
        raise Refused(400, f"step {ref} is already in terminal state")
    approval = draft.approvals.get(ref)
    if approval is None or not draft.is_waited_for(ref):
        raise Refused(400, f"approval not found for step {ref}")
    if approval.status != "pending":
        raise Refused(400, f"approval for step {ref} is already {approval.status}")
    if approval.expires_at and approval.expires_at <= draft.stamp:
        # Its timer may be late, as after the machine was suspended.
        raise Refused(400, f"approval for step {ref} has timed out at {approval.expires_at}")
    if approval.approvers and approver not in approval.approvers:
        raise Refused(400, f"approver {approver} is not allowed for step {ref}")
    return approval


def _approve(draft: Draft, ref: str, actor: str) -> None:
    approval = draft.approvals.get(ref)
    if approval is not None and approval.status == "pending":
        draft.put_approval(
            ref,
            replace(approval, status="approved", approved_by=actor, approved_at=draft.stamp),
        )


# ------------------------------------------------------------------------------ steps by hand


def _skip_step(draft: Draft, event: events.SkipStep) -> bool:
    ref = event.ref
    step = draft.step_run(ref)
    if step.status not in UNSTARTED:
        raise Refused(400, f"cannot skip step in {step.status} status")
    if draft.is_waited_for(ref):
        reject_approval(draft, ref, event.actor or "skip", event.reason)
        draft.effects.append(SettleTriggers(step.id, "canceled", event.reason or "step skipped"))
    # Never empty: it tells a step that somebody skipped from one that its condition did.
    reason = event.reason or reopen.SKIPPED_BY_HAND
    draft.move_step(
        ref, "skipped", f"step `{ref}` skipped: {reason}", error=reason, finished_at=draft.stamp
    )
    return True


def _force_complete(draft: Draft, event: events.ForceComplete) -> bool:
    ref = event.ref
    step = draft.step_run(ref)
    if step.status not in UNSTARTED:
        raise Refused(400, f"cannot force-complete step in {step.status} status")
    if draft.is_waited_for(ref):
        _approve(draft, ref, event.actor or "force-complete")
        return _settled(draft, ref, "received", event.result)
    _complete(draft, ref, event.result)
    return True


def _retry_step(draft: Draft, event: events.RetryStep) -> bool:
    reopen.retry_step(draft, event.ref, event.timeout_secs)
    return True


def _replay_subtree(draft: Draft, event: events.ReplaySubtree) -> bool:
    reopen.replay_subtree(draft, event.ref, event.timeout_secs)
    return True


# ----------------------------------------------------------------------------------- whole runs


def _pause(draft: Draft, event: events.Pause) -> bool:
    if draft.run.status == "paused":
        return False
    if is_terminal_workflow_run_status(draft.run.status):
        raise Refused(400, _RUN_IS_OVER)
    if draft.run.status != "running":
        raise Refused(400, "workflow run can only be paused from running state")
    draft.move_run("paused", "pause")
    draft.effects += [PauseJob(job_run_id) for job_run_id in _job_runs(draft)]
    return True


def _resume(draft: Draft, event: events.Resume) -> bool:
    if draft.run.status != "paused":
        raise Refused(400, "workflow run is not paused")
    draft.move_run("running", "resume")
    draft.effects += [ResumeJob(job_run_id) for job_run_id in _job_runs(draft)]
    return True


def _job_runs(draft: Draft) -> list[str]:
    running = (step for step in draft.step_runs.values() if step.status == "running")
    return [step.job_run_id for step in running if step.job_run_id]


def _cancel(draft: Draft, event: events.Cancel) -> bool:
    if is_terminal_workflow_run_status(draft.run.status):
        raise Refused(400, _RUN_IS_OVER)
    if draft.run.status == "compensating":
        draft.effects.append(CancelCompensation(event.step_error))
    end_run(
        draft,
        "canceled",
        event.error,
        "cancel",
        step_error=event.step_error,
        job_error=event.step_error,
    )
    return True


def _timed_out(draft: Draft, event: events.TimedOut) -> bool:
    run = draft.run
    active = run.status in {"running", "paused"}
    if not active or not run.expires_at or run.expires_at > draft.stamp:
        return False
    error = "workflow timed out"
    end_run(draft, "timed_out", error, "timeout", step_error=error, job_error=error)
    return True


def _recheck(draft: Draft, event: events.Recheck) -> bool:
    if draft.run.status != "running":
        return False
    draft.recount(list(draft.step_runs))
    return True


def _compensate(draft: Draft, event: events.Compensate) -> bool:
    compensation.begin(draft, event.reason)
    return True


def _compensation_ended(draft: Draft, event: events.CompensationEnded) -> bool:
    if draft.run.status != "compensating":
        return False
    compensation.proceed(draft, event.ref, event.status, event.error)
    return True


_DECISIONS: dict[type, Callable[[Draft, Any], bool]] = {
    events.JobEnded: _job_ended,
    events.ChildEnded: _child_ended,
    events.EventReceived: _event_received,
    events.EventTimedOut: _event_timed_out,
    events.EventCanceled: _event_canceled,
    events.SleepElapsed: _sleep_elapsed,
    events.Approved: _approved,
    events.Rejected: _rejected,
    events.ApprovalTimedOut: _approval_timed_out,
    events.StartFailed: _start_failed,
    events.Pause: _pause,
    events.Resume: _resume,
    events.Cancel: _cancel,
    events.TimedOut: _timed_out,
    events.SkipStep: _skip_step,
    events.ForceComplete: _force_complete,
    events.RetryStep: _retry_step,
    events.ReplaySubtree: _replay_subtree,
    events.Recheck: _recheck,
    events.Compensate: _compensate,
    events.CompensationEnded: _compensation_ended,
}

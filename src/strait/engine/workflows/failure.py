"""How steps and runs end before their time (`contract/workflows.md` §3.7, §3.8, §3.15)."""

from __future__ import annotations

from msgspec.structs import replace

from strait.engine.model import StepRun
from strait.engine.workflows.draft import Draft
from strait.engine.workflows.effects import CancelChild, CancelJob, SettleTriggers

TRIGGER_ERROR = "workflow canceled"
"""The error of a wait whose workflow run is over."""


def fail_step(draft: Draft, ref: str, error: str) -> None:
    """Let a step fail, and do what its `on_failure` says.

    `continue` counts it as resolved, `skip_dependents` skips all that depends on it, anything
    else ends the run, also one that is paused.
    """
    message = f"step `{ref}` failed: {error}"
    draft.move_step(ref, "failed", message, level="error", error=error, finished_at=draft.stamp)
    match draft.steps[ref].on_failure:
        case "continue":
            pass
        case "skip_dependents":
            skip_dependents(draft, ref, f"step `{ref}` failed")
        case _:
            end_run(draft, "failed", error, "step_failed", job_error="workflow failed")


def cancel_step(draft: Draft, ref: str, error: str) -> None:
    """Let a step end as canceled; what needs it is skipped, unless its policy is `continue`."""
    draft.move_step(ref, "canceled", f"step `{ref}` canceled", error=error, finished_at=draft.stamp)
    if draft.steps[ref].on_failure != "continue":
        skip_dependents(draft, ref, f"step `{ref}` was canceled")


def skip_dependents(draft: Draft, ref: str, why: str) -> None:
    """Skip all steps that depend on a step, directly or not, and have not ended."""
    for dependent in draft.descendants(ref):
        # One that has begun (its dependency is done again) goes on.
        if not draft.is_over(dependent) and not draft.step_runs[dependent].started_at:
            message = f"step `{dependent}` skipped: {why}"
            draft.move_step(dependent, "skipped", message, finished_at=draft.stamp)


def end_run(
    draft: Draft,
    status: str,
    error: str,
    reason: str,
    *,
    step_error: str = "",
    job_error: str,
) -> None:
    """End a run now: its steps are canceled with all that they have under way."""
    for ref in draft.step_runs:
        if not draft.is_over(ref):
            _stop_step(draft, ref, step_error, job_error)
    draft.move_run(status, reason, error=error, finished_at=draft.stamp)


def reject_approval(draft: Draft, ref: str, actor: str, reason: str) -> None:
    """Close the approval of a step, if one is pending, without approval."""
    approval = draft.approvals.get(ref)
    if approval is not None and approval.status == "pending":
        draft.put_approval(
            ref, replace(approval, status="rejected", approved_by=actor, error=reason)
        )


def _stop_step(draft: Draft, ref: str, step_error: str, job_error: str) -> None:
    before = draft.step_runs[ref]
    if before.status == "running":
        _stop_work(draft, before, job_error)
    elif before.started_at:
        draft.effects.append(SettleTriggers(before.id, "canceled", TRIGGER_ERROR))
        reject_approval(draft, ref, "", job_error)
    message = f"step `{ref}` canceled: {job_error}"
    draft.move_step(ref, "canceled", message, error=step_error, finished_at=draft.stamp)


def _stop_work(draft: Draft, step: StepRun, error: str) -> None:
    if step.job_run_id:
        draft.effects.append(CancelJob(step.job_run_id, error))
    else:
        draft.effects.append(CancelChild(step.id, error))

"""Cost gates: a job step whose job costs much is asked about before it runs (`contract` §3.12).

A step waits at its gate like an approval does, for anybody. Once it is let through, it is started
like a step that has just become ready: the limits of its run and a pause hold for it.
"""

from __future__ import annotations

from strait.engine.model import Approval, StepDefinition, StepRun
from strait.engine.workflows.draft import Draft
from strait.engine.workflows.instants import in_secs

DEFAULT_TIMEOUT_SECS = 3600
MAX_TIMEOUT_SECS = 30 * 24 * 3600
TIMEOUT_ACTOR = "system:cost-gate-timeout"
"""Who approves a gate with the default action `approve` that nobody answered in time."""


def is_gate(approval: Approval) -> bool:
    """Say whether an approval is that of a cost gate."""
    return approval.id.startswith("costgate:")


def must_ask(draft: Draft, step: StepDefinition) -> bool:
    """Say whether a step costs more than it may without being asked about."""
    threshold = step.cost_gate_threshold_microusd
    if threshold <= 0 or _was_let_through(draft, step):
        return False
    return draft.mean_cost(step.job_id) > threshold


def _was_let_through(draft: Draft, step: StepDefinition) -> bool:
    approval = draft.approvals.get(step.step_ref)
    if approval is None or approval.id != _id(draft.step_runs[step.step_ref]):
        return False
    return approval.status == "approved"


def ask(draft: Draft, waiting: StepRun, step: StepDefinition) -> None:
    """Ask about a step that has begun to wait for the answer."""
    secs = step.cost_gate_timeout_secs
    secs = min(secs if secs > 0 else DEFAULT_TIMEOUT_SECS, MAX_TIMEOUT_SECS)
    approval = Approval(
        id=_id(waiting),
        workflow_run_id=draft.run.id,
        workflow_step_run_id=waiting.id,
        status="pending",
        requested_at=draft.stamp,
        approvers=(),
        expires_at=in_secs(draft.now, secs),
    )
    draft.put_approval(step.step_ref, approval)


def let_through(draft: Draft, ref: str) -> None:
    """Let a step start that was asked about."""
    draft.change_step(ref, started_at="")
    draft.note_step(ref, f"the cost of step `{ref}` was approved")


def _id(step: StepRun) -> str:
    # A step that is done again is asked about again.
    suffix = f":{step.attempt}" if step.attempt > 1 else ""
    return f"costgate:{step.id}{suffix}"

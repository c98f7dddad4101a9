"""Undoing what a failed run has done, step by step in reverse (`contract/workflows.md` §3.14).

The plan follows from the state alone and does not change while it is worked off, so what comes
next is what stands behind the step that was undone last.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, field

from strait import dag
from strait.engine.entries import Entry
from strait.engine.model import Json
from strait.engine.refusal import Refused
from strait.engine.workflows.draft import Draft
from strait.engine.workflows.effects import StartCompensation
from strait.engine.workflows.state import State

_REFUSALS = {
    "compensating": "is already compensating",
    "compensated": "is already compensated",
    "compensation_failed": "compensation already failed",
}


class CompensationStep(Struct, frozen=True):
    """A step to be undone; on the wire its names are those that the platform sends."""

    step_ref: str = field(name="StepRef")
    step_run_id: str = field(name="StepRunID")
    job_id: str = field(name="CompensationJobID")
    timeout_secs: int = field(name="TimeoutSecs")
    original_output: Json = field(name="OriginalOutput")


class CompensationPlan(Struct, frozen=True):
    """What is undone, in this order."""

    workflow_run_id: str = field(name="WorkflowRunID")
    steps: tuple[CompensationStep, ...] = field(name="Steps")


def plan(state: State) -> CompensationPlan:
    """Return the completed steps that have a compensation job, in reverse topological order."""
    by_ref = {step.step_ref: step for step in state.steps}
    order = dag.topological_order([(ref, by_ref[ref].depends_on) for ref in sorted(by_ref)])
    steps = []
    for ref in reversed(order):
        run, step = state.step_runs[ref], by_ref[ref]
        if run.status == "completed" and step.compensation_job_id:
            secs = step.compensation_timeout_secs
            steps.append(
                CompensationStep(ref, run.id, step.compensation_job_id, secs, _or_null(run.output))
            )
    return CompensationPlan(state.run.id, tuple(steps))


def _or_null(output: Json | UnsetType) -> Json:
    return None if output is UNSET else output


def begin(draft: Draft, reason: str) -> None:
    """Begin to undo a run.

    Raises:
        Refused: 400, the run did not fail or time out, or no step has anything to undo it.
    """
    run = draft.run
    if run.status in _REFUSALS:
        raise Refused(400, f"workflow run {run.id} {_REFUSALS[run.status]}")
    if run.status not in {"failed", "timed_out"}:
        raise Refused(
            400,
            f"workflow run {run.id} has status {run.status}, "
            "only failed or timed_out runs can be compensated",
        )
    steps = plan(draft.state()).steps
    if not steps:
        raise Refused(400, "no steps require compensation")
    draft.move_run("compensating", "compensate", error=reason)
    _start(draft, steps[0])


def proceed(draft: Draft, ref: str, status: str, error: str) -> None:
    """Undo the next step, or end the compensation."""
    if status != "completed":
        error = error or f"compensation job ended with status {status}"
        draft.move_run("compensation_failed", "compensate", error=error, finished_at=draft.stamp)
        return
    data: dict[str, Json] = {"step_ref": ref, "undone": True}
    draft.note(Entry("compensation", f"step `{ref}` was undone", data=data))
    steps = plan(draft.state()).steps
    done = [step.step_ref for step in steps].index(ref)
    if done + 1 < len(steps):
        _start(draft, steps[done + 1])
    else:
        draft.move_run("compensated", "compensate", finished_at=draft.stamp)


def _start(draft: Draft, step: CompensationStep) -> None:
    payload: dict[str, Json] = {
        "workflow_run_id": draft.run.id,
        "step_run_id": step.step_run_id,
        "step_ref": step.step_ref,
        "compensation_job_id": step.job_id,
        "original_step_output": step.original_output,
    }
    draft.effects.append(
        StartCompensation(step.step_ref, step.step_run_id, step.job_id, payload, step.timeout_secs)
    )
    draft.note(
        Entry(
            "compensation",
            f"step `{step.step_ref}` is being undone",
            data={"step_ref": step.step_ref},
        )
    )

"""Doing steps again after they, and perhaps their run, have ended (`contract/workflows.md` §3.16).

A run that has ended has canceled what was under way, so opening it again opens those steps too;
otherwise it would end as completed with work left undone. A step behind one that failed and is
not done again stays as it is: it could never start.
"""

from __future__ import annotations

from strait import dag
from strait.engine.refusal import Refused
from strait.engine.workflows.draft import Draft
from strait.engine.workflows.instants import in_secs
from strait.fsm import workflow_run_can_move

SKIPPED_BY_HAND = "skipped by hand"
"""The error of a step that somebody skipped without giving a reason."""


def retry_step(draft: Draft, ref: str, timeout_secs: int) -> None:
    """Do a step again, and those after it that were canceled or skipped because of it.

    Raises:
        Refused: 404 unknown step; 400 it has not ended; 409 the run cannot be opened again, or
            the step depends on one that failed.
    """
    _require_ended(draft, ref)
    left_undone = [other for other in draft.descendants(ref) if _was_left_undone(draft, other)]
    _reopen(draft, [ref, *left_undone], timeout_secs)


def replay_subtree(draft: Draft, ref: str, timeout_secs: int) -> None:
    """Do a step and everything that depends on it again.

    Raises:
        Refused: 404 unknown step; 400 it has not ended; 409 the run cannot be opened again, the
            step depends on one that failed, or one that depends on it is under way.
    """
    if ref not in draft.step_runs:
        raise Refused(404, "step not found in workflow version")
    _require_ended(draft, ref)
    descendants = draft.descendants(ref)
    for other in descendants:
        if draft.step_runs[other].started_at and not draft.is_over(other):
            raise Refused(409, f"step {other} is under way; cancel it or wait for its end first")
    again = [ref, *(other for other in descendants if draft.is_over(other))]
    _reopen(draft, again, timeout_secs)


def _require_ended(draft: Draft, ref: str) -> None:
    draft.step_run(ref)
    if not draft.is_over(ref):
        raise Refused(400, "step run must be terminal to retry")


def _was_left_undone(draft: Draft, ref: str) -> bool:
    step = draft.step_runs[ref]
    return step.status == "canceled" or (step.status == "skipped" and not step.error)


def _reopen(draft: Draft, refs: list[str], timeout_secs: int) -> None:
    wanted = set(refs)
    was_over = draft.run.status not in {"running", "paused"}
    if was_over:
        wanted |= {ref for ref, step in draft.step_runs.items() if step.status == "canceled"}
    reset = _those_that_can_start(draft, wanted)
    if refs[0] not in reset:
        failed = next(
            dep
            for dep in draft.steps[refs[0]].depends_on
            if dep not in reset and (dep in wanted or not _may_resolve(draft, dep))
        )
        raise Refused(409, f"step {refs[0]} depends on step {failed}; retry that one first")
    if was_over:
        _reopen_run(draft, timeout_secs)
    for ref in reset:
        draft.reset_step(ref)
    draft.recount(list(draft.step_runs))


def _those_that_can_start(draft: Draft, wanted: set[str]) -> list[str]:
    """Return the refs of `wanted` without those behind a failure, in the order of definition."""
    can_start: set[str] = set()
    for ref in dag.topological_order((s.step_ref, s.depends_on) for s in draft.steps.values()):
        if ref in wanted and all(
            dep in can_start if dep in wanted else _may_resolve(draft, dep)
            for dep in draft.steps[ref].depends_on
        ):
            can_start.add(ref)
    return [ref for ref in draft.steps if ref in can_start]


def _may_resolve(draft: Draft, ref: str) -> bool:
    return draft.is_resolved(ref) or not draft.is_over(ref)


def _reopen_run(draft: Draft, timeout_secs: int) -> None:
    # Not while it is being undone, and not after that.
    if not workflow_run_can_move(draft.run.status, "running"):
        raise Refused(409, "failed to reopen workflow run for retry")
    expires_at = in_secs(draft.now, timeout_secs)
    draft.move_run("running", "retry", error="", finished_at="", expires_at=expires_at)

"""Doing steps again after they, and perhaps their run, have ended (`contract/workflows.md` §3.16).

A run that has ended has canceled what was under way, so opening it again opens those steps too;
otherwise it would end as completed with work left undone.
"""

from __future__ import annotations

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine.refusal import Refused
from strait.engine.workflows.draft import Draft
from strait.fsm import workflow_run_can_move

SKIPPED_BY_HAND = "skipped by hand"
"""The error of a step that somebody skipped without giving a reason."""


def retry_step(draft: Draft, ref: str) -> None:
    """Do a step again, and those after it that were canceled or skipped because of it.

    Raises:
        Refused: 404 unknown step; 400 it has not ended; 409 the run cannot be opened again.
    """
    _require_ended(draft, ref)
    left_undone = [other for other in draft.descendants(ref) if _was_left_undone(draft, other)]
    _reopen(draft, [ref, *left_undone])


def replay_subtree(draft: Draft, ref: str) -> None:
    """Do a step and everything that depends on it again.

    Raises:
        Refused: 404 unknown step; 400 it has not ended; 409 the run cannot be opened again, or a
            step that depends on it is under way.
    """
    if ref not in draft.step_runs:
        raise Refused(404, "step not found in workflow version")
    _require_ended(draft, ref)
    descendants = draft.descendants(ref)
    for other in descendants:
        if draft.step_runs[other].started_at and not draft.is_over(other):
            raise Refused(409, f"step {other} is under way; cancel it or wait for its end first")
    _reopen(draft, [ref, *(other for other in descendants if draft.is_over(other))])


def _require_ended(draft: Draft, ref: str) -> None:
    draft.step_run(ref)
    if not draft.is_over(ref):
        raise Refused(400, "step run must be terminal to retry")


def _was_left_undone(draft: Draft, ref: str) -> bool:
    step = draft.step_runs[ref]
    return step.status == "canceled" or (step.status == "skipped" and not step.error)


def _reopen(draft: Draft, refs: list[str]) -> None:
    if draft.run.status not in {"running", "paused"}:
        refs += [ref for ref, step in draft.step_runs.items() if step.status == "canceled"]
        _reopen_run(draft)
    for ref in dict.fromkeys(refs):
        draft.reset_step(ref)
    draft.recount(list(draft.step_runs))


def _reopen_run(draft: Draft) -> None:
    # Not while it is being undone, and not after that.
    if not workflow_run_can_move(draft.run.status, "running"):
        raise Refused(409, "failed to reopen workflow run for retry")
    draft.move_run("running", "retry", error="", finished_at="", expires_at=renewed_expiry(draft))


def renewed_expiry(draft: Draft) -> str:
    """Return when the run times out if it begins now, or "" if it never does."""
    run = draft.run
    if not run.expires_at or not run.started_at:
        return run.expires_at
    allowed_us = from_timestamp(run.expires_at) - from_timestamp(run.started_at)
    return to_timestamp(draft.now + max(allowed_us, SECOND))

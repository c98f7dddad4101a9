"""Which runs have to be undone: those that failed for good after steps that have an undo."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from strait.engine.model import Run
from strait.fsm import is_terminal_run_status
from strait.reserved import UNDO_STEP_PREFIX

UNDO = "undo"
"""What triggers the companion of a run, which undoes its steps."""


class Step(Struct, frozen=True):
    """What a recorded step says of its undo."""

    name: str
    occurrence: int
    status: str = ""
    undo: bool = False


def may_need_undo(run: Run) -> bool:
    """Return whether steps of a run have to be undone, if it has any with an undo."""
    ended_badly = is_terminal_run_status(run.status) and run.status != "completed"
    return ended_badly and run.triggered_by != UNDO


def left_to_undo(steps: Iterable[Step]) -> list[Step]:
    """Return the steps that were completed, have an undo, and were not undone yet."""
    completed = [step for step in steps if step.status == "completed"]
    undone = {(step.name, step.occurrence) for step in completed}
    return [
        step
        for step in completed
        if step.undo and (UNDO_STEP_PREFIX + step.name, step.occurrence) not in undone
    ]

"""The life of one step in a workflow run.

    pending ──> waiting ──> running ──> completed, failed, canceled
       │           └──────> completed, failed, skipped, canceled
       └──────────────────> completed, failed, skipped, canceled

`waiting` is for what comes before the step (its dependencies) and for what it waits for itself
(an approval, an event, the end of a sleep). Such a wait can run out, and a step that cannot even
start (an unusable condition) fails at once, so `failed` is reached from there too; the platform's
table leaves these out and its store does not look at the table. REOPEN is a retry by hand.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from strait.fsm.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Mapping


class StepRunStatus(StrEnum):
    """Where a step stands; the values are the wire's."""

    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELED = "canceled"


class StepRunEvent(StrEnum):
    """What can happen to a step."""

    WAIT = "WAIT"
    START = "START"
    COMPLETE = "COMPLETE"
    FAIL = "FAIL"
    SKIP = "SKIP"
    CANCEL = "CANCEL"
    REOPEN = "REOPEN"


_S, _E = StepRunStatus, StepRunEvent

_NOT_STARTED = {
    _E.START: _S.RUNNING,
    _E.SKIP: _S.SKIPPED,
    _E.CANCEL: _S.CANCELED,
    _E.COMPLETE: _S.COMPLETED,
    _E.FAIL: _S.FAILED,
}
_ENDED = {_E.REOPEN: _S.PENDING}

STEP_RUN_TRANSITIONS: Mapping[StepRunStatus, Mapping[StepRunEvent, StepRunStatus]] = (
    MappingProxyType(
        {
            _S.PENDING: {_E.WAIT: _S.WAITING, **_NOT_STARTED},
            _S.WAITING: _NOT_STARTED,
            _S.RUNNING: {
                _E.COMPLETE: _S.COMPLETED,
                _E.FAIL: _S.FAILED,
                _E.CANCEL: _S.CANCELED,
            },
            _S.COMPLETED: _ENDED,
            _S.FAILED: _ENDED,
            _S.SKIPPED: _ENDED,
            _S.CANCELED: _ENDED,
        }
    )
)
"""Every transition of a step."""

TERMINAL_STEP_RUN_STATUSES = frozenset({_S.COMPLETED, _S.FAILED, _S.SKIPPED, _S.CANCELED})
"""The ends of a step; a retry of the step by hand opens it again."""

STEP_RUN_MACHINE = Machine(
    "step run", StepRunStatus, StepRunEvent, STEP_RUN_TRANSITIONS, TERMINAL_STEP_RUN_STATUSES
)


def transition_step_run(
    from_status: StepRunStatus | str, event: StepRunEvent | str
) -> StepRunStatus:
    """Return the status that `event` moves a step to.

    Raises:
        InvalidTransition: the machine has no such move; the text says which it has.
    """
    return STEP_RUN_MACHINE.transition(from_status, event)


def can_transition_step_run(from_status: StepRunStatus | str, event: StepRunEvent | str) -> bool:
    """Say whether `transition_step_run` would succeed."""
    return STEP_RUN_MACHINE.can_transition(from_status, event)


def step_run_can_move(from_status: StepRunStatus | str, to_status: StepRunStatus | str) -> bool:
    """Say whether some event moves a step from one status to the other."""
    return STEP_RUN_MACHINE.can_move(from_status, to_status)


def is_terminal_step_run_status(status: StepRunStatus | str) -> bool:
    """Say whether a step in this status has ended; a status not known here has not."""
    return STEP_RUN_MACHINE.is_terminal(status)

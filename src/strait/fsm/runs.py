"""The life of a job run.

    delayed ──> queued ──> (dequeued) ──> executing ──> completed
                  ^                        │    │
                  ├── waiting <────────────┘    ├─────> failed, timed_out, crashed,
                  ├── paused  <─────────────────┤       system_failed, dead_letter
                  └── dead_letter, replay_staged        (canceled and expired from before)

A retry is `executing -> queued`. A run that waits for an event or for its children goes back to
`queued` when what it waits for has come, so that it is dispatched again; the platform's own table
lacks that edge although its store moves runs along it (`waiting -> queued`), so ours has it.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from strait.fsm.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Mapping


class RunStatus(StrEnum):
    """Where a run stands; the values are the wire's."""

    DELAYED = "delayed"
    QUEUED = "queued"
    DEQUEUED = "dequeued"
    EXECUTING = "executing"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    SYSTEM_FAILED = "system_failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    DEAD_LETTER = "dead_letter"
    REPLAY_STAGED = "replay_staged"
    PAUSED = "paused"


class RunEvent(StrEnum):
    """What can happen to a run."""

    ENQUEUE = "ENQUEUE"
    DEQUEUE = "DEQUEUE"
    EXECUTE = "EXECUTE"
    COMPLETE = "COMPLETE"
    FAIL = "FAIL"
    TIMEOUT = "TIMEOUT"
    CRASH = "CRASH"
    SYSTEM_FAIL = "SYSTEM_FAIL"
    CANCEL = "CANCEL"
    EXPIRE = "EXPIRE"
    WAIT = "WAIT"
    REQUEUE = "REQUEUE"
    DEAD_LETTER = "DEAD_LETTER"
    REPLAY = "REPLAY"
    PAUSE = "PAUSE"
    RESUME = "RESUME"


_S, _E = RunStatus, RunEvent

RUN_TRANSITIONS: Mapping[RunStatus, Mapping[RunEvent, RunStatus]] = MappingProxyType(
    {
        _S.DELAYED: {_E.ENQUEUE: _S.QUEUED, _E.CANCEL: _S.CANCELED, _E.EXPIRE: _S.EXPIRED},
        _S.QUEUED: {
            _E.DEQUEUE: _S.DEQUEUED,
            _E.EXECUTE: _S.EXECUTING,
            _E.CANCEL: _S.CANCELED,
            _E.EXPIRE: _S.EXPIRED,
        },
        _S.DEQUEUED: {
            _E.EXECUTE: _S.EXECUTING,
            _E.REQUEUE: _S.QUEUED,
            _E.CANCEL: _S.CANCELED,
            _E.SYSTEM_FAIL: _S.SYSTEM_FAILED,
        },
        _S.EXECUTING: {
            _E.COMPLETE: _S.COMPLETED,
            _E.FAIL: _S.FAILED,
            _E.TIMEOUT: _S.TIMED_OUT,
            _E.CRASH: _S.CRASHED,
            _E.CANCEL: _S.CANCELED,
            _E.WAIT: _S.WAITING,
            _E.REQUEUE: _S.QUEUED,
            _E.SYSTEM_FAIL: _S.SYSTEM_FAILED,
            _E.DEAD_LETTER: _S.DEAD_LETTER,
            _E.PAUSE: _S.PAUSED,
        },
        _S.WAITING: {
            _E.EXECUTE: _S.EXECUTING,
            _E.REQUEUE: _S.QUEUED,
            _E.COMPLETE: _S.COMPLETED,
            _E.FAIL: _S.FAILED,
            _E.CANCEL: _S.CANCELED,
            _E.TIMEOUT: _S.TIMED_OUT,
        },
        _S.DEAD_LETTER: {_E.REQUEUE: _S.QUEUED, _E.REPLAY: _S.REPLAY_STAGED},
        _S.REPLAY_STAGED: {_E.ENQUEUE: _S.QUEUED, _E.CANCEL: _S.CANCELED},
        # `restart` of a paused run is a REQUEUE, `resume` a RESUME; both queue it.
        _S.PAUSED: {_E.RESUME: _S.QUEUED, _E.REQUEUE: _S.QUEUED, _E.CANCEL: _S.CANCELED},
    }
)
"""Every transition of a run."""

TERMINAL_RUN_STATUSES = frozenset(
    {
        _S.COMPLETED,
        _S.FAILED,
        _S.TIMED_OUT,
        _S.CRASHED,
        _S.SYSTEM_FAILED,
        _S.CANCELED,
        _S.EXPIRED,
        _S.DEAD_LETTER,
    }
)
"""The ends of a run. A dead letter is one of them, and can still be replayed by hand."""

RUN_MACHINE = Machine("run", RunStatus, RunEvent, RUN_TRANSITIONS, TERMINAL_RUN_STATUSES)


def transition_run(from_status: RunStatus | str, event: RunEvent | str) -> RunStatus:
    """Return the status that `event` moves a run to.

    Raises:
        InvalidTransition: the machine has no such move; the text says which it has.
    """
    return RUN_MACHINE.transition(from_status, event)


def can_transition_run(from_status: RunStatus | str, event: RunEvent | str) -> bool:
    """Say whether `transition_run` would succeed."""
    return RUN_MACHINE.can_transition(from_status, event)


def run_can_move(from_status: RunStatus | str, to_status: RunStatus | str) -> bool:
    """Say whether some event moves a run from one status to the other."""
    return RUN_MACHINE.can_move(from_status, to_status)


def is_terminal_run_status(status: RunStatus | str) -> bool:
    """Say whether a run in this status has ended; a status not known here has not."""
    return RUN_MACHINE.is_terminal(status)

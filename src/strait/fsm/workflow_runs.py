"""The life of a workflow run.

    pending ──> running <──> paused
                  │             │
                  └──────┬──────┘
                         v
        completed   failed   timed_out   canceled
                       └────┬────┘
                            v
                       compensating ──> compensated, compensation_failed, canceled

The retry of one step opens a run that has ended again (REOPEN). The platform means to do so and
is refused by its own guard; ours has the edge.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from strait.fsm.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Mapping


class WorkflowRunStatus(StrEnum):
    """Where a workflow run stands; the values are the wire's."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"


class WorkflowRunEvent(StrEnum):
    """What can happen to a workflow run."""

    START = "START"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    COMPLETE = "COMPLETE"
    FAIL = "FAIL"
    TIMEOUT = "TIMEOUT"
    CANCEL = "CANCEL"
    COMPENSATE = "COMPENSATE"
    COMPENSATION_COMPLETE = "COMPENSATION_COMPLETE"
    COMPENSATION_FAIL = "COMPENSATION_FAIL"
    REOPEN = "REOPEN"


_S, _E = WorkflowRunStatus, WorkflowRunEvent

_ENDS = {
    _E.COMPLETE: _S.COMPLETED,
    _E.FAIL: _S.FAILED,
    _E.TIMEOUT: _S.TIMED_OUT,
    _E.CANCEL: _S.CANCELED,
}

WORKFLOW_RUN_TRANSITIONS: Mapping[
    WorkflowRunStatus, Mapping[WorkflowRunEvent, WorkflowRunStatus]
] = MappingProxyType(
    {
        _S.PENDING: {_E.START: _S.RUNNING, _E.CANCEL: _S.CANCELED},
        _S.RUNNING: {_E.PAUSE: _S.PAUSED, **_ENDS},
        _S.PAUSED: {_E.RESUME: _S.RUNNING, **_ENDS},
        _S.COMPLETED: {_E.REOPEN: _S.RUNNING},
        _S.FAILED: {_E.COMPENSATE: _S.COMPENSATING, _E.REOPEN: _S.RUNNING},
        _S.TIMED_OUT: {_E.COMPENSATE: _S.COMPENSATING, _E.REOPEN: _S.RUNNING},
        _S.CANCELED: {_E.REOPEN: _S.RUNNING},
        _S.COMPENSATING: {
            _E.COMPENSATION_COMPLETE: _S.COMPENSATED,
            _E.COMPENSATION_FAIL: _S.COMPENSATION_FAILED,
            _E.CANCEL: _S.CANCELED,
        },
    }
)
"""Every transition of a workflow run."""

TERMINAL_WORKFLOW_RUN_STATUSES = frozenset(
    {
        _S.COMPLETED,
        _S.FAILED,
        _S.TIMED_OUT,
        _S.CANCELED,
        _S.COMPENSATED,
        _S.COMPENSATION_FAILED,
    }
)
"""The ends of a workflow run; some can be compensated or, step by step, tried again."""

WORKFLOW_RUN_MACHINE = Machine(
    "workflow run",
    WorkflowRunStatus,
    WorkflowRunEvent,
    WORKFLOW_RUN_TRANSITIONS,
    TERMINAL_WORKFLOW_RUN_STATUSES,
)


def transition_workflow_run(
    from_status: WorkflowRunStatus | str, event: WorkflowRunEvent | str
) -> WorkflowRunStatus:
    """Return the status that `event` moves a workflow run to.

    Raises:
        InvalidTransition: the machine has no such move; the text says which it has.
    """
    return WORKFLOW_RUN_MACHINE.transition(from_status, event)


def can_transition_workflow_run(
    from_status: WorkflowRunStatus | str, event: WorkflowRunEvent | str
) -> bool:
    """Say whether `transition_workflow_run` would succeed."""
    return WORKFLOW_RUN_MACHINE.can_transition(from_status, event)


def workflow_run_can_move(
    from_status: WorkflowRunStatus | str, to_status: WorkflowRunStatus | str
) -> bool:
    """Say whether some event moves a workflow run from one status to the other."""
    return WORKFLOW_RUN_MACHINE.can_move(from_status, to_status)


def is_terminal_workflow_run_status(status: WorkflowRunStatus | str) -> bool:
    """Say whether a workflow run in this status has ended; one not known here has not."""
    return WORKFLOW_RUN_MACHINE.is_terminal(status)

"""The state machines of the platform: job runs, workflow runs and their steps.

They are the server's own tables with what was intended added, they are what the embedded server
moves by, and they are pure: no clock, no I/O. `TERMINAL_*` and `*_TRANSITIONS` are the tables
themselves, read-only.

    >>> transition_run("executing", "COMPLETE")
    <RunStatus.COMPLETED: 'completed'>
    >>> run_can_move("waiting", "queued")
    True
"""

from __future__ import annotations

from strait.fsm.machine import InvalidTransition
from strait.fsm.runs import (
    RUN_TRANSITIONS,
    TERMINAL_RUN_STATUSES,
    RunEvent,
    RunStatus,
    can_transition_run,
    is_terminal_run_status,
    run_can_move,
    transition_run,
)
from strait.fsm.step_runs import (
    STEP_RUN_TRANSITIONS,
    TERMINAL_STEP_RUN_STATUSES,
    StepRunEvent,
    StepRunStatus,
    can_transition_step_run,
    is_terminal_step_run_status,
    step_run_can_move,
    transition_step_run,
)
from strait.fsm.workflow_runs import (
    TERMINAL_WORKFLOW_RUN_STATUSES,
    WORKFLOW_RUN_TRANSITIONS,
    WorkflowRunEvent,
    WorkflowRunStatus,
    can_transition_workflow_run,
    is_terminal_workflow_run_status,
    transition_workflow_run,
    workflow_run_can_move,
)

__all__ = [
    "RUN_TRANSITIONS",
    "STEP_RUN_TRANSITIONS",
    "TERMINAL_RUN_STATUSES",
    "TERMINAL_STEP_RUN_STATUSES",
    "TERMINAL_WORKFLOW_RUN_STATUSES",
    "WORKFLOW_RUN_TRANSITIONS",
    "InvalidTransition",
    "RunEvent",
    "RunStatus",
    "StepRunEvent",
    "StepRunStatus",
    "WorkflowRunEvent",
    "WorkflowRunStatus",
    "can_transition_run",
    "can_transition_step_run",
    "can_transition_workflow_run",
    "is_terminal_run_status",
    "is_terminal_step_run_status",
    "is_terminal_workflow_run_status",
    "run_can_move",
    "step_run_can_move",
    "transition_run",
    "transition_step_run",
    "transition_workflow_run",
    "workflow_run_can_move",
]

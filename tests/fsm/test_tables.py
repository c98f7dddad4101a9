"""The tables hold what the platform's server does, and what it was meant to do."""

from __future__ import annotations

import pytest

from strait.fsm import (
    RUN_TRANSITIONS,
    STEP_RUN_TRANSITIONS,
    WORKFLOW_RUN_TRANSITIONS,
    RunEvent,
    RunStatus,
    StepRunStatus,
    WorkflowRunStatus,
    is_terminal_run_status,
    is_terminal_step_run_status,
    is_terminal_workflow_run_status,
    run_can_move,
    step_run_can_move,
    workflow_run_can_move,
)

SERVER_RUN_TABLE = """
delayed: queued canceled expired
queued: dequeued executing canceled expired
dequeued: executing queued canceled system_failed
executing: completed failed timed_out crashed canceled
executing: waiting queued system_failed dead_letter paused
waiting: executing completed failed canceled timed_out
dead_letter: queued replay_staged
replay_staged: queued canceled
paused: queued canceled
"""
SERVER_WORKFLOW_TABLE = """
pending: running canceled
running: paused completed failed timed_out canceled
paused: running completed failed timed_out canceled
failed: compensating
timed_out: compensating
compensating: compensated compensation_failed canceled
"""
SERVER_STEP_TABLE = """
pending: waiting running skipped canceled completed
waiting: running skipped canceled completed
running: completed failed canceled
"""


def pairs(text):
    lines = (line.split(":") for line in text.strip().splitlines())
    return {(start, end) for start, ends in lines for end in ends.split()}


def moves(table):
    return {(start.value, end.value) for start, row in table.items() for end in row.values()}


def test_runs_move_as_on_the_server_and_a_waiting_run_can_be_queued_again():
    assert moves(RUN_TRANSITIONS) == pairs(SERVER_RUN_TABLE) | {("waiting", "queued")}


def test_workflow_runs_move_as_on_the_server_and_can_be_opened_again():
    reopened = {(end, "running") for end in ("completed", "failed", "timed_out", "canceled")}
    assert moves(WORKFLOW_RUN_TRANSITIONS) == pairs(SERVER_WORKFLOW_TABLE) | reopened


def test_steps_move_as_on_the_server_and_can_fail_before_they_run():
    reopened = {(end, "pending") for end in ("completed", "failed", "skipped", "canceled")}
    failed_early = {("waiting", "failed"), ("pending", "failed")}
    assert moves(STEP_RUN_TRANSITIONS) == pairs(SERVER_STEP_TABLE) | failed_early | reopened


@pytest.mark.parametrize(
    ("can_move", "table", "statuses"),
    [
        (run_can_move, RUN_TRANSITIONS, RunStatus),
        (workflow_run_can_move, WORKFLOW_RUN_TRANSITIONS, WorkflowRunStatus),
        (step_run_can_move, STEP_RUN_TRANSITIONS, StepRunStatus),
    ],
)
def test_can_move_answers_from_the_table_and_nothing_else(can_move, table, statuses):
    asked = {(a.value, b.value) for a in statuses for b in statuses if can_move(a, b)}
    assert asked == moves(table)
    assert asked == {
        (a.value, b.value) for a in statuses for b in statuses if can_move(str(a), str(b))
    }
    assert not can_move("hibernating", "queued")


@pytest.mark.parametrize(
    ("is_terminal", "statuses", "ended"),
    [
        (
            is_terminal_run_status,
            RunStatus,
            "completed failed timed_out crashed system_failed canceled expired dead_letter",
        ),
        (
            is_terminal_workflow_run_status,
            WorkflowRunStatus,
            "completed failed timed_out canceled compensated compensation_failed",
        ),
        (is_terminal_step_run_status, StepRunStatus, "completed failed skipped canceled"),
    ],
)
def test_terminal_statuses_are_those_of_the_server(is_terminal, statuses, ended):
    assert {status.value for status in statuses if is_terminal(status)} == set(ended.split())
    assert is_terminal("completed") is True
    assert is_terminal("a status of a later version") is False


def test_the_tables_cannot_be_changed():
    with pytest.raises(TypeError):
        RUN_TRANSITIONS[RunStatus.COMPLETED] = {RunEvent.CANCEL: RunStatus.CANCELED}

"""Moving through a machine: legal moves only, and refusals that help."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from strait import fsm
from strait.fsm.runs import RUN_MACHINE
from strait.fsm.step_runs import STEP_RUN_MACHINE
from strait.fsm.workflow_runs import WORKFLOW_RUN_MACHINE

MACHINES = [RUN_MACHINE, WORKFLOW_RUN_MACHINE, STEP_RUN_MACHINE]


def test_the_snippet_of_the_readme_holds():
    next_status = fsm.transition_run(fsm.RunStatus.EXECUTING, fsm.RunEvent.COMPLETE)
    assert next_status == fsm.RunStatus.COMPLETED
    assert fsm.is_terminal_run_status(next_status)


def test_plain_strings_are_as_good_as_members():
    assert fsm.transition_run("delayed", "ENQUEUE") is fsm.RunStatus.QUEUED
    assert fsm.transition_workflow_run("failed", "COMPENSATE") == "compensating"
    assert fsm.transition_step_run("waiting", "FAIL") == "failed"
    assert fsm.can_transition_run("queued", "COMPLETE") is False
    assert fsm.can_transition_workflow_run("paused", "RESUME") is True
    assert fsm.can_transition_step_run("pending", "START") is True


def test_a_dead_letter_has_ended_and_can_be_replayed():
    assert fsm.is_terminal_run_status("dead_letter")
    assert fsm.transition_run("dead_letter", "REPLAY") == "replay_staged"
    assert fsm.transition_run("dead_letter", "REQUEUE") == "queued"


@pytest.mark.parametrize(
    ("status", "event", "reason"),
    [
        (
            "completed",
            "CANCEL",
            "the run has ended, no event leads out of it",
        ),
        (
            "queued",
            "COMPLETE",
            "it takes `DEQUEUE`, `EXECUTE`, `CANCEL`, `EXPIRE`",
        ),
        (
            "dead_letter",
            "COMPLETE",
            "the run has ended; it takes `REQUEUE`, `REPLAY`",
        ),
    ],
)
def test_a_refusal_says_what_would_be_right(status, event, reason):
    with pytest.raises(fsm.InvalidTransition) as refusal:
        fsm.transition_run(status, event)
    assert str(refusal.value) == f"run status `{status}` takes no event `{event}`: {reason}"


def test_a_status_or_event_that_is_not_known_never_moves():
    with pytest.raises(fsm.InvalidTransition, match="this is no run status; known are `delayed`"):
        fsm.transition_run("hibernating", "COMPLETE")
    with pytest.raises(ValueError, match="this is no step run event; known are `WAIT`"):
        fsm.transition_step_run("running", "COMPLET")
    assert fsm.can_transition_run("hibernating", "COMPLETE") is False


def test_a_refusal_survives_pickling_and_copying():
    with pytest.raises(fsm.InvalidTransition) as refusal:
        fsm.transition_run("queued", "FAIL")
    error = refusal.value
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (twin.machine, twin.from_status, twin.event) == ("run", "queued", "FAIL")
        assert str(twin) == str(error)


@given(machine=st.sampled_from(MACHINES), data=st.data())
def test_the_questions_agree_for_every_status_and_event(machine, data):
    status = data.draw(st.sampled_from(list(machine.statuses)))
    event = data.draw(st.sampled_from(list(machine.events)))
    if machine.can_transition(status, event):
        target = machine.transition(status, event)
        assert machine.can_move(status, target)
        assert machine.transition(str(status), str(event)) is target
    else:
        with pytest.raises(fsm.InvalidTransition):
            machine.transition(status, event)


@given(machine=st.sampled_from(MACHINES), data=st.data())
def test_every_status_can_be_reached_and_every_running_one_can_end(machine, data):
    status = data.draw(st.sampled_from(list(machine.statuses)))
    first = next(iter(machine.statuses))
    assert status in reachable(machine, first)
    assert any(machine.is_terminal(end) for end in reachable(machine, status))


def reachable(machine, start):
    seen, stack = {start}, [start]
    while stack:
        for target in machine.table.get(stack.pop(), {}).values():
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return seen


# What a person has to ask for; nothing else leads out of an end.
BY_HAND = {"REQUEUE", "REPLAY", "COMPENSATE", "REOPEN"}


class Walk(RuleBasedStateMachine):
    """Throw any event at a machine and keep what it makes of them."""

    machine = RUN_MACHINE

    def __init__(self):
        super().__init__()
        self.status = next(iter(self.machine.statuses))

    @rule(data=st.data())
    def anything_happens(self, data):
        event = data.draw(st.sampled_from(list(self.machine.events)))
        before = self.status
        try:
            self.status = self.machine.transition(before, event)
        except fsm.InvalidTransition:
            assert not self.machine.can_transition(before, event)
        else:
            assert self.machine.can_move(before, self.status)
            if self.machine.is_terminal(before):
                assert event in BY_HAND

    @invariant()
    def the_status_is_a_member(self):
        assert self.status in list(self.machine.statuses)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.noun)
def test_an_ended_thing_is_moved_by_hand_only(machine):
    walk = type("Walk", (Walk,), {"machine": machine})
    run_state_machine_as_test(walk, settings=settings(max_examples=30, stateful_step_count=30))
    assert walk.machine is machine

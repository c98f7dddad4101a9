"""What is done to whole runs: pause, cancel, time out, do again, undo."""

from __future__ import annotations

import pytest
from msgspec import UNSET, json

from strait.clock import SECOND, to_timestamp
from strait.engine.refusal import Refused
from strait.engine.workflows import compensation, effects, events

from .workflow_support import EPOCH, begin, step, workflow


def refused(run, event):
    with pytest.raises(Refused) as caught:
        run.send(event)
    return caught.value.status, caught.value.message


def ended(**request):
    run = begin(step("a"), **request)
    run.job_ended("a")
    return run


# ------------------------------------------------------------------------------- pause and resume


def test_a_paused_run_starts_nothing_until_it_is_resumed():
    run = begin(step("a"), step("x"), step("b", "job", "a"), step("w", "wait_for_event"))
    run.send(events.Pause())
    assert run.status == "paused"
    held = [run["a"].job_run_id, run["x"].job_run_id]
    assert [e.job_run_id for e in run.of(effects.PauseJob)] == held
    run.job_ended("a", output=1)
    assert run.steps()["b"] == "waiting"
    assert run["b"].deps_completed == 1
    run.send(events.Resume())
    assert run.status == "running"
    assert [e.job_run_id for e in run.of(effects.ResumeJob)] == [run["x"].job_run_id]
    assert run.steps() == {"a": "completed", "x": "running", "b": "running", "w": "waiting"}
    assert [e.reason for e in run.of(effects.StatusChanged)] == ["trigger", "pause", "resume"]


def test_a_run_whose_last_step_ends_while_paused_is_completed_when_resumed():
    run = begin(step("a"))
    run.send(events.Pause())
    run.job_ended("a")
    assert run.status == "paused"
    run.send(events.Resume())
    assert run.status == "completed"


def test_pausing_twice_changes_nothing():
    run = begin(step("a"))
    run.send(events.Pause())
    assert run.send(events.Pause()) is None


def test_only_a_run_that_goes_on_can_be_paused_and_only_a_paused_one_resumed():
    assert refused(ended(), events.Pause()) == (400, "workflow run already in terminal state")
    assert refused(ended(), events.Resume()) == (400, "workflow run is not paused")
    assert refused(begin(step("a")), events.Resume()) == (400, "workflow run is not paused")
    assert refused(compensating(), events.Pause()) == (
        400,
        "workflow run can only be paused from running state",
    )


def test_a_failure_while_paused_ends_the_run():
    run = begin(step("a"), step("b"))
    run.send(events.Pause())
    run.job_ended("a", "failed", error="boom")
    assert (run.status, run.run.error) == ("failed", "boom")


# ------------------------------------------------------------------------------ cancel, timeouts


def test_a_cancel_reaches_everything():
    run = begin(
        step("a"), step("sub", "sub_workflow"), step("ok", "approval"), step("b", "job", "a")
    )
    run.send(events.Cancel())
    assert (run.status, run.run.error) == ("canceled", "canceled by user")
    assert {s.error for s in run.state.step_runs.values()} == {"workflow canceled by user"}
    assert len(run.of(effects.CancelJob)) == len(run.of(effects.CancelChild)) == 1
    assert len(run.of(effects.SettleTriggers)) == 1
    assert run.state.approvals["ok"].status == "rejected"
    assert refused(run, events.Cancel()) == (400, "workflow run already in terminal state")
    assert run.job_ended("a") is None


def test_a_bulk_cancel_has_words_of_its_own():
    run = begin(step("a"))
    run.send(events.Cancel("canceled by user (bulk)", "parent workflow canceled (bulk)"))
    assert run.run.error == "canceled by user (bulk)"
    assert run["a"].error == "parent workflow canceled (bulk)"
    assert run.of(effects.CancelJob)[0].error == "parent workflow canceled (bulk)"


@pytest.mark.parametrize("paused", [False, True])
def test_a_run_times_out_at_its_instant(paused):
    run = begin(step("a"), step("w", "wait_for_event"), flow=workflow(timeout_secs=30))
    if paused:
        run.send(events.Pause())
    assert run.send(events.TimedOut()) is None
    run.now = EPOCH + 29 * SECOND
    run.send(events.TimedOut())
    assert (run.status, run.run.error) == ("timed_out", "workflow timed out")
    assert run["a"].error == "workflow timed out"
    assert run.of(effects.SettleTriggers)[0].error == "workflow canceled"
    assert run.send(events.TimedOut()) is None


def test_a_run_without_a_timeout_never_times_out():
    run = begin(step("a"))
    run.now += 10**6 * SECOND
    assert run.send(events.TimedOut()) is None


# ------------------------------------------------------------------------------------- do again


def failed_chain():
    run = begin(
        step("a"),
        step("b", "job", "a"),
        step("c", "job", "b"),
        step("x", "wait_for_event"),
        flow=workflow(timeout_secs=100),
    )
    run.job_ended("a", output=1)
    run.job_ended("b", "dead_letter", error="boom")
    return run


def test_a_step_that_failed_can_be_done_again_and_the_run_goes_on():
    run = failed_chain()
    old_job, old_trigger = run["b"].job_run_id, run.trigger("x").id
    run.send(events.RetryStep("b", timeout_secs=100))
    assert run.status == "running"
    assert (run.run.error, run.run.finished_at) == ("", "")
    assert run.run.expires_at == to_timestamp(run.now + 100 * SECOND)
    assert run.steps() == {"a": "completed", "b": "running", "c": "pending", "x": "waiting"}
    assert (run["b"].attempt, run["b"].error) == (2, "")
    assert run["b"].job_run_id not in ("", old_job)
    assert run.trigger("x").id not in ("", old_trigger)
    assert run.payload("b") == {"parent_outputs": {"a": 1}}
    assert set(run.last.reset) == {"b", "c", "x"}
    run.job_ended("b")
    run.job_ended("c")
    run.send(events.EventReceived("x"))
    assert run.status == "completed"


def test_what_was_skipped_because_of_a_step_is_done_with_it_and_what_a_person_skipped_is_not():
    run = begin(
        step("a", on_failure="skip_dependents"),
        step("b", "job", "a"),
        step("c", "job", "a"),
        step("d", "job", "a"),
    )
    run.send(events.SkipStep("c"))
    run.send(events.SkipStep("d", "not needed"))
    run.job_ended("a", "failed")
    assert run.status == "failed"
    run.send(events.RetryStep("a"))
    assert run.steps() == {"a": "running", "b": "pending", "c": "skipped", "d": "skipped"}
    run.job_ended("a")
    run.job_ended("b")
    assert run.status == "completed"


def test_a_subtree_is_done_again_with_all_that_depends_on_it():
    run = begin(step("a"), step("b", "job", "a"), step("c", "job", "b"), step("x"))
    for ref in "abxc":
        run.job_ended(ref, output=ref)
    assert run.status == "completed"
    run.send(events.ReplaySubtree("b"))
    assert run.last.reset == ("b", "c")
    assert run.steps() == {"a": "completed", "b": "running", "c": "pending", "x": "completed"}
    assert run["c"].output is UNSET
    run.job_ended("b")
    assert run.steps()["c"] == "running"


def test_a_subtree_of_a_run_that_goes_on_can_be_done_again():
    run = begin(step("a"), step("b", "job", "a"), step("x"))
    run.job_ended("a")
    assert refused(run, events.ReplaySubtree("a")) == (
        409,
        "step b is under way; cancel it or wait for its end first",
    )
    run.job_ended("b")
    run.send(events.ReplaySubtree("a"))
    assert run.steps() == {"a": "running", "b": "pending", "x": "running"}


def test_a_step_done_again_in_a_paused_run_waits_for_the_resume():
    run = begin(step("a"), step("x"))
    run.job_ended("a")
    run.send(events.Pause())
    run.send(events.RetryStep("a"))
    assert run.steps() == {"a": "pending", "x": "running"}
    run.send(events.Resume())
    assert run.steps() == {"a": "running", "x": "running"}


@pytest.mark.parametrize("event", [events.RetryStep, events.ReplaySubtree])
def test_only_a_step_that_has_ended_can_be_done_again(event):
    run = begin(step("a"))
    assert refused(run, event("a")) == (400, "step run must be terminal to retry")
    assert refused(run, event("z"))[0] == 404
    told = (409, "failed to reopen workflow run for retry")
    assert refused(compensating(), event("a")) == told


def test_a_step_behind_a_failure_can_only_be_done_again_with_it():
    run = begin(step("ok"), step("bad"), step("b", "job", "ok", "bad"), step("x"))
    run.job_ended("ok")
    run.job_ended("bad", "failed")
    told = (409, "step b depends on step bad; retry that one first")
    assert refused(run, events.RetryStep("b")) == told
    assert refused(run, events.ReplaySubtree("b")) == told
    run.send(events.RetryStep("x"))
    assert run.steps() == {"ok": "completed", "bad": "failed", "b": "canceled", "x": "running"}
    run.job_ended("x")
    assert run.status == "failed"


def test_what_is_done_again_asks_for_its_approval_again():
    run = begin(step("ok", "approval"))
    run.send(events.Approved("ok", "alice"))
    run.send(events.RetryStep("ok"))
    approval = run.state.approvals["ok"]
    assert (approval.status, approval.approved_by) == ("pending", "")
    run.send(events.Approved("ok", "alice"))
    assert run.status == "completed"


# ------------------------------------------------------------------------------------------ undo


def to_compensate():
    return begin(
        step("a", compensation_job_id="undo-a", compensation_timeout_secs=9),
        step("b", "job", "a", compensation_job_id="undo-b"),
        step("c", "job", "a", compensation_job_id="undo-c"),
        step("n", "job", "a"),
        step("z", "job", "b", "c", "n", compensation_job_id="undo-z"),
    )


def failed_saga():
    run = to_compensate()
    run.job_ended("a", output={"n": 1})
    for ref in "bcn":
        run.job_ended(ref, output=ref)
    run.job_ended("z", "failed", error="boom")
    return run


def compensating():
    run = failed_saga()
    run.send(events.Compensate())
    return run


def test_completed_steps_are_undone_one_by_one_in_reverse_order():
    run = compensating()
    assert (run.status, run.run.error) == ("compensating", "compensation triggered manually")
    undone = []
    while run.status == "compensating":
        current = run.of(effects.StartCompensation)[-1]
        undone.append(current.ref)
        assert len(run.of(effects.StartCompensation)) == len(undone)
        run.send(events.CompensationEnded(current.ref, "completed"))
    assert undone == ["c", "b", "a"]
    assert run.status == "compensated"
    last = run.of(effects.StartCompensation)[-1]
    assert (last.job_id, last.timeout_secs) == ("undo-a", 9)
    assert last.payload == {
        "workflow_run_id": run.run.id,
        "step_run_id": run["a"].id,
        "step_ref": "a",
        "compensation_job_id": "undo-a",
        "original_step_output": {"n": 1},
    }
    assert run.send(events.CompensationEnded("a", "completed")) is None


def test_the_first_job_that_fails_ends_the_undoing():
    run = compensating()
    run.send(events.CompensationEnded("c", "dead_letter"))
    assert run.status == "compensation_failed"
    assert run.run.error == "compensation job ended with status dead_letter"
    assert len(run.of(effects.StartCompensation)) == 1
    run = compensating()
    run.send(events.CompensationEnded("c", "failed", "boom"))
    assert run.run.error == "boom"


def test_undoing_can_be_canceled():
    run = compensating()
    run.send(events.Cancel())
    assert run.status == "canceled"
    assert run.of(effects.CancelCompensation)


def test_only_a_run_that_failed_can_be_undone_and_only_once():
    def why(run):
        status, message = refused(run, events.Compensate())
        assert status == 400
        return message.removeprefix(f"workflow run {run.run.id} ")

    only = "only failed or timed_out runs can be compensated"
    assert why(ended()) == f"has status completed, {only}"
    assert why(compensating()) == "is already compensating"
    run = compensating()
    run.send(events.CompensationEnded("c", "failed"))
    assert why(run) == "compensation already failed"
    run = compensating()
    for ref in "cba":
        run.send(events.CompensationEnded(ref, "completed"))
    assert why(run) == "is already compensated"
    assert refused(failed_chain(), events.Compensate()) == (400, "no steps require compensation")


def test_a_plan_is_written_in_the_platforms_own_names():
    run = failed_saga()
    plan = json.decode(json.encode(compensation.plan(run.state)))
    assert plan["WorkflowRunID"] == run.run.id
    assert [s["StepRef"] for s in plan["Steps"]] == ["c", "b", "a"]
    assert plan["Steps"][2] == {
        "StepRef": "a",
        "StepRunID": run["a"].id,
        "CompensationJobID": "undo-a",
        "TimeoutSecs": 9,
        "OriginalOutput": {"n": 1},
    }


# --------------------------------------------------------------------------------------- history


def test_the_history_tells_what_happened():
    run = begin(step("a"), step("b", "job", "a", condition={"type": "any_of"}))
    run.job_ended("a", output=1)
    told = [(e.type, e.data.get("step_ref"), e.data.get("to")) for e in run.entries]
    assert told == [
        ("state_change", None, "running"),
        ("step", "a", "running"),
        ("step", "a", "completed"),
        ("decision", "b", None),
        ("step", "b", "skipped"),
        ("state_change", None, "completed"),
    ]
    assert all(e.message for e in run.entries)


def test_what_does_not_fit_a_step_does_not_concern_it():
    run = begin(step("a"))
    assert run.send(events.CompensationEnded("a", "completed")) is None
    assert run.send(events.ChildEnded("a", "x", "completed", {})) is None
    assert run.send(events.ApprovalTimedOut("a")) is None
    assert run.steps() == {"a": "running"}

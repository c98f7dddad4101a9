"""How steps of each type begin and end, and what a failure does to the rest."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from strait.clock import SECOND, to_timestamp
from strait.engine.refusal import Refused
from strait.engine.workflows import effects, events
from strait.engine.workflows.starting import NEVER, event_key_in_use, nesting_too_deep

from .workflow_support import EPOCH, begin, step, workflow


def refused(run, event):
    with pytest.raises(Refused) as caught:
        run.send(event)
    return caught.value.status, caught.value.message


# ------------------------------------------------------------------------------------------ jobs


def test_the_result_of_a_job_is_the_output_of_its_step():
    run = begin(step("a"))
    run.job_ended("a", output={"n": 1})
    assert run["a"].output == {"n": 1}
    assert run["a"].finished_at == to_timestamp(run.now)
    assert run.status == "completed"


@pytest.mark.parametrize(
    "status", ["failed", "dead_letter", "timed_out", "crashed", "system_failed", "expired"]
)
def test_a_job_that_ends_badly_fails_its_step(status):
    run = begin(step("a"))
    run.job_ended("a", status)
    assert run["a"].error == f"job run ended with status {status}"
    run = begin(step("a"))
    run.job_ended("a", status, error="boom")
    assert (run["a"].error, run.run.error, run.status) == ("boom", "boom", "failed")


def test_the_end_of_another_job_run_is_none_of_the_steps_business():
    run = begin(step("a"))
    assert run.send(events.JobEnded("a", "another", "completed")) is None
    run.job_ended("a")
    assert run.job_ended("a") is None


def test_a_canceled_job_cancels_its_step_and_skips_those_behind_it():
    run = begin(step("a"), step("b", "job", "a"), step("c", "job", "b"), step("d"))
    run.job_ended("a", "canceled", error="canceled by user")
    assert run.steps() == {"a": "canceled", "b": "skipped", "c": "skipped", "d": "running"}
    run.job_ended("d")
    assert run.status == "completed"


def test_a_canceled_job_whose_failure_would_not_matter_does_not_matter():
    run = begin(step("a", on_failure="continue"), step("b", "job", "a"))
    run.job_ended("a", "canceled")
    assert run.steps() == {"a": "canceled", "b": "running"}


# -------------------------------------------------------------------------------------- policies


def test_fail_workflow_ends_the_run_with_all_that_is_under_way():
    run = begin(
        step("bad"),
        step("job"),
        step("child", "sub_workflow"),
        step("event", "wait_for_event"),
        step("ok", "approval"),
        step("nap", "sleep"),
        step("later", "job", "job"),
    )
    run.job_ended("bad", "dead_letter", error="boom")
    assert run.status == "failed"
    assert run.run.error == "boom"
    assert set(run.steps().values()) == {"failed", "canceled"}
    assert run["job"].error == ""
    assert run.of(effects.CancelJob) == [
        effects.CancelJob(run["job"].job_run_id, "workflow failed")
    ]
    assert run.of(effects.CancelChild) == [effects.CancelChild(run["child"].id, "workflow failed")]
    settled = {(e.step_run_id, e.status, e.error) for e in run.of(effects.SettleTriggers)}
    assert settled == {
        (run[ref].id, "canceled", "workflow canceled") for ref in ("event", "ok", "nap")
    }
    assert run.state.approvals["ok"].status == "rejected"
    assert run.of(effects.StatusChanged)[-1] == effects.StatusChanged(
        "running", "failed", "step_failed"
    )


def test_an_unknown_policy_is_fail_workflow():
    run = begin(step("a", on_failure="whatever"), step("b"))
    run.job_ended("a", "failed")
    assert run.status == "failed"


def test_skip_dependents_lets_other_branches_end_and_the_run_fails_then():
    run = begin(
        step("a", on_failure="skip_dependents"),
        step("b", "job", "a"),
        step("c", "job", "b"),
        step("x"),
        step("y", "job", "x"),
    )
    run.job_ended("a", "failed", error="boom")
    assert run.steps() == {
        "a": "failed", "b": "skipped", "c": "skipped", "x": "running", "y": "waiting",
    }  # fmt: skip
    run.job_ended("x")
    run.job_ended("y")
    assert (run.status, run.run.error) == ("failed", "")


def test_continue_counts_a_failed_parent_at_every_join():
    run = begin(
        step("a", on_failure="continue"),
        step("b"),
        step("c", "job", "a", "b"),
        step("d", "job", "a"),
    )
    run.job_ended("a", "failed")
    assert run.steps()["d"] == "running"
    assert run.steps()["c"] == "waiting"
    run.job_ended("b", output=2)
    assert run.steps()["c"] == "running"
    assert run.payload("c") == {"parent_outputs": {"b": 2}}
    run.job_ended("c")
    run.job_ended("d")
    assert run.status == "completed"


# ------------------------------------------------------------------------------------- approvals


def test_an_approval_waits_for_one_of_its_approvers():
    run = begin(step("ok", "approval", approval_timeout_secs=60), step("b", "job", "ok"))
    approval = run.state.approvals["ok"]
    assert approval.id == f"approval:{run['ok'].id}"
    assert (approval.status, approval.approvers) == ("pending", ("alice",))
    assert approval.expires_at == to_timestamp(EPOCH + 60 * SECOND)
    trigger = run.trigger("ok")
    assert trigger.id == f"evt:approval:{run['ok'].id}"
    assert trigger.event_key == f"approval:{run.run.id}:ok"
    assert trigger.expires_at == approval.expires_at

    assert refused(run, events.Approved("ok", "")) == (400, "approver is required")
    assert refused(run, events.Approved("ok", "bob")) == (
        400,
        "approver bob is not allowed for step ok",
    )
    run.send(events.Approved("ok", "alice"))
    approval = run.state.approvals["ok"]
    assert (approval.status, approval.approved_by) == ("approved", "alice")
    assert approval.approved_at == to_timestamp(run.now)
    assert run["ok"].output is UNSET
    assert run.of(effects.SettleTriggers)[-1].status == "received"
    assert run.steps()["b"] == "running"


def test_an_approval_can_only_be_given_while_it_is_asked_for():
    run = begin(step("a"), step("ok", "approval", "a"))
    assert refused(run, events.Approved("ok", "alice")) == (
        400,
        "approval not found for step ok",
    )
    assert refused(run, events.Approved("a", "alice")) == (400, "approval not found for step a")
    assert refused(run, events.Approved("z", "alice")) == (404, "workflow step run not found")
    run.job_ended("a")
    run.send(events.Approved("ok", "alice"))
    assert refused(run, events.Approved("ok", "alice")) == (
        400,
        "step ok is already in terminal state",
    )


def test_an_approval_without_approvers_can_be_given_by_anybody():
    run = begin(step("ok", "approval", approval_approvers=()))
    run.send(events.Approved("ok", "somebody"))
    assert run.status == "completed"


def test_an_approval_without_a_timeout_waits_for_ever():
    run = begin(step("ok", "approval"))
    assert run.state.approvals["ok"].expires_at == ""
    assert run.trigger("ok").expires_at == NEVER


@pytest.mark.parametrize("event", [events.ApprovalTimedOut("ok"), events.EventTimedOut("ok")])
def test_an_approval_that_nobody_gives_fails_its_step(event):
    run = begin(step("ok", "approval", approval_timeout_secs=60))
    run.send(event)
    assert (run["ok"].status, run["ok"].error) == ("failed", "approval timed out")
    assert run.state.approvals["ok"].status == "timed_out"
    assert (run.status, run.run.error) == ("failed", "approval timed out")
    assert run.of(effects.SettleTriggers)[-1].status == "timed_out"
    assert run.send(event) is None


def test_an_event_to_an_approval_approves_it_in_the_name_of_the_sender():
    run = begin(step("ok", "approval"))
    run.send(events.EventReceived("ok", {"yes": True}, "internal"))
    approval = run.state.approvals["ok"]
    assert (approval.status, approval.approved_by) == ("approved", "internal")
    assert run["ok"].output == {"yes": True}


# ---------------------------------------------------------------------------------------- events


def test_a_step_waits_for_its_event_under_a_rendered_key():
    run = begin(
        step("w", "wait_for_event", event_key="order:{{o.ids.1}}", event_notify_url="http://n/"),
        payload={"o": {"ids": [1, 7]}},
    )
    trigger = run.trigger("w")
    assert trigger.event_key == "order:7"
    assert (trigger.id, trigger.trigger_type) == (f"evt:{run['w'].id}", "event")
    assert trigger.source_type == "workflow_step"
    assert (trigger.timeout_secs, trigger.expires_at) == (3600, to_timestamp(EPOCH + 3600 * SECOND))
    assert (trigger.notify_url, trigger.notify_status) == ("http://n/", "pending")
    run.send(events.EventReceived("w", {"paid": True}))
    assert run["w"].output == {"paid": True}
    assert run.status == "completed"


def test_the_timeout_of_an_event_is_bounded():
    run = begin(step("w", "wait_for_event", event_timeout_secs=10**9))
    assert run.trigger("w").timeout_secs == 2_592_000


@pytest.mark.parametrize(
    ("event", "error", "status"),
    [
        (events.EventTimedOut("w"), "event trigger timed out", "timed_out"),
        (events.EventCanceled("w"), "event trigger canceled by user", "canceled"),
        (events.StartFailed("w", event_key_in_use("k")), event_key_in_use("k"), "canceled"),
    ],
)
def test_an_event_that_does_not_come_fails_its_step(event, error, status):
    run = begin(step("w", "wait_for_event", on_failure="continue"), step("b", "job", "w"))
    run.send(event)
    assert (run["w"].status, run["w"].error) == ("failed", error)
    assert run.of(effects.SettleTriggers)[-1].status == status
    assert run.steps()["b"] == "running"
    assert run.send(event) is None


@pytest.mark.parametrize(
    ("key", "payload", "error"),
    [
        ("{{k}}", {"k": None}, "event_key is empty for step w"),
        ("{{k}}", {"k": "x" * 513}, "event_key exceeds 512 characters for step w"),
        ("{{k}}", {"k": "a\nb"}, "event_key contains invalid control characters for step w"),
    ],
)
def test_a_bad_event_key_fails_its_step(key, payload, error):
    run = begin(step("w", "wait_for_event", event_key=key), payload=payload)
    assert (run["w"].error, run.status) == (error, "failed")
    assert run.of(effects.OpenTrigger) == []


def test_a_step_that_is_not_waited_for_yet_takes_no_event():
    run = begin(step("a"), step("w", "wait_for_event", "a"))
    assert run.send(events.EventReceived("w")) is None
    assert run.send(events.EventTimedOut("w")) is None
    assert run.send(events.SleepElapsed("w")) is None


def test_a_step_sends_its_output_on_when_it_is_done():
    run = begin(
        step("a", event_emit_key="done:{{id}}"),
        step("b", "sleep", event_emit_key="slept"),
        step("c", "wait_for_event", event_emit_key="got"),
        step("d", "approval", event_emit_key="never"),
        step("e", "sub_workflow", event_emit_key="never"),
        step("f", "job", "a", event_emit_key="never"),
        payload={"id": 7},
    )
    run.send(events.ForceComplete("f"))
    run.job_ended("a", output=1)
    run.send(events.SleepElapsed("b"))
    run.send(events.EventReceived("c", 3))
    run.send(events.Approved("d", "alice"))
    run.send(events.ChildEnded("e", "wf-e", "completed", {}))
    sent = [(e.event_key, e.payload) for e in run.of(effects.EmitEvent)]
    assert [key for key, _ in sent] == ["done:7", "slept", "got"]
    assert (sent[0][1], sent[2][1]) == (1, 3)
    assert run.status == "completed"


# ----------------------------------------------------------------------------------------- sleep


def test_a_sleep_tells_how_long_it_was():
    run = begin(step("s", "sleep", sleep_duration_secs=90))
    trigger = run.trigger("s")
    assert (trigger.id, trigger.event_key) == (f"slp:{run['s'].id}", f"sleep:{run.run.id}:s")
    assert (trigger.trigger_type, trigger.timeout_secs) == ("sleep", 90)
    run.now += 89 * SECOND
    run.send(events.SleepElapsed("s"))
    assert run["s"].output == {"slept_for_secs": 90.0, "completed_at": to_timestamp(run.now)}
    assert run.status == "completed"


@pytest.mark.parametrize(("asked", "slept"), [(0, 60), (10**9, 2_592_000)])
def test_the_length_of_a_sleep_is_bounded(asked, slept):
    assert begin(step("s", "sleep", sleep_duration_secs=asked)).trigger("s").timeout_secs == slept


# --------------------------------------------------------------------------------- sub-workflows


def test_a_child_is_started_with_the_merged_payload_and_gives_its_outputs():
    run = begin(
        step("a"),
        step("sub", "sub_workflow", "a", payload={"x": "{{n}}"}, max_nesting_depth=2),
        payload={"n": 1},
    )
    run.job_ended("a", output=5)
    started = run.of(effects.StartChild)[0]
    assert (started.workflow_id, started.step_run_id) == ("wf-sub", run["sub"].id)
    assert started.max_nesting_depth == 2
    assert started.payload == {"n": 1, "x": 1, "parent_outputs": {"a": 5}}
    run.send(events.ChildEnded("sub", "wf-sub", "completed", {"c1": 1}))
    assert run["sub"].output == {"c1": 1}
    assert run.status == "completed"


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        ("failed", "boom", "boom"),
        ("failed", "", "sub-workflow wf-sub failed"),
        ("canceled", "x", "sub-workflow wf-sub ended with status canceled"),
        ("timed_out", "x", "sub-workflow wf-sub ended with status timed_out"),
    ],
)
def test_a_child_that_does_not_complete_fails_its_step(status, error, told):
    run = begin(step("sub", "sub_workflow"))
    assert run.of(effects.StartChild)[0].max_nesting_depth == 10
    run.send(events.ChildEnded("sub", "wf-sub", status, {}, error))
    assert (run["sub"].error, run.status) == (told, "failed")


@pytest.mark.parametrize(
    ("steps", "event", "status"),
    [
        (["a"], None, "completed"),
        (["a"], events.Cancel(), "canceled"),
        (["a"], events.TimedOut(), "timed_out"),
        (["a"], events.StartFailed("a", "boom"), "failed"),
    ],
)
def test_every_end_of_a_child_reaches_its_parent(steps, event, status):
    run = begin(
        *map(step, steps),
        flow=workflow(timeout_secs=1),
        parent_workflow_run_id="parent",
        parent_step_run_id="parent-step",
        triggered_by="workflow",
    )
    run.now += SECOND
    if event is None:
        run.job_ended("a", output=1)
    else:
        run.send(event)
    assert run.status == status
    (told,) = run.of(effects.ParentStepEnded)
    assert (told.parent_workflow_run_id, told.parent_step_run_id) == ("parent", "parent-step")
    assert (told.status, told.workflow_id) == (status, "wf")
    assert told.outputs == ({"a": 1} if event is None else {})
    assert told.error == run.run.error


@pytest.mark.parametrize("type_", ["job", "sub_workflow"])
def test_what_cannot_be_started_fails_its_step(type_):
    error = nesting_too_deep(3, 2, "s")
    run = begin(step("s", type_, on_failure="continue"), step("b", "job", "s"))
    run.send(events.StartFailed("s", error))
    assert run["s"].error == "sub-workflow nesting depth 3 exceeds max allowed 2 for step s"
    assert run.steps()["b"] == "running"
    assert run.send(events.StartFailed("s", error)) is None


# --------------------------------------------------------------------------------------- by hand


def test_skipping_a_step_releases_those_behind_it():
    run = begin(step("a"), step("b", "job", "a"), step("c", "job", "b"))
    run.send(events.SkipStep("b", "not today"))
    assert (run["b"].status, run["b"].error) == ("skipped", "not today")
    assert run.steps() == {"a": "running", "b": "skipped", "c": "running"}


def test_skipping_a_pending_approval_rejects_it_and_closes_its_wait():
    run = begin(step("ok", "approval"), step("b", "job", "ok"))
    run.send(events.SkipStep("ok", "no", "bob"))
    approval = run.state.approvals["ok"]
    assert (approval.status, approval.approved_by, approval.error) == ("rejected", "bob", "no")
    assert run.of(effects.SettleTriggers) == [
        effects.SettleTriggers(run["ok"].id, "canceled", "no")
    ]
    assert run.steps()["b"] == "running"


def test_force_completing_gives_an_output_and_closes_the_wait():
    run = begin(step("w", "wait_for_event"), step("b", "job", "w"))
    run.send(events.ForceComplete("w", {"n": 1}, "bob"))
    assert run["w"].output == {"n": 1}
    assert run.of(effects.SettleTriggers)[0].payload == {"n": 1}
    assert run.payload("b") == {"parent_outputs": {"w": {"n": 1}}}
    run = begin(step("ok", "approval"))
    run.send(events.ForceComplete("ok", UNSET, "bob"))
    assert run.state.approvals["ok"].approved_by == "bob"
    assert run.status == "completed"


@pytest.mark.parametrize(
    ("event", "what"),
    [(events.SkipStep("a"), "skip"), (events.ForceComplete("a"), "force-complete")],
)
def test_only_a_step_that_does_not_run_can_be_done_by_hand(event, what):
    run = begin(step("a"), step("b"))
    assert refused(run, event) == (400, f"cannot {what} step in running status")
    run.job_ended("a")
    assert refused(run, event) == (400, f"cannot {what} step in completed status")

"""Approvals, events and sleeps (`contract/workflows.md` §3.9-3.11)."""

from __future__ import annotations

from typing import Any

import pytest

from strait.clock import SECOND, VirtualClock
from support.handlers import Gate, Handlers
from support.workflows import Flows, approval, event, sleep, told
from support.world import PROJECT, world

DAY = 24 * 3600


async def waits(flows: Flows, **params: str) -> list[dict[str, Any]]:
    """The waits of the project, newest first."""
    return list((await flows.api.get("/v1/events", params=params)).json()["data"])


# --------------------------------------------------------------------------------------- approvals


async def test_an_approval_lets_the_run_go_on(flows: Flows) -> None:
    run_id = await flows.start(approval("ok"), await flows.job("a", "ok"))
    waiting = (await flows.steps(run_id))["ok"]
    assert waiting["status"] == "waiting"
    assert waiting["started_at"]
    answer = await flows.did(run_id, "steps/ok/approve", approver="mallory")
    step, given = answer["step_run"], answer["approval"]
    assert (step["status"], "output" in step) == ("completed", False)
    assert (given["id"], given["status"]) == (f"approval:{step['id']}", "approved")
    assert given["approved_by"].startswith("apikey:")
    assert given["approved_at"] >= given["requested_at"]
    await flows.until(run_id, "completed")
    assert flows.inputs("a") == [{"parent_outputs": {}}]
    (wait,) = await waits(flows)
    assert (wait["id"], wait["status"]) == (f"evt:approval:{step['id']}", "received")


async def test_only_who_is_named_may_approve(flows: Flows) -> None:
    run_id = await flows.start(approval("ok", approval_approvers=["alice"]))
    status, text = told(await flows.do(run_id, "steps/ok/approve"))
    assert (status, text.startswith("approver apikey:")) == (400, True)
    assert text.endswith("is not allowed for step ok")
    path = f"/v1/workflow-runs/{run_id}/steps/ok/approve"
    headers = {"X-Project-Id": PROJECT, "X-Actor-Id": "alice"}
    async with flows.world.internal() as operator:
        answer = await operator.post(path, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["approval"]["approved_by"] == "alice"
    assert (await flows.run(run_id))["status"] == "completed"


async def test_an_approval_is_given_by_somebody(flows: Flows) -> None:
    run_id = await flows.start(approval("ok"))
    async with flows.world.internal(PROJECT) as operator:
        answer = await operator.post(f"/v1/workflow-runs/{run_id}/steps/ok/approve")
    assert told(answer) == (401, "authenticated identity required")
    assert await flows.statuses(run_id) == {"ok": "waiting"}


async def test_what_cannot_be_approved_says_why(flows: Flows) -> None:
    run_id = await flows.start(approval("ok"), approval("later", "ok"), event("e", "go"))
    for ref in ("later", "e"):
        answer = await flows.do(run_id, f"steps/{ref}/approve")
        assert told(answer) == (400, f"approval not found for step {ref}")
    await flows.did(run_id, "steps/ok/approve")
    answer = await flows.do(run_id, "steps/ok/approve")
    assert told(answer) == (400, "step ok is already in terminal state")


async def test_an_approval_that_does_not_come_in_time_fails_its_step(still: Flows) -> None:
    run_id = await still.start(
        approval("ok", approval_timeout_secs=2 * DAY, on_failure="skip_dependents"),
        await still.job("a", "ok"),
    )
    await still.world.pass_time(2 * DAY - 1)
    assert (await still.run(run_id))["status"] == "running"
    await still.world.pass_time(2)
    await still.until(run_id, "failed")
    steps = await still.steps(run_id)
    assert (steps["ok"]["status"], steps["ok"]["error"]) == ("failed", "approval timed out")
    assert steps["a"]["status"] == "skipped"
    (wait,) = await waits(still)
    assert wait["status"] == "timed_out"


class Suspended(VirtualClock):
    """The clock of a machine that was suspended: who sleeps looks at it late."""

    def go_on_unseen(self, seconds: int) -> None:
        self._now += seconds * SECOND


@pytest.mark.parametrize(("what", "body"), [("approve", {}), ("reject", {"reason": "no"})])
async def test_nothing_is_decided_after_its_time_although_the_timer_is_late(
    handlers: Handlers, what: str, body: dict[str, str]
) -> None:
    clock = Suspended()
    async with world(handlers, clock=clock) as still:
        flows = Flows(still)
        run_id = await flows.start(approval("ok", approval_timeout_secs=60))
        clock.go_on_unseen(61)
        status, text = told(await flows.do(run_id, f"steps/ok/{what}", **body))
        assert status == 400
        assert text.startswith("approval for step ok has timed out at 20")
        await still.pass_time(0)
        await flows.until(run_id, "failed")
        assert (await flows.run(run_id))["error"] == "approval timed out"


async def test_d7_an_approval_without_a_time_limit_waits_for_ever(still: Flows) -> None:
    run_id = await still.start(approval("ok"))
    await still.world.pass_time(100 * DAY)
    assert (await still.run(run_id))["status"] == "running"
    await still.did(run_id, "steps/ok/approve")
    assert (await still.run(run_id))["status"] == "completed"


async def test_d8_a_skipped_approval_is_rejected_and_its_wait_over(flows: Flows) -> None:
    run_id = await flows.start(approval("ok"), approval("other"))
    await flows.did(run_id, "steps/ok/skip", reason="no")
    assert (await flows.do(run_id, "steps/ok/approve")).status_code == 400
    assert [row["status"] for row in await waits(flows)] == ["waiting", "canceled"]


async def test_d8_the_event_of_an_approval_approves_it(flows: Flows) -> None:
    run_id = await flows.start(approval("ok"), await flows.job("a", "ok"))
    answer = await flows.send(f"approval:{run_id}:ok", {"by": "phone"})
    assert (answer.status_code, answer.json()["status"]) == (200, "received")
    await flows.until(run_id, "completed")
    assert flows.inputs("a") == [{"parent_outputs": {"ok": {"by": "phone"}}}]
    assert (await flows.do(run_id, "steps/ok/approve")).status_code == 400


async def test_d4_waits_side_by_side_are_settled_one_by_one(flows: Flows) -> None:
    run_id = await flows.start(
        approval("one"), approval("two"), event("three", "go"), await flows.job("a")
    )
    await flows.until_step(run_id, "a", "completed")
    await flows.did(run_id, "steps/one/approve")
    assert (await flows.send("go")).status_code == 200
    assert (await flows.run(run_id))["status"] == "running"
    await flows.did(run_id, "steps/two/approve")
    assert (await flows.run(run_id))["status"] == "completed"
    assert len(await waits(flows)) == 3


# ------------------------------------------------------------------------------------------ events


async def test_an_event_completes_its_step_with_what_was_sent(flows: Flows) -> None:
    run_id = await flows.start(
        event("e", "paid:{{order.id}}:{{lines.1}}"),
        await flows.job("a", "e"),
        payload={"order": {"id": 7}, "lines": ["x", "y"]},
    )
    (wait,) = await waits(flows, workflow_run_id=run_id)
    step = (await flows.steps(run_id))["e"]
    assert (wait["id"], wait["event_key"]) == (f"evt:{step['id']}", "paid:7:y")
    assert (wait["source_type"], wait["workflow_step_run_id"]) == ("workflow_step", step["id"])
    assert (wait["timeout_secs"], wait["trigger_type"]) == (3600, "event")
    sent = await flows.send("paid:7:y", {"sum": 3})
    assert sent.json()["sent_by"] == f"api-key:{PROJECT}"
    await flows.until(run_id, "completed")
    assert (await flows.steps(run_id))["e"]["output"] == {"sum": 3}
    given = flows.inputs("a")[0]
    assert given["parent_outputs"] == {"e": {"sum": 3}}


async def test_an_event_that_does_not_come_fails_its_step(still: Flows) -> None:
    run_id = await still.start(event("e", "go", event_timeout_secs=3 * DAY))
    await still.world.pass_time(3 * DAY + 1)
    run = await still.until(run_id, "failed")
    assert run["error"] == "event trigger timed out"
    assert (await still.api.get("/v1/events/go")).json()["status"] == "timed_out"
    answer = await still.send("go")
    assert told(answer) == (409, "event trigger is not in waiting state")


async def test_canceling_a_wait_fails_its_step(flows: Flows) -> None:
    run_id = await flows.start(event("e", "go", on_failure="continue"), await flows.job("a", "e"))
    answer = await flows.api.delete("/v1/events/go")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    await flows.until(run_id, "completed")
    step = (await flows.steps(run_id))["e"]
    assert (step["status"], step["error"]) == ("failed", "event trigger canceled by user")


async def test_d33_an_event_key_is_free_again_once_its_wait_is_over(flows: Flows) -> None:
    made = await flows.create(event("e", "same"))
    for n in range(3):
        run_id = await flows.trigger(made)
        assert (await flows.send("same", n)).status_code == 200
        assert (await flows.steps(run_id))["e"]["output"] == n


async def test_d13_an_event_key_in_use_fails_the_step_that_wants_it_too(flows: Flows) -> None:
    made = await flows.create(event("e", "same"))
    first = await flows.trigger(made)
    second = await flows.trigger(made)
    run = await flows.run(second)
    assert run["status"] == "failed"
    assert run["error"].startswith('event key "same" already in use — use a unique key pattern')
    assert (await flows.send("same", 1)).status_code == 200
    assert (await flows.run(first))["status"] == "completed"


async def test_d13_a_resume_that_meets_a_key_in_use_answers_what_became_of_the_run(
    flows: Flows,
) -> None:
    run_id = await flows.start(approval("ok"), event("e", "same", "ok"))
    await flows.did(run_id, "pause")
    await flows.did(run_id, "steps/ok/approve")
    await flows.start(event("e", "same"))
    resumed = await flows.did(run_id, "resume")
    assert resumed["status"] == "failed"
    assert resumed == await flows.run(run_id)


@pytest.mark.parametrize(
    ("key", "payload", "text"),
    [
        ("{{k}}", {"k": ""}, "event_key is empty for step e"),
        ("{{k}}", {"k": "x" * 513}, "event_key exceeds 512 characters for step e"),
        ("{{k}}", {"k": "a\nb"}, "event_key contains invalid control characters for step e"),
    ],
)
async def test_a_key_that_came_out_wrong_fails_its_step(
    flows: Flows, key: str, payload: object, text: str
) -> None:
    run_id = await flows.start(event("e", key), payload=payload)
    run = await flows.run(run_id)
    assert (run["status"], run["error"]) == ("failed", text)


async def test_d4_an_event_by_prefix_settles_all_waits_of_a_run_and_of_others(
    flows: Flows,
) -> None:
    made = await flows.create(event("x", "day:{{n}}:x"), event("y", "day:{{n}}:y"))
    ids = [await flows.trigger(made, {"n": n}) for n in (1, 2)]
    other = await flows.start(event("z", "night:1"))
    answer = await flows.api.post("/v1/events/prefix/day:/send", json={"payload": "up"})
    assert answer.json()["resolved"] == 4
    keys = [row["event_key"] for row in answer.json()["triggers"]]
    assert keys == ["day:1:x", "day:1:y", "day:2:x", "day:2:y"]
    assert [(await flows.run(run_id))["status"] for run_id in ids] == ["completed"] * 2
    assert (await flows.run(other))["status"] == "running"


async def test_d34_a_job_that_ends_at_once_is_never_lost_to_its_step(flows: Flows) -> None:
    made = await flows.create(event("e", "all:{{n}}"), await flows.job("a", "e"))
    ids = [await flows.trigger(made, {"n": n}) for n in range(40)]
    answer = await flows.api.post("/v1/events/prefix/all:/send", json={})
    assert answer.json()["resolved"] == 40
    for run_id in ids:
        await flows.until(run_id, "completed")
    assert len(flows.calls("a")) == 40


async def test_a_completed_step_wakes_who_waits_for_the_key_that_it_emits(flows: Flows) -> None:
    listener = await flows.start(event("e", "done:7"))
    sender = await flows.start(
        await flows.job("a", returns={"n": 1}, event_emit_key="done:{{id}}"), payload={"id": 7}
    )
    await flows.until(sender, "completed")
    await flows.until(listener, "completed")
    assert (await flows.steps(listener))["e"]["output"] == {"n": 1}


async def test_an_event_that_nobody_waits_for_is_not_kept(flows: Flows) -> None:
    sender = await flows.start(await flows.job("a", event_emit_key="done"))
    await flows.until(sender, "completed")
    await flows.start(event("e", "done"))
    assert (await flows.api.get("/v1/events/done")).json()["status"] == "waiting"


async def test_waits_are_counted_and_purged(still: Flows) -> None:
    made = await still.create(event("e", "same"))
    for _ in range(2):
        await still.trigger(made)
        await still.send("same")
    await still.trigger(made)
    stats = (await still.api.get("/v1/events/stats")).json()
    assert [stats[f"{name}_count"] for name in ("total", "waiting", "received")] == [3, 1, 2]
    await still.world.pass_time(10 * DAY)
    body = {"older_than_days": 5, "dry_run": True}
    answer = await still.api.post("/v1/events/purge", json=body)
    assert answer.json() == {"dry_run": True, "would_delete": 3}
    answer = await still.api.post("/v1/events/purge", json={**body, "dry_run": False})
    assert answer.json() == {"deleted": 3}
    assert await waits(still) == []


async def test_sending_to_a_workflow_needs_the_scope_for_workflows(flows: Flows) -> None:
    await flows.start(event("e", "go"))
    client = flows.world.client(await flows.world.key_for("jobs:trigger"))
    answer = await client.post("/v1/events/go/send", json={})
    assert told(answer) == (403, "insufficient permissions: requires workflows:trigger")


# ------------------------------------------------------------------------------------------ sleeps


async def test_a_three_day_sleep_ends_after_three_days(still: Flows) -> None:
    run_id = await still.start(sleep("nap", 3 * DAY), await still.job("a", "nap"))
    await still.world.pass_time(3 * DAY - 1)
    assert (await still.statuses(run_id))["nap"] == "waiting"
    await still.world.pass_time(2)
    await still.until(run_id, "completed")
    output = (await still.steps(run_id))["nap"]["output"]
    assert output["slept_for_secs"] == 259200.0
    assert output["completed_at"].startswith("2026-01-04T00:00:00")
    assert still.inputs("a") == [{"parent_outputs": {"nap": output}}]


async def test_a_sleep_can_tell_others_that_it_is_over(still: Flows) -> None:
    listener = await still.start(event("e", "morning"))
    await still.start(sleep("nap", 60, event_emit_key="morning"))
    await still.world.pass_time(61)
    assert (await still.steps(listener))["e"]["output"]["slept_for_secs"] == 60.0


async def test_sleeps_side_by_side_end_each_at_its_time(still: Flows) -> None:
    run_id = await still.start(sleep("short", 10), sleep("long", 20))
    await still.world.pass_time(11)
    assert await still.statuses(run_id) == {"short": "completed", "long": "waiting"}
    await still.world.pass_time(10)
    assert (await still.run(run_id))["status"] == "completed"


async def test_a_canceled_run_does_not_wake_up(still: Flows) -> None:
    run_id = await still.start(sleep("nap", 60), await still.job("a", "nap", script=Gate()))
    await still.api.delete(f"/v1/workflow-runs/{run_id}")
    await still.world.pass_time(120)
    assert await still.statuses(run_id) == {"nap": "canceled", "a": "canceled"}
    assert still.calls("a") == []

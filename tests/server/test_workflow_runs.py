"""What becomes of workflow runs as a whole (`contract/workflows.md` §3)."""

from __future__ import annotations

import asyncio

import pytest

from support.handlers import Answer, ok
from support.workflows import Flows, approval, child, event, sleep, told

# ---------------------------------------------------------------------------------------- triggers


async def test_a_run_shows_what_it_was_triggered_with(flows: Flows) -> None:
    made = await flows.create(
        approval("a", expected_duration_secs=60),
        tags={"team": "a", "env": "dev"},
        timeout_secs=3600,
        max_parallel_steps=2,
    )
    body = {
        "payload": {"id": 7},
        "triggered_by": "nightly",
        "tags": {"env": "prod"},
        "labels": {"who": "me"},
    }
    answer = await flows.api.post(f"/v1/workflows/{made['id']}/trigger", json=body)
    run = answer.json()
    assert (answer.status_code, run["status"], run["triggered_by"]) == (201, "running", "nightly")
    assert (run["payload"], run["tags"]) == ({"id": 7}, {"team": "a", "env": "prod"})
    assert (run["workflow_version"], run["workflow_version_id"]) == (1, made["version_id"])
    assert (run["max_parallel_steps"], "labels" in run) == (2, False)
    assert run["expires_at"] > run["expected_completion_at"] > run["started_at"]
    assert await flows.run(run["id"]) == run
    assert await flows.get(f"/{run['id']}/labels") == {"labels": {"who": "me"}}


async def test_d19_a_run_says_who_created_it(flows: Flows) -> None:
    run_id = await flows.start(approval("a"))
    assert (await flows.run(run_id))["created_by"].startswith("apikey:")


async def test_an_idempotency_key_starts_one_run(flows: Flows) -> None:
    made = await flows.create(await flows.job("a"))
    path, headers = f"/v1/workflows/{made['id']}/trigger", {"Idempotency-Key": "k"}
    answers = [await flows.api.post(path, json={}, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    await flows.until(answers[0].json()["id"], "completed")
    assert len(flows.calls("a")) == 1
    listed = (await flows.api.get(f"/v1/workflows/{made['id']}/runs")).json()["data"]
    assert len(listed) == 1


async def test_a_disabled_workflow_does_not_start(flows: Flows) -> None:
    made = await flows.create(approval("a"), enabled=False)
    answer = await flows.post(f"/{made['id']}/trigger")
    assert told(answer) == (409, "workflow is disabled")
    assert await flows.get("") == {"data": [], "has_more": False}


async def test_d18_a_workflow_has_no_more_runs_than_it_may(flows: Flows) -> None:
    made = await flows.create(approval("a"), max_concurrent_runs=1)
    first = await flows.trigger(made)
    text = f"workflow {made['id']}: max concurrent runs (1) reached"
    assert told(await flows.post(f"/{made['id']}/trigger")) == (409, text)
    await flows.did(first, "steps/a/approve")
    assert await flows.trigger(made)


async def test_steps_can_be_left_out_of_one_run(flows: Flows) -> None:
    made = await flows.create(
        await flows.job("a", returns=1), await flows.job("b", "a"), await flows.job("c", "b")
    )
    off = [{"step_ref": "b", "enabled": False}, {"step_ref": "a", "enabled": True}]
    run_id = await flows.trigger(made, step_overrides=off)
    await flows.until(run_id, "completed")
    assert list(await flows.steps(run_id)) == ["a", "c"]
    assert flows.calls("b") == []
    whole = await flows.trigger(made)
    await flows.until(whole, "completed")
    assert list(await flows.steps(whole)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("refs", "text"),
    [
        (["zz"], 'step override references unknown step_ref "zz"'),
        (["a"], "all steps disabled by overrides"),
    ],
)
async def test_d18_wrong_overrides_are_refused_with_their_reason(
    flows: Flows, refs: list[str], text: str
) -> None:
    made = await flows.create(approval("a"))
    off = [{"step_ref": ref, "enabled": False} for ref in refs]
    answer = await flows.post(f"/{made['id']}/trigger", step_overrides=off)
    assert told(answer) == (400, text)


# ------------------------------------------------------------------------------------ order, limits


async def test_a_chain_runs_in_order_and_hands_outputs_on(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a", returns={"n": 1}),
        await flows.job("b", "a", returns=[1, 2]),
        await flows.job("c", "b"),
        payload={"id": 7},
    )
    run = await flows.until(run_id, "completed")
    assert [call.path for call in flows.world.handlers.received] == ["/a", "/b", "/c"]
    assert flows.inputs("a") == [{"id": 7}]
    assert flows.inputs("b") == [{"id": 7, "parent_outputs": {"a": {"n": 1}}}]
    assert flows.inputs("c") == [{"id": 7, "parent_outputs": {"b": [1, 2]}}]
    assert run["finished_at"] > run["started_at"]


async def test_branches_run_side_by_side_and_a_join_waits_for_all(flows: Flows) -> None:
    left = flows.hold("left")
    run_id = await flows.start(
        await flows.job("root"),
        await flows.job("left", "root", script=left),
        await flows.job("right", "root", returns="r"),
        await flows.job("join", "left", "right"),
    )
    await flows.until_step(run_id, "right", "completed")
    join = (await flows.steps(run_id))["join"]
    assert (join["status"], join["deps_completed"], join["deps_required"]) == ("waiting", 1, 2)
    left.open()
    await flows.until(run_id, "completed")
    outputs = {"left": {"ok": True}, "right": "r"}
    assert flows.inputs("join") == [{"parent_outputs": outputs}]


async def test_no_more_steps_run_at_once_than_the_workflow_allows(flows: Flows) -> None:
    running = most = 0

    async def script(call: object) -> Answer:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return ok()

    steps = [await flows.job(ref, script=script) for ref in "abcde"]
    run_id = await flows.start(*steps, max_parallel_steps=2)
    await flows.until(run_id, "completed")
    assert most == 2


async def test_steps_with_the_same_concurrency_key_run_one_after_the_other(flows: Flows) -> None:
    gate = flows.hold("a")
    run_id = await flows.start(
        await flows.job("a", script=gate, concurrency_key="db"),
        await flows.job("b", concurrency_key="db"),
        await flows.job("c", concurrency_key="other"),
    )
    await flows.until_step(run_id, "c", "completed")
    assert (await flows.statuses(run_id))["b"] == "waiting"
    gate.open()
    await flows.until(run_id, "completed")
    assert len(flows.calls("b")) == 1


async def test_steps_that_wait_take_no_place_of_those_that_run(flows: Flows) -> None:
    run_id = await flows.start(
        approval("a"), event("e", "k"), await flows.job("j"), max_parallel_steps=1
    )
    await flows.until_step(run_id, "j", "completed")
    assert (await flows.run(run_id))["status"] == "running"


# --------------------------------------------------------------------------------- pause and resume


async def test_a_pause_holds_what_executes_and_a_resume_dispatches_it_again(flows: Flows) -> None:
    gate = flows.hold("a")
    run_id = await flows.start(await flows.job("a", script=gate), await flows.job("b", "a"))
    await flows.until_called("a")
    step = await flows.until_step(run_id, "a", "running")
    await flows.world.until(step["job_run_id"], "executing")
    paused = await flows.did(run_id, "pause")
    assert paused["status"] == "paused"
    assert (await flows.world.run(step["job_run_id"]))["status"] == "paused"
    assert (await flows.did(run_id, "pause"))["status"] == "paused"
    gate.open()  # the answer to a dispatch that was called off means nothing
    flows.world.handlers.scripts["/a"] = lambda call: ok("second")
    assert (await flows.did(run_id, "resume"))["status"] == "running"
    await flows.until(run_id, "completed")
    assert [call.attempt for call in flows.calls("a")] == [1, 1]
    assert flows.inputs("b") == [{"parent_outputs": {"a": "second"}}]


async def test_nothing_starts_while_a_run_is_paused(flows: Flows) -> None:
    run_id = await flows.start(event("e", "go"), await flows.job("a", "e"))
    await flows.did(run_id, "pause")
    assert (await flows.send("go", 1)).status_code == 200
    statuses = await flows.statuses(run_id)
    assert statuses == {"e": "completed", "a": "waiting"}
    await flows.world.settled()
    assert flows.calls("a") == []
    await flows.did(run_id, "resume")
    await flows.until(run_id, "completed")


async def test_d4_a_run_is_resumed_with_its_wait_open(flows: Flows) -> None:
    run_id = await flows.start(event("e", "go"), approval("a"))
    await flows.did(run_id, "pause")
    assert (await flows.did(run_id, "resume"))["status"] == "running"
    waits = (await flows.api.get("/v1/events", params={"status": "waiting"})).json()["data"]
    assert len(waits) == 2
    await flows.send("go")
    await flows.did(run_id, "steps/a/approve")
    await flows.until(run_id, "completed")


async def test_d11_a_failure_while_paused_fails_the_run(flows: Flows) -> None:
    run_id = await flows.start(event("e", "go"), approval("a"))
    await flows.did(run_id, "pause")
    await flows.api.delete("/v1/events/go")
    run = await flows.until(run_id, "failed")
    assert run["error"] == "event trigger canceled by user"
    assert (await flows.statuses(run_id))["a"] == "canceled"


async def test_a_paused_run_still_times_out(still: Flows) -> None:
    run_id = await still.start(approval("a"), timeout_secs=60)
    await still.did(run_id, "pause")
    await still.world.pass_time(61)
    run = await still.until(run_id, "timed_out")
    assert run["error"] == "workflow timed out"


async def test_pausing_and_resuming_follow_the_state(flows: Flows) -> None:
    run_id = await flows.start(approval("a"))
    assert told(await flows.do(run_id, "resume")) == (400, "workflow run is not paused")
    await flows.did(run_id, "steps/a/approve")
    over = (400, "workflow run already in terminal state")
    assert told(await flows.do(run_id, "pause")) == over
    assert told(await flows.do(run_id, "resume")) == (400, "workflow run is not paused")
    assert told(await flows.api.delete(f"/v1/workflow-runs/{run_id}")) == over


# ------------------------------------------------------------------------------------------- cancel


async def test_d10_a_cancel_reaches_jobs_waits_and_children(flows: Flows) -> None:
    inner = await flows.create(approval("inner"))
    run_id = await flows.start(
        await flows.job("a", script=flows.hold("a")),
        event("e", "go"),
        approval("ok"),
        child("c", inner),
        sleep("later", 60, "a"),
    )
    await flows.until_called("a")
    steps = await flows.steps(run_id)
    answer = await flows.api.delete(f"/v1/workflow-runs/{run_id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert answer.json()["error"] == "canceled by user"
    ended = await flows.steps(run_id)
    assert {(row["status"], row["error"]) for row in ended.values()} == {
        ("canceled", "workflow canceled by user")
    }
    job_run = await flows.world.run(steps["a"]["job_run_id"])
    assert (job_run["status"], job_run["error"]) == ("canceled", "workflow canceled by user")
    inner_run = (await flows.api.get(f"/v1/workflows/{inner['id']}/runs")).json()["data"][0]
    assert inner_run["status"] == "canceled"
    waits = (await flows.api.get("/v1/events")).json()["data"]
    assert {row["status"] for row in waits} == {"canceled"}
    assert len(waits) == 3


async def test_d23_many_runs_are_canceled_at_once_with_their_waits(flows: Flows) -> None:
    made = await flows.create(event("e", "key:{{n}}"))
    ids = [await flows.trigger(made, {"n": n}) for n in range(3)]
    await flows.api.delete(f"/v1/workflow-runs/{ids[0]}")
    body = {"workflow_run_ids": [*ids, "nobody", ids[1]]}
    answer = await flows.api.post("/v1/workflow-runs/bulk-cancel", json=body)
    assert answer.json() == {"canceled": 2, "workflow_run_ids": ids[1:]}
    assert (await flows.run(ids[1]))["error"] == "canceled by user (bulk)"
    step = (await flows.steps(ids[1]))["e"]
    assert step["error"] == "parent workflow canceled (bulk)"
    waits = (await flows.api.get("/v1/events", params={"status": "waiting"})).json()["data"]
    assert waits == []


@pytest.mark.parametrize("ids", [[], [str(n) for n in range(101)]])
async def test_bulk_requests_name_one_to_a_hundred_runs(flows: Flows, ids: list[str]) -> None:
    for what in ("bulk-cancel", "bulk-replay"):
        answer = await flows.api.post(f"/v1/workflow-runs/{what}", json={"workflow_run_ids": ids})
        assert answer.status_code == 422, answer.text


async def test_d10_a_canceled_job_run_skips_what_depends_on_it(flows: Flows) -> None:
    run_id = await flows.start(
        await flows.job("a", script=flows.hold("a")),
        await flows.job("b", "a"),
        await flows.job("free"),
    )
    await flows.until_called("a")
    step = await flows.until_step(run_id, "a", "running")
    assert (await flows.api.delete(f"/v1/runs/{step['job_run_id']}")).status_code == 200
    await flows.until(run_id, "completed")
    statuses = {"a": "canceled", "b": "skipped", "free": "completed"}
    assert await flows.statuses(run_id) == statuses


# ----------------------------------------------------------------------------------------- time-out


async def test_a_run_that_takes_too_long_ends_with_all_below_it(still: Flows) -> None:
    inner = await still.create(approval("inner"))
    run_id = await still.start(
        await still.job("a", script=still.hold("a")),
        child("c", inner),
        event("e", "go"),
        timeout_secs=60,
    )
    await still.until_called("a")
    job_run_id = (await still.steps(run_id))["a"]["job_run_id"]
    await still.world.pass_time(61)
    run = await still.until(run_id, "timed_out")
    assert run["error"] == "workflow timed out"
    assert set((await still.statuses(run_id)).values()) == {"canceled"}
    assert (await still.world.run(job_run_id))["status"] == "canceled"
    inner_run = (await still.api.get(f"/v1/workflows/{inner['id']}/runs")).json()["data"][0]
    assert inner_run["status"] == "canceled"
    wait = (await still.api.get("/v1/events/go")).json()
    assert (wait["status"], wait["error"]) == ("canceled", "workflow canceled")


# ------------------------------------------------------------------------------------------- retry


async def test_a_retry_takes_over_what_was_completed(flows: Flows) -> None:
    answers = iter([Answer(400, b"no"), ok("fixed")])
    made = await flows.create(
        await flows.job("a", returns={"n": 1}),
        await flows.job("b", "a", script=lambda call: next(answers)),
        await flows.job("c", "b"),
        tags={"team": "a"},
    )
    run_id = await flows.trigger(made, {"id": 7}, labels={"who": "me"})
    failed = await flows.until(run_id, "failed")
    again = await flows.did(run_id, "retry")
    assert (again["triggered_by"], again["retry_of_run_id"]) == ("retry", run_id)
    kept = ("payload", "tags", "workflow_version_id", "workflow_snapshot_id")
    assert [again[name] for name in kept] == [failed[name] for name in kept]
    await flows.until(again["id"], "completed")
    assert [len(flows.calls(ref)) for ref in "abc"] == [1, 2, 1]
    second = flows.inputs("b")[1]
    assert second == {"id": 7, "parent_outputs": {"a": {"n": 1}}}
    assert await flows.get(f"/{again['id']}/labels") == {"labels": {"who": "me"}}


async def test_d9_the_retry_of_a_completed_run_completes_at_once(flows: Flows) -> None:
    run_id = await flows.start(await flows.job("a", returns=5))
    await flows.until(run_id, "completed")
    again = await flows.did(run_id, "retry")
    assert again["status"] == "completed"
    assert (await flows.steps(again["id"]))["a"]["output"] == 5
    assert len(flows.calls("a")) == 1


async def test_only_a_run_that_is_over_is_retried(flows: Flows) -> None:
    run_id = await flows.start(approval("a"))
    answer = await flows.do(run_id, "retry")
    assert told(answer) == (400, "can only retry a workflow run in terminal state")


async def test_a_retry_is_a_run_more_of_a_workflow_that_may_have_no_more(flows: Flows) -> None:
    made = await flows.create(approval("a"), max_concurrent_runs=1)
    over = await flows.trigger(made)
    await flows.api.delete(f"/v1/workflow-runs/{over}")
    await flows.trigger(made)
    full = f"workflow {made['id']}: max concurrent runs (1) reached"
    assert told(await flows.do(over, "retry")) == (409, full)
    body = {"workflow_run_ids": [over]}
    (replayed,) = (await flows.api.post("/v1/workflow-runs/bulk-replay", json=body)).json()[
        "results"
    ]
    assert (replayed["status"], replayed["error"]) == ("failed", full)
    await flows.api.patch(f"/v1/workflows/{made['id']}", json={"enabled": False})
    assert told(await flows.do(over, "retry")) == (409, "workflow is disabled")


@pytest.mark.parametrize(
    ("status", "field", "triggered_by"),
    [
        (200, "on_complete_trigger_workflow", "job_completion"),
        (400, "on_failure_trigger_workflow", "job_failure"),
    ],
)
async def test_d29_a_workflow_follows_the_end_of_a_job(
    flows: Flows, status: int, field: str, triggered_by: str
) -> None:
    made = await flows.create(approval("a"), slug=f"follows-{status}")
    flows.world.handlers.scripts["/first"] = lambda call: Answer(status)
    job = await flows.world.job("first", max_attempts=1, **{field: made["slug"]})
    source = await flows.world.trigger(job)
    await flows.world.until(source, "completed", "failed", "dead_letter")
    (run,) = (await flows.api.get(f"/v1/workflows/{made['id']}/runs")).json()["data"]
    assert run["triggered_by"] == triggered_by
    assert run["tags"] == {"source_job_id": job["id"], "source_run_id": source}


async def test_many_runs_are_replayed_each_with_its_own_outcome(flows: Flows) -> None:
    made = await flows.create(approval("a"))
    over, open_one = [await flows.trigger(made) for _ in range(2)]
    await flows.did(over, "steps/a/approve")
    body = {"workflow_run_ids": [over, open_one, "nobody", over]}
    answer = await flows.api.post("/v1/workflow-runs/bulk-replay", json=body)
    told_of = answer.json()
    assert (told_of["total"], told_of["replayed"]) == (4, 1)
    first, second, third, twice = told_of["results"]
    assert (first["status"], second["status"], third["status"]) == ("replayed", "failed", "failed")
    assert (await flows.run(first["new_run_id"]))["retry_of_run_id"] == over
    assert second["error"] == "can only retry a workflow run in terminal state"
    assert third["error"] == "workflow run not found"
    assert (twice["status"], twice["error"]) == ("failed", "workflow run is named twice")


# ----------------------------------------------------------------------------------- other people


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/retry"),
        ("POST", "/compensate"),
        ("POST", "/steps/a/approve"),
        ("POST", "/steps/a/skip"),
        ("POST", "/steps/a/force-complete"),
        ("POST", "/steps/a/retry"),
        ("POST", "/steps/a/replay-subtree"),
        ("GET", "/labels"),
        ("GET", "/steps"),
        ("GET", "/graph"),
        ("GET", "/explain"),
        ("GET", "/timeline"),
        ("GET", "/debug"),
        ("GET", "/compensation-plan"),
    ],
)
async def test_unknown_and_foreign_runs_are_not_found(flows: Flows, method: str, path: str) -> None:
    run_id = await flows.start(approval("a"))
    foreign = flows.world.client(await flows.world.key_for("*", project="proj-2"))
    for api, known in ((flows.api, "nobody"), (foreign, run_id)):
        answer = await api.request(method, f"/v1/workflow-runs/{known}{path}")
        assert told(answer) == (404, "workflow run not found")


async def test_what_a_key_may_do_follows_its_scopes(flows: Flows) -> None:
    made = await flows.create(approval("a"))
    run_id = await flows.trigger(made)
    reader = flows.world.client(await flows.world.key_for("workflows:read"))
    assert (await reader.get(f"/v1/workflow-runs/{run_id}")).status_code == 200
    for path, scope in (
        (f"/v1/workflows/{made['id']}/trigger", "workflows:trigger"),
        (f"/v1/workflow-runs/{run_id}/pause", "workflows:write"),
        (f"/v1/workflow-runs/{run_id}/steps/a/approve", "workflows:write"),
    ):
        text = f"insufficient permissions: requires {scope}"
        assert told(await reader.post(path, json={})) == (403, text)


async def test_a_job_and_a_workflow_that_start_each_other_end(flows: Flows) -> None:
    step = await flows.job("again")
    inner = await flows.create(step)
    made = await flows.create(child("sub", inner), slug="circle")
    link = {"on_complete_trigger_workflow": "circle"}
    await flows.api.patch(f"/v1/jobs/{step['job_id']}", json=link)
    await flows.trigger(made)
    calls = await flows.until_called("again", 11)
    last = await flows.world.until(calls[-1].run_id, "completed")
    await flows.world.settled()
    listed = await flows.api.get(f"/v1/workflows/{made['id']}/runs")
    assert len(listed.json()["data"]) == 11
    events = (await flows.api.get(f"/v1/runs/{last['id']}/events")).json()["data"]
    message = "workflow `circle` was not started: the chain is 10 workflows long"
    assert message in [each["message"] for each in events]

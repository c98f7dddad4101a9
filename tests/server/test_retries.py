"""Attempts, pauses, deadlines, schedules: time does what the contract says (`runs.md` §6)."""

from __future__ import annotations

import pytest

from strait.clock import from_timestamp
from support.handlers import Answer, Gate, Received, ok
from support.world import World


def failing(times: int) -> object:
    def script(call: Received) -> Answer:
        return Answer(500) if call.attempt <= times else ok("at last")

    return script


async def test_a_run_that_fails_twice_completes_at_the_third_attempt(virtual: World) -> None:
    virtual.handlers.script = failing(2)
    run_id = await virtual.trigger(await virtual.job(max_attempts=3))
    await virtual.handlers.wait(1)
    await virtual.until(run_id, "queued", attempt=2)
    await virtual.pass_time(1.3)
    await virtual.until(run_id, "queued", attempt=3)
    await virtual.pass_time(2.5)
    run = await virtual.until(run_id, "completed")
    assert (run["attempt"], run["result"]) == (3, "at last")
    assert run["priority"] == 2
    assert "error" not in run
    first, second, _ = virtual.handlers.received
    assert "x-previous-error" not in first.headers
    assert second.headers["x-previous-error"] == "endpoint returned 500"


async def test_a_retry_waits_for_its_pause(virtual: World) -> None:
    virtual.handlers.script = failing(1)
    run_id = await virtual.trigger(await virtual.job())
    run = await virtual.until(run_id, "queued", attempt=2)
    assert run["attempt"] == 2
    pause = from_timestamp(run["next_retry_at"]) - virtual.clock.now()
    assert 0.79e6 <= pause <= 1.2e6
    await virtual.pass_time(0.7)
    assert len(virtual.handlers.received) == 1


@pytest.mark.parametrize("value", ["30", "Thu, 01 Jan 2026 00:00:30 GMT"])
async def test_a_handler_that_asks_for_time_gets_it(virtual: World, value: str) -> None:
    def script(call: Received) -> Answer:
        return Answer(429, b"", {"Retry-After": value}) if call.attempt == 1 else ok()

    virtual.handlers.script = script
    run_id = await virtual.trigger(await virtual.job())
    await virtual.until(run_id, "queued", attempt=2)
    await virtual.pass_time(29)
    assert len(virtual.handlers.received) == 1
    await virtual.pass_time(2)
    await virtual.until(run_id, "completed")


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "-5", "1e300", "Thu, 99 Foo 2026"])
async def test_a_pause_that_means_nothing_is_passed_over(virtual: World, value: str) -> None:
    virtual.handlers.script = lambda call: Answer(503, b"", {"Retry-After": value})
    run_id = await virtual.trigger(await virtual.job())
    run = await virtual.until(run_id, "queued", attempt=2)
    assert from_timestamp(run["next_retry_at"]) - virtual.clock.now() <= 1.2e6


async def test_a_run_out_of_attempts_is_a_dead_letter_and_can_be_replayed(world: World) -> None:
    world.handlers.script = lambda call: Answer(500)
    run_id = await world.trigger(await world.job(max_attempts=1), {"n": 1})
    await world.until(run_id, "dead_letter")
    listed = await world.api.get("/v1/runs/dlq")
    assert [row["id"] for row in listed.json()["data"]] == [run_id]
    world.handlers.script = lambda call: ok("now it works")
    replayed = await world.api.post(f"/v1/runs/{run_id}/dlq-replay")
    assert (replayed.status_code, replayed.json()["id"]) == (200, run_id)
    run = await world.until(run_id, "completed")
    assert (run["attempt"], run["result"]) == (1, "now it works")
    again = await world.api.post(f"/v1/runs/{run_id}/dlq-replay")
    assert again.status_code == 409
    assert again.json()["error"]["message"] == "run is not in dead_letter status"


async def test_poison_is_taken_out_before_its_attempts_are_used_up(virtual: World) -> None:
    virtual.handlers.script = lambda call: Answer(500)
    run_id = await virtual.trigger(await virtual.job(max_attempts=9, poison_pill_threshold=2))
    await virtual.until(run_id, "queued", attempt=2)
    await virtual.pass_time(1.3)
    run = await virtual.until(run_id, "dead_letter")
    assert run["attempt"] == 2
    assert run["error"] == "poison pill detected (same error 2 times): endpoint returned 500"


async def test_a_handler_that_hangs_is_cut_off_and_tried_again(virtual: World) -> None:
    virtual.handlers.script = Gate()
    job = await virtual.job(timeout_secs=30, max_attempts=2)
    run_id, _ = await virtual.executing(job)
    await virtual.pass_time(31)
    run = await virtual.until(run_id, "queued", "executing", attempt=2)
    assert (run["attempt"], run["error"]) == (2, "execution timed out")
    await virtual.pass_time(1.3)
    await virtual.handlers.wait(2, run_id)
    await virtual.pass_time(31)
    run = await virtual.until(run_id, "timed_out")
    assert run["error"] == "execution timed out"
    assert virtual.platform.scheduler.executing == 0


async def test_a_delayed_run_starts_when_its_time_has_come(virtual: World) -> None:
    run_id = await virtual.trigger(await virtual.job(), scheduled_at="2026-01-01T01:00:00Z")
    assert (await virtual.run(run_id))["status"] == "delayed"
    await virtual.pass_time(3599)
    assert virtual.handlers.received == []
    await virtual.pass_time(2)
    await virtual.until(run_id, "completed")


async def test_a_delayed_run_can_be_moved_and_given_other_work(virtual: World) -> None:
    run_id = await virtual.trigger(await virtual.job(), scheduled_at="2026-01-01T01:00:00Z")
    moved = await virtual.api.post(
        f"/v1/runs/{run_id}/reschedule",
        json={"scheduled_at": "2026-01-01T00:00:10Z", "payload": {"new": True}},
    )
    assert moved.status_code == 200
    await virtual.pass_time(11)
    run = await virtual.until(run_id, "completed")
    assert run["payload"] == {"new": True}
    late = await virtual.api.post(
        f"/v1/runs/{run_id}/reschedule", json={"scheduled_at": "2026-01-02T00:00:00Z"}
    )
    assert late.status_code == 404


async def test_a_run_that_nobody_may_start_expires(virtual: World) -> None:
    virtual.handlers.script = Gate()
    job = await virtual.job(max_concurrency=1, timeout_secs=300)
    await virtual.executing(job)
    waits = await virtual.trigger(job, ttl_secs=20)
    await virtual.pass_time(21)
    run = await virtual.until(waits, "expired")
    assert run["error"] == "run expired"


async def test_a_run_that_executes_does_not_expire(virtual: World) -> None:
    gate = Gate()
    virtual.handlers.script = gate
    job = await virtual.job(timeout_secs=300, run_ttl_secs=10)
    run_id, handler = await virtual.executing(job)
    await virtual.pass_time(100)
    beat = await handler.post(f"/sdk/v1/runs/{run_id}/heartbeat")
    assert beat.json() == {"status": "ok"}
    gate.open()
    await virtual.until(run_id, "completed")


async def test_the_token_of_a_late_attempt_works(virtual: World) -> None:
    virtual.handlers.script = failing(1)
    job = await virtual.job(run_ttl_secs=10, timeout_secs=300)
    run_id = await virtual.trigger(job)
    await virtual.until(run_id, "queued", attempt=2)
    virtual.handlers.script = Gate()
    await virtual.pass_time(1.3)
    calls = await virtual.handlers.wait(2, run_id)
    await virtual.pass_time(200)
    handler = virtual.handler(calls[1].token)
    assert (await handler.post(f"/sdk/v1/runs/{run_id}/heartbeat")).status_code == 200


# ------------------------------------------------------------------------------------------- cron


async def test_a_cron_job_fires_once_a_tick(virtual: World) -> None:
    job = await virtual.job(cron="*/5 * * * *", tags={"a": "b"})
    await virtual.pass_time(4 * 60)
    assert virtual.handlers.received == []
    await virtual.pass_time(7 * 60)
    (first, second) = await virtual.handlers.wait(2)
    assert first.run_id != second.run_id
    run = await virtual.until(first.run_id, "completed")
    assert (run["triggered_by"], run["created_by"]) == ("cron", "system:cron")
    assert run["tags"] == {"a": "b"}
    assert run["idempotency_key"] == f"cron:job:{job['id']}:{1_767_225_600 + 300}"


async def test_a_run_of_a_schedule_has_the_tags_of_its_job_and_waits_without_an_end(
    virtual: World,
) -> None:
    fields = {"cron": "* * * * *", "tags": {"a": "b"}, "default_run_metadata": {"c": "d"}}
    await virtual.job(**fields)
    await virtual.job(**fields, run_ttl_secs=90)
    await virtual.pass_time(61)
    found = (await virtual.api.get("/v1/runs?triggered_by=cron")).json()["data"]
    assert len(found) == 2
    for run in found:
        assert (run["created_by"], run["tags"]) == ("system:cron", {"a": "b"})
        assert not {"metadata", "payload"} & set(run)
    assert sorted("expires_at" in run for run in found) == [False, True]


async def test_a_paused_cron_job_rests(virtual: World) -> None:
    job = await virtual.job(cron="* * * * *")
    await virtual.api.post(f"/v1/jobs/{job['id']}/pause")
    await virtual.pass_time(180)
    assert (await virtual.api.get("/v1/runs")).json()["data"] == []
    await virtual.api.post(f"/v1/jobs/{job['id']}/resume")
    await virtual.pass_time(60)
    await virtual.handlers.wait(1)
    assert len(virtual.handlers.received) == 1


@pytest.mark.parametrize(
    ("policy", "statuses"),
    [
        ("allow", ["executing", "executing"]),
        ("skip", ["executing"]),
        ("cancel_running", ["canceled", "executing"]),
    ],
)
async def test_the_overlap_policy_decides_about_a_tick_while_a_run_is_under_way(
    virtual: World, policy: str, statuses: list[str]
) -> None:
    virtual.handlers.script = Gate()
    await virtual.job(cron="* * * * *", cron_overlap_policy=policy, timeout_secs=600)
    await virtual.pass_time(61)
    await virtual.handlers.wait(1)
    await virtual.pass_time(60)
    *_, last = await virtual.handlers.wait(len(statuses))
    await virtual.until(last.run_id, "executing")
    listed = (await virtual.api.get("/v1/runs")).json()["data"]
    assert [row["status"] for row in reversed(listed)] == statuses


@pytest.mark.parametrize(
    ("cron", "text"),
    [
        ("* * * *", "cron expression must have exactly 5 fields"),
        ("@daily", "cron expression must have exactly 5 fields"),
        ("99 * * * *", "invalid cron expression"),
    ],
)
async def test_a_cron_expression_that_is_wrong_is_refused(
    world: World, cron: str, text: str
) -> None:
    body = {
        "project_id": "proj-1",
        "name": "n",
        "slug": "s",
        "endpoint_url": world.handlers.url,
        "cron": cron,
    }
    answer = await world.api.post("/v1/jobs", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(text)


async def test_a_run_outside_of_the_execution_window_waits_for_it(virtual: World) -> None:
    job = await virtual.job(execution_window_cron="* 9-17 * * *")
    run_id = await virtual.trigger(job)
    run = await virtual.run(run_id)
    assert run["status"] == "delayed"
    assert run["scheduled_at"].startswith("2026-01-01T09:00:00")
    await virtual.pass_time(9 * 3600 + 1)
    await virtual.until(run_id, "completed")


async def test_the_window_is_of_the_jobs_time_zone_and_moves_what_is_scheduled_too(
    virtual: World,
) -> None:
    window = {"execution_window_cron": "* 9-17 * * *", "timezone": "America/New_York"}
    job = await virtual.job(**window)
    for asked, given in (
        ("2026-01-02T08:00:00Z", "2026-01-02T14:00:00"),
        ("2026-01-02T15:30:00Z", "2026-01-02T15:30:00"),
    ):
        run = await virtual.run(await virtual.trigger(job, scheduled_at=asked))
        assert (run["status"], run["scheduled_at"][:19]) == ("delayed", given)

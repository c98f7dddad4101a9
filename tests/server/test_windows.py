"""Execution windows: whoever makes a run, and whatever it waited for, it starts inside of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from support.handlers import Answer, Handlers, ok
from support.world import PROJECT, World

DAY = {"execution_window_cron": "* 9-17 * * *"}
OPENS = "2026-01-01T09:00:00"


async def newest(world: World, job: dict[str, Any]) -> dict[str, Any]:
    answer = await world.api.get("/v1/runs", params={"job_id": job["id"]})
    (run, *_) = answer.json()["data"]
    return dict(run)


async def by_chain(world: World, job: dict[str, Any]) -> None:
    before = await world.job(on_complete_trigger_job=job["slug"])
    await world.until(await world.trigger(before), "completed")


async def by_event(world: World, job: dict[str, Any]) -> None:
    source = await world.api.post("/v1/event-sources", json={"project_id": PROJECT, "name": "s"})
    subscribed = await world.api.post(
        f"/v1/event-sources/{source.json()['id']}/subscribe",
        json={"target_type": "job", "target_id": job["id"], "enabled": True},
    )
    assert subscribed.status_code == 201, subscribed.text
    body = {"source": "s", "project_id": PROJECT, "payload": {}}
    assert (await world.api.post("/v1/events/dispatch", json=body)).json()["dispatched"] == 1


async def by_bulk(world: World, job: dict[str, Any]) -> None:
    answer = await world.api.post(f"/v1/jobs/{job['id']}/trigger/bulk", json={"items": [{}]})
    assert answer.status_code == 201


@pytest.mark.parametrize("make", [by_chain, by_event, by_bulk])
async def test_a_run_waits_for_the_window_whoever_makes_it(
    virtual: World, make: Callable[[World, dict[str, Any]], Awaitable[None]]
) -> None:
    job = await virtual.job(**DAY)
    await make(virtual, job)
    run = await newest(virtual, job)
    assert (run["status"], run["scheduled_at"][:19]) == ("delayed", OPENS)
    await virtual.pass_time(9 * 3600 + 1)
    ended = await virtual.until(run["id"], "completed")
    assert ended["started_at"][:19] == OPENS


async def test_a_tick_of_a_schedule_waits_for_the_window(virtual: World) -> None:
    job = await virtual.job(cron="0 3 * * *", **DAY)
    await virtual.pass_time(3 * 3600 + 1)
    run = await newest(virtual, job)
    assert (run["status"], run["scheduled_at"][:19]) == ("delayed", OPENS)


@pytest.mark.parametrize("field", ["debounce_window_secs", "batch_window_secs"])
async def test_what_was_held_back_until_the_window_closed_waits_for_the_next(
    virtual: World, field: str
) -> None:
    job = await virtual.job(execution_window_cron="* 0 * * *", **{field: 3600})
    await virtual.api.post(f"/v1/jobs/{job['id']}/trigger", json={"payload": 1})
    await virtual.pass_time(3601)
    run = await newest(virtual, job)
    assert (run["status"], run["scheduled_at"][:19]) == ("delayed", "2026-01-02T00:00:00")


async def test_a_run_that_its_dependencies_let_go_too_late_waits_for_the_next_window(
    virtual: World,
) -> None:
    before = await virtual.job()
    job = await virtual.job(execution_window_cron="* 0 * * *")
    body = {"depends_on_job_id": before["id"], "condition": "completed"}
    await virtual.api.post(f"/v1/jobs/{job['id']}/dependencies", json=body)
    run_id = await virtual.trigger(job)
    await virtual.pass_time(2 * 3600)
    await virtual.until(await virtual.trigger(before), "completed")
    await virtual.pass_time(21 * 3600)
    assert (await virtual.run(run_id))["status"] == "queued"
    await virtual.pass_time(3600 + 1)
    ended = await virtual.until(run_id, "completed")
    assert ended["started_at"][:19] == "2026-01-02T00:00:00"


async def test_a_run_let_go_long_before_its_time_does_not_expire_until_then(
    virtual: World,
) -> None:
    before, job = await virtual.job(), await virtual.job(timeout_secs=10)
    body = {"depends_on_job_id": before["id"], "condition": "completed"}
    await virtual.api.post(f"/v1/jobs/{job['id']}/dependencies", json=body)
    run_id = await virtual.trigger(job, scheduled_at="2026-01-01T05:00:00Z")
    await virtual.until(await virtual.trigger(before), "completed")
    await virtual.pass_time(5 * 3600 + 1)
    await virtual.until(run_id, "completed")


async def test_a_dead_letter_that_is_replayed_waits_for_the_window(
    virtual: World, handlers: Handlers
) -> None:
    job = await virtual.job(execution_window_cron="* 0 * * *", timeout_secs=10)
    handlers.script = lambda _: Answer(400)
    run_id = await virtual.trigger(job)
    await virtual.until(run_id, "dead_letter")
    await virtual.pass_time(2 * 3600)
    handlers.script = lambda _: ok()
    answer = await virtual.api.post(f"/v1/runs/{run_id}/dlq-replay")
    assert answer.json()["status"] == "queued"
    await virtual.pass_time(21 * 3600)
    assert (await virtual.run(run_id))["status"] == "queued"
    await virtual.pass_time(3600 + 1)
    await virtual.until(run_id, "completed")


async def test_a_run_is_not_moved_out_of_the_window(virtual: World) -> None:
    job = await virtual.job(**DAY)
    run_id = await virtual.trigger(job)
    for asked, given in (("05:00:00", "09:00:00"), ("10:30:00", "10:30:00")):
        body = {"scheduled_at": f"2026-01-01T{asked}Z"}
        moved = await virtual.api.post(f"/v1/runs/{run_id}/reschedule", json=body)
        assert moved.json()["scheduled_at"][11:19] == given


async def test_a_dry_run_tells_when_the_window_opens(virtual: World) -> None:
    job = await virtual.job(**DAY, timeout_secs=60)
    answer = await virtual.api.post(f"/v1/jobs/{job['id']}/trigger", json={"dry_run": True})
    assert answer.json()["scheduled_at"][:19] == OPENS
    assert answer.json()["expires_at"][:19] == "2026-01-01T09:02:00"


async def test_a_window_that_never_opens_is_refused(world: World) -> None:
    job = await world.job()
    path = f"/v1/jobs/{job['id']}"
    refused = await world.api.patch(path, json={"execution_window_cron": "0 0 31 2 *"})
    assert refused.status_code == 400
    assert "'0 0 31 2 *' never opens" in refused.json()["error"]["message"]
    zone = {"execution_window_cron": "* 9 * * *", "timezone": "Mars/Phobos"}
    refused = await world.api.patch(path, json=zone)
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "invalid timezone")
    assert "`Mars/Phobos`" in refused.json()["error"]["details"][0]

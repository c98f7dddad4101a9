"""Runs that take long or wait long: signs of life, and their turn (`runs.md` §6.4, §6.11)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from strait.clock import VirtualClock, from_timestamp
from support.handlers import Gate
from support.world import World, world

if TYPE_CHECKING:
    from support.handlers import Handlers


def beats_ago(world: World, run: dict[str, str]) -> float:
    return (world.clock.now() - from_timestamp(run["heartbeat_at"])) / 1e6


async def test_a_run_that_is_with_its_handler_is_marked_alive_every_ten_seconds(
    virtual: World,
) -> None:
    gate = virtual.handlers.script = Gate()
    job = await virtual.job()
    idle = len(virtual.platform.timers)
    run_id, _ = await virtual.executing(job)
    for _ in range(5):
        await virtual.pass_time(33)
        assert beats_ago(virtual, await virtual.run(run_id)) <= 10
    gate.open()
    run = await virtual.until(run_id, "completed")
    await virtual.pass_time(60)
    assert await virtual.run(run_id) == run
    assert len(virtual.platform.timers) == idle, "nothing beats once nothing executes"


async def test_the_mark_takes_nothing_back_that_the_handler_wrote(virtual: World) -> None:
    virtual.handlers.script = Gate()
    run_id, handler = await virtual.executing(await virtual.job())
    await virtual.pass_time(15)
    path = f"/sdk/v1/runs/{run_id}"
    await handler.post(f"{path}/annotate", json={"annotations": {"phase": "ünder way"}})
    await virtual.pass_time(15)
    assert (await virtual.run(run_id))["metadata"] == {"phase": "ünder way"}
    answer = await handler.post(f"{path}/complete", json={"result": 1})
    assert answer.json()["status"] == "completed"


async def test_a_run_that_waits_for_an_event_is_not_marked(virtual: World) -> None:
    virtual.handlers.script = Gate()
    run_id, handler = await virtual.executing(await virtual.job())
    await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": "k"})
    before = await virtual.run(run_id)
    await virtual.pass_time(40)
    assert (await virtual.run(run_id))["heartbeat_at"] == before["heartbeat_at"]


# --------------------------------------------------------------------------------------- their turn


async def test_a_run_of_low_priority_starts_some_day_however_many_urgent_ones_come(
    handlers: Handlers,
) -> None:
    async with world(handlers, clock=VirtualClock(), max_in_flight=1) as busy:
        gate = handlers.script = Gate()
        job = await busy.job(timeout_secs=7_200, max_attempts=1)
        await busy.executing(job)
        low = await busy.trigger(job, "low")
        await busy.pass_time(5 * 60 + 30)
        assert (await busy.run(low))["priority"] == 1
        await busy.pass_time(10 * 60)
        assert (await busy.run(low))["priority"] == 10
        urgent = [await busy.trigger(job, "urgent", priority=10) for _ in range(3)]
        gate.open()
        for run_id in (low, *urgent):
            await busy.until(run_id, "completed")
        started = [call.run_id for call in handlers.received[1:]]
        assert started[0] == low


async def test_runs_have_their_turn_although_the_clock_was_set_back(handlers: Handlers) -> None:
    async with world(handlers, clock=VirtualClock(), max_in_flight=1) as busy:
        handlers.script = Gate()
        job = await busy.job(timeout_secs=7_200, max_attempts=1)
        await busy.executing(job)
        before = await busy.trigger(job)
        busy.clock.advance(-3_600)
        since = await busy.trigger(job)
        await busy.pass_time(6 * 60 + 30)
        assert [(await busy.run(run))["priority"] for run in (before, since)] == [2, 2]


async def test_runs_of_a_paused_job_do_not_wait_for_their_turn(virtual: World) -> None:
    job = await virtual.job(run_ttl_secs=86_400)
    delayed = await virtual.trigger(job, scheduled_at="2026-01-01T00:01:00Z")
    await virtual.api.post(f"/v1/jobs/{job['id']}/pause", json={})
    await virtual.pass_time(3_600)
    run = await virtual.run(delayed)
    assert (run["status"], run["priority"]) == ("queued", 0)


async def test_a_promoted_run_keeps_its_priority_over_a_restart(
    handlers: Handlers, tmp_path: Path
) -> None:
    handlers.script = Gate()
    clock = VirtualClock()
    async with world(handlers, tmp_path / "db", clock=clock, max_in_flight=1) as first:
        job = await first.job(timeout_secs=7_200)
        await first.executing(job)
        low = await first.trigger(job)
        await first.pass_time(5 * 60 + 30)
    async with world(handlers, tmp_path / "db", clock=clock, max_in_flight=1) as second:
        assert (await second.run(low))["priority"] == 1

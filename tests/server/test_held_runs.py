"""Runs that wait: for runs of other jobs, under a key, and for no longer than they were given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strait.clock import VirtualClock
from strait.server.outside import Outside
from support.handlers import Answer, Gate, Handlers, ok
from support.world import World
from support.world import world as a_world

DAY = 86_400


async def depend(world: World, job: dict[str, Any], on: dict[str, Any]) -> str:
    body = {"depends_on_job_id": on["id"]}
    answer = await world.api.post(f"/v1/jobs/{job['id']}/dependencies", json=body)
    assert answer.status_code == 201, answer.text
    return f"/v1/jobs/{job['id']}/dependencies/{answer.json()['id']}"


class Looker:
    """Looks at all jobs at each point of a commit, as a dispatch to a worker may."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.jobs: list[str] = []

    def __call__(self, point: str) -> None:
        if self.world is not None:
            platform = self.world.platform
            for job_id in self.jobs:
                platform.jobs.get(platform.reader, job_id)


async def test_dependencies_hold_also_for_who_looked_before_they_were_on_disk(
    handlers: Handlers,
) -> None:
    looker = Looker()
    async with a_world(handlers, outside=Outside(probe=looker)) as world:
        first, second = await world.job(), await world.job()
        looker.world, looker.jobs = world, [first["id"], second["id"]]
        made = await depend(world, second, first)
        held = await world.trigger(second)
        assert (await world.run(held))["status"] == "waiting"
        await world.until(await world.trigger(first), "completed")
        await world.until(held, "completed")
        assert (await world.api.delete(made)).status_code == 204
        assert not world.platform.jobs.get(world.platform.reader, second["id"]).waits  # type: ignore[union-attr]


async def test_a_run_whose_key_is_freed_waits_for_what_runs_without_one_wait_for(
    world: World,
) -> None:
    first, second = await world.job(), await world.job()
    await depend(world, second, first)
    await world.until(await world.trigger(first), "completed")
    held = await world.trigger(second, key="mine")
    assert (await world.run(held))["status"] == "waiting"
    assert (await world.api.delete(f"/v1/runs/{held}/idempotency-key")).status_code == 200
    await world.until(held, "completed")


async def test_what_a_dependent_job_goes_by_stays_while_a_newer_run_goes_on(
    handlers: Handlers, tmp_path: Path
) -> None:
    async with a_world(
        handlers, tmp_path / "strait.db", clock=VirtualClock(), retain_days=1
    ) as world:
        first, second = await world.job(), await world.job()
        await depend(world, second, first)
        await world.until(await world.trigger(first), "completed")
        await world.trigger(first, scheduled_at="2026-01-10T00:00:00Z")
        await world.pass_time(5 * DAY)
        await world.until(await world.trigger(second), "completed")


@pytest.mark.parametrize("starts_at", ["", "2026-01-01T00:00:10Z"])
async def test_a_run_that_was_given_so_much_time_expires_while_no_server_runs(
    handlers: Handlers, tmp_path: Path, starts_at: str
) -> None:
    clock, database = VirtualClock(), tmp_path / "strait.db"
    scheduled = {"scheduled_at": starts_at} if starts_at else {}
    async with a_world(handlers, database, clock=clock, hold=True) as world:
        job = await world.job()
        late = await world.trigger(job, ttl_secs=60, **scheduled)
        in_time = await world.trigger(job, ttl_secs=2 * DAY)
        patient = await world.trigger(job)
    clock.advance(DAY)
    async with a_world(handlers, database, clock=clock) as world:
        for run_id in (in_time, patient):
            await world.until(run_id, "completed")
        assert (await world.until(late, "expired"))["error"] == "run expired"
        assert handlers.of(late) == []


async def test_a_key_belongs_to_an_older_run_that_lives_again(virtual: World) -> None:
    handlers = virtual.handlers
    job = await virtual.job(max_attempts=1)
    handlers.script = lambda _: Answer(500)
    older = await virtual.trigger(job, key="order-1")
    await virtual.until(older, "dead_letter")
    await virtual.pass_time(DAY + 3600)
    handlers.script = lambda _: ok()
    newer = await virtual.trigger(job, key="order-1")
    assert newer != older
    await virtual.until(newer, "completed")
    await virtual.pass_time(DAY + 3600)
    handlers.script = Gate(ok())
    await virtual.api.post(f"/v1/runs/{older}/dlq-replay", json={})
    await virtual.until(older, "executing")
    assert await virtual.trigger(job, key="order-1") == older

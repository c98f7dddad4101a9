"""Runs that start in the transaction that makes them, and starts that do not reach the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from strait.clock import VirtualClock
from strait.engine import runs as engine
from strait.engine.admission import Request
from strait.engine.model import Run
from strait.server.outside import Outside
from strait.server.unit import Unit
from strait.server.work import runs
from support.disks import Disk
from support.handlers import Answer, Gate, Handlers, ok
from support.world import World
from support.world import world as a_world

T = TypeVar("T")


class Commits(Executor):
    """Commits that a test holds back, and a disk that is full when it says so."""

    def __init__(self) -> None:
        self.full = False
        self.disk = Disk(lambda sql: self.full and sql == "COMMIT")
        self._pass: int | None = None
        self._held: list[Callable[[], None]] = []

    def hold_after(self, count: int) -> None:
        """Let so many commits go, and hold those that follow."""
        self._pass = count

    def let_go(self) -> None:
        """Make the commits that were held, and hold none any more."""
        self._pass = None
        held, self._held = self._held, []
        for commit in held:
            commit()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        commit = lambda: done.set_result(fn(*args, **kwargs))  # noqa: E731 - it is kept for later
        if self._pass == 0:
            self._held.append(commit)
        else:
            self._pass = self._pass and self._pass - 1
            commit()
        return done


REQUEST = Request(triggered_by="manual", created_by="test")


def made(unit: Unit, job: dict[str, Any]) -> Run:
    return runs.create(unit, unit.job(job["project_id"], job["id"]), REQUEST, "{}")


async def test_a_commit_that_fails_uses_up_no_limit_of_the_job(
    handlers: Handlers, tmp_path: Path
) -> None:
    commits = Commits()
    outside = Outside(executor=commits, connect=commits.disk.connect)
    handlers.script = lambda call: ok("done")
    async with a_world(handlers, tmp_path / "strait.db", outside=outside) as world:
        job = await world.job(max_concurrency=1)
        commits.full = True
        for _ in range(3):
            refused = await world.api.post(f"/v1/jobs/{job['id']}/trigger", json={})
            assert refused.status_code == 503
        assert world.platform.scheduler.executing == 0
        commits.full = False
        assert handlers.received == []
        for _ in range(2):
            await world.until(await world.trigger(job), "completed")
        assert (await world.api.get("/v1/runs")).json()["data"][2:] == []


async def test_a_trial_of_an_endpoint_that_a_full_disk_prevents_is_made_later(
    handlers: Handlers, tmp_path: Path
) -> None:
    full = False
    disk = Disk(lambda sql: full and sql.startswith("UPDATE runs"))
    outside = Outside(connect=disk.connect)
    handlers.script = lambda call: Answer(500)
    clock = VirtualClock()
    async with a_world(handlers, tmp_path / "strait.db", clock=clock, outside=outside) as world:
        job = await world.job(max_attempts=1)
        for _ in range(5):
            await world.until(await world.trigger(job), "dead_letter")
        handlers.script = lambda call: ok("up")
        run_id = await world.trigger(job)
        await world.settled()
        full = True
        await world.pass_time(61)
        assert (await world.run(run_id))["status"] == "queued"
        full = False
        await world.pass_time(10)
        await world.until(run_id, "completed")


async def test_an_operation_that_fails_after_it_made_a_run_uses_up_no_limit_of_the_job(
    world: World,
) -> None:
    job = await world.job(max_concurrency=1)

    def makes_and_fails(unit: Unit) -> None:
        made(unit, job)
        assert world.platform.scheduler.executing == 1
        raise KeyError("reason")

    with pytest.raises(KeyError):
        await world.platform.write(makes_and_fails)
    assert world.platform.scheduler.executing == 0
    await world.until(await world.trigger(job), "completed")
    assert len(world.handlers.received) == 1


async def test_a_run_that_is_canceled_where_it_is_made_is_not_dispatched(world: World) -> None:
    job = await world.job(max_concurrency=1)

    def make_and_cancel(unit: Unit) -> str:
        run = made(unit, job)
        runs.apply_by_id(unit, run.id, engine.Canceled("never mind"))
        return run.id

    run_id = await world.platform.write(make_and_cancel)
    assert (await world.run(run_id))["status"] == "canceled"
    other = await world.trigger(job)
    await world.until(other, "completed")
    assert [call.run_id for call in world.handlers.received] == [other]


async def test_what_a_handler_answers_counts_though_its_run_was_annotated_meanwhile(
    world: World,
) -> None:
    gate = Gate(ok("the result"))
    world.handlers.script = gate
    run_id, handler = await world.executing(await world.job())
    path = f"/sdk/v1/runs/{run_id}/annotate"
    said = await handler.post(path, json={"annotations": {"color": "red"}})
    assert said.status_code == 200
    gate.open()
    run = await world.until(run_id, "completed")
    assert run["result"] == "the result"
    assert run["metadata"]["color"] == "red"
    await handler.aclose()


async def test_an_answer_to_a_start_that_was_lost_does_not_undo_what_was_done_since(
    handlers: Handlers, tmp_path: Path
) -> None:
    """The row has the revision again that the start had given it, from somebody else."""
    commits, answered = Commits(), asyncio.Event()

    def chance() -> float:
        answered.set()  # it is drawn where an answer is taken in
        return 0.5

    first, second = Gate(ok("first")), Gate(ok("second"))
    handlers.script = lambda call: (first if call.json["n"] == 1 else second)(call)
    outside = Outside(executor=commits, connect=commits.disk.connect, chance=chance)
    async with a_world(handlers, tmp_path / "strait.db", outside=outside) as world:
        job = await world.job(max_attempts=1, max_concurrency=1)
        await world.trigger(job, {"n": 1})
        run_id = await world.trigger(job, {"n": 2})
        commits.hold_after(1)  # of the first one's end, with which the second one starts
        first.open()
        await handlers.wait(1, run_id)
        answered.clear()
        cancel = engine.Canceled("never mind")
        canceled = world.platform.write(lambda unit: runs.apply_by_id(unit, run_id, cancel))
        second.open()
        async with asyncio.timeout(30):
            await answered.wait()
        commits.full = True
        commits.let_go()
        commits.full = False
        await canceled
        await world.platform.writer.drain()
        assert (await world.run(run_id))["status"] == "canceled"
        lines = (await world.api.get(f"/v1/runs/{run_id}/events")).json()["data"]
        ends = [line["data"]["to"] for line in lines if line["type"] == "state_change"]
        assert sorted(ends) == ["canceled", "queued"]

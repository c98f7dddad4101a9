"""Runs that are suspended until any of several things comes: events, an instant, children."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from strait.clock import SECOND, VirtualClock, to_timestamp
from strait.reserved import child_outcome_key, event_state_key
from support.handlers import Answer, Gate, Handlers, Received, ok
from support.world import World
from support.world import world as a_world

DAY = 24 * 3600


class Suspended:
    """A run whose handler can be suspended again and again, on a clock that stands still."""

    def __init__(self, world: World, run_id: str) -> None:
        self.world = world
        self.run_id = run_id
        self._dispatches = 0

    async def dispatched(self) -> httpx.AsyncClient:
        """Return the client of the handler that has the run now: one dispatch later."""
        self._dispatches += 1
        calls = await self.world.handlers.wait(self._dispatches, self.run_id)
        await self.world.settled()
        assert len(calls) == self._dispatches
        return self.world.handler(calls[-1].token)

    async def suspend(self, handler: httpx.AsyncClient, **body: Any) -> str:
        answer = await handler.post(f"/sdk/v1/runs/{self.run_id}/suspend", json=body)
        assert answer.status_code == 200, answer.text
        await self.world.settled()
        return str(answer.json()["status"])

    async def state(self, handler: httpx.AsyncClient, key: str) -> Any:
        answer = await handler.get(f"/sdk/v1/runs/{self.run_id}/state/{key}")
        return answer.json()["value"] if answer.is_success else None

    async def status(self) -> str:
        return str((await self.world.run(self.run_id))["status"])

    @property
    def dispatches(self) -> int:
        return len(self.world.handlers.of(self.run_id))


async def begun(world: World, **fields: Any) -> Suspended:
    """A run that is with its handler, which holds on to it."""
    world.handlers.script = Gate()
    return Suspended(world, await world.trigger(await world.job(timeout_secs=60, **fields)))


def at(world: World, seconds: float) -> str:
    return to_timestamp(world.clock.now() + round(seconds * SECOND))


async def send(world: World, key: str, payload: object) -> int:
    answer = await world.api.post(f"/v1/events/{key}/send", json={"payload": payload})
    await world.settled()
    return answer.status_code


# ------------------------------------------------------------------------------------------ sleeps


async def test_a_run_sleeps_for_three_days_and_is_dispatched_once_after_them(
    virtual: World,
) -> None:
    run = await begun(virtual, max_concurrency=1)
    handler = await run.dispatched()
    assert await run.suspend(handler, wake_at=at(virtual, 3 * DAY)) == "waiting"
    # Its slot is free meanwhile, for a run of the same job.
    assert virtual.platform.scheduler.executing == 0
    await virtual.pass_time(3 * DAY - 1)
    assert (await run.status(), run.dispatches) == ("waiting", 1)
    await virtual.pass_time(1)
    await run.dispatched()
    record = await virtual.run(run.run_id)
    assert (record["status"], record["attempt"]) == ("executing", 1)
    assert "next_retry_at" not in record


async def test_an_instant_that_has_passed_leaves_the_run_with_its_handler(virtual: World) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    assert await run.suspend(handler, wake_at=at(virtual, 0)) == "ready"
    assert await run.status() == "executing"


async def test_a_sleep_is_by_the_clock_although_that_was_set_back(
    handlers: Handlers, tmp_path: Path
) -> None:
    """Records go on from the newest instant, which would have woken it an hour too early."""
    database, clock = tmp_path / "strait.db", VirtualClock()
    async with a_world(handlers, database, clock=clock) as before:
        await before.job()
    back = VirtualClock(clock.now() - 3600 * SECOND)
    async with a_world(handlers, database, clock=back) as world:
        run = await begun(world)
        handler = await run.dispatched()
        assert await run.suspend(handler, wake_at=at(world, 600)) == "waiting"
        await world.pass_time(599)
        assert (await run.status(), run.dispatches) == ("waiting", 1)
        await world.pass_time(1)
        await run.dispatched()


async def test_suspending_again_after_a_lost_answer_changes_nothing(virtual: World) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    wake_at = at(virtual, 60)
    for _ in range(2):
        assert await run.suspend(handler, wake_at=wake_at, waits=[{"event_key": "k"}]) == "waiting"
    moves = (await virtual.api.get(f"/v1/runs/{run.run_id}/events?type=state_change")).json()
    assert [row["data"]["to"] for row in moves["data"]] == ["queued", "executing", "waiting"]


async def test_what_the_old_handler_says_after_the_wake_up_is_refused(virtual: World) -> None:
    run = await begun(virtual)
    old = await run.dispatched()
    await run.suspend(old, wake_at=at(virtual, 60))
    await virtual.pass_time(60)
    await run.dispatched()
    answer = await old.post(f"/sdk/v1/runs/{run.run_id}/suspend", json={"wake_at": at(virtual, 9)})
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        401,
        "run token assignment mismatch",
    )


# ------------------------------------------------------------------------------------------ events


async def test_the_first_of_several_events_wakes_and_the_others_are_kept(virtual: World) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    waits = [{"event_key": "a"}, {"event_key": "b"}]
    assert await run.suspend(handler, waits=waits, wake_at=at(virtual, 60)) == "waiting"
    assert await send(virtual, "a", {"n": 1}) == 200
    handler = await run.dispatched()
    kept = await run.state(handler, event_state_key("a", 0))
    assert (kept["event_key"], kept["payload"]) == ("a", {"n": 1})
    # What comes while the run executes is written at once, and is no reason to start it anew.
    assert await send(virtual, "b", 2) == 200
    assert (await run.state(handler, event_state_key("b", 0)))["payload"] == 2
    assert (await run.status(), run.dispatches) == ("executing", 2)
    assert await run.suspend(handler, waits=[{"event_key": "b"}]) == "ready"
    await virtual.pass_time(60)
    assert run.dispatches == 2


async def test_a_wait_that_times_out_lets_the_run_go_on(virtual: World) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    await run.suspend(handler, waits=[{"event_key": "late", "timeout_secs": 90}])
    await virtual.pass_time(89.9)
    assert run.dispatches == 1
    await virtual.pass_time(0.2)
    handler = await run.dispatched()
    kept = await run.state(handler, event_state_key("late", 0))
    assert kept["timed_out"] is True
    assert "payload" not in kept
    assert await send(virtual, "late", 1) == 409


async def test_asking_again_for_a_wait_attaches_to_it_with_its_time(virtual: World) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    wait = {"event_key": "k", "timeout_secs": 100}
    await run.suspend(handler, waits=[wait], wake_at=at(virtual, 60))
    await virtual.pass_time(60)
    handler = await run.dispatched()
    assert await run.suspend(handler, waits=[wait]) == "waiting"
    await virtual.pass_time(40.1)
    handler = await run.dispatched()
    assert (await run.state(handler, event_state_key("k", 0)))["timed_out"] is True


async def test_each_wait_for_a_key_has_its_own_occurrence(virtual: World) -> None:
    run = await begun(virtual)
    for number in range(2):
        handler = await run.dispatched()
        both = [{"event_key": "t", "occurrence": n} for n in range(number, 2)]
        assert await run.suspend(handler, waits=both) == "waiting"
        assert await send(virtual, "t", number) == 200
    handler = await run.dispatched()
    for number in range(2):
        assert (await run.state(handler, event_state_key("t", number)))["payload"] == number


async def test_an_event_that_was_held_is_there_at_once(virtual: World) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    held = {"payload": "early", "hold_secs": 60}
    assert (await virtual.api.post("/v1/events/h/send", json=held)).status_code == 200
    assert await run.suspend(handler, waits=[{"event_key": "h"}]) == "ready"
    assert (await run.state(handler, event_state_key("h", 0)))["payload"] == "early"
    assert await run.status() == "executing"


async def test_a_wait_that_the_run_no_longer_asks_for_does_not_wake_it(virtual: World) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    await run.suspend(handler, waits=[{"event_key": "a"}], wake_at=at(virtual, 1))
    await virtual.pass_time(1)
    handler = await run.dispatched()
    # Nor from a wait of the other kind, which ends the run when it times out.
    body = {"event_key": "b", "timeout_secs": 50}
    await handler.post(f"/sdk/v1/runs/{run.run_id}/wait-for-event", json=body)
    assert await send(virtual, "a", 1) == 200
    assert (await run.status(), run.dispatches) == ("waiting", 2)
    await virtual.pass_time(50.1)
    assert await run.status() == "timed_out"


async def test_a_key_that_another_run_waits_for_is_refused(virtual: World) -> None:
    first, second = await begun(virtual), await begun(virtual)
    one, other = await first.dispatched(), await second.dispatched()
    await first.suspend(one, waits=[{"event_key": "k"}])
    answer = await other.post(
        f"/sdk/v1/runs/{second.run_id}/suspend",
        json={"waits": [{"event_key": "mine"}, {"event_key": "k"}]},
    )
    assert answer.status_code == 409
    assert await second.status() == "executing"
    assert await send(virtual, "mine", 1) == 404


async def test_a_canceled_wait_cancels_its_run_and_the_end_of_a_run_closes_its_waits(
    virtual: World,
) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    await run.suspend(handler, waits=[{"event_key": "a"}, {"event_key": "b"}])
    assert (await virtual.api.delete("/v1/events/a")).status_code == 200
    assert await run.status() == "canceled"
    assert (await virtual.api.get("/v1/events/b")).json()["status"] == "canceled"


@pytest.mark.parametrize("how", ["cancel", "bulk"])
async def test_a_run_that_is_suspended_can_be_canceled_and_does_not_wake(
    virtual: World, how: str
) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    await run.suspend(handler, waits=[{"event_key": "a"}], wake_at=at(virtual, 60))
    if how == "cancel":
        await virtual.api.delete(f"/v1/runs/{run.run_id}")
    else:
        await virtual.api.post("/v1/runs/bulk-cancel", json={"run_ids": [run.run_id]})
    await virtual.pass_time(60)
    assert (await run.status(), run.dispatches) == ("canceled", 1)
    assert await send(virtual, "a", 1) == 409


# ---------------------------------------------------------------------------------------- children


async def spawned(world: World, run: Suspended, handler: httpx.AsyncClient, slug: str) -> str:
    body = {"job_slug": slug, "project_id": "proj-1", "payload": {}}
    answer = await handler.post(f"/sdk/v1/runs/{run.run_id}/spawn", json=body)
    return str(answer.json()["id"])


async def test_the_first_child_that_ends_wakes_its_parent(virtual: World) -> None:
    gates = [Gate(ok(n)) for n in range(2)]
    for number, gate in enumerate(gates):
        virtual.handlers.scripts[f"/child-{number}"] = gate
    jobs = [await virtual.job(f"child-{number}") for number in range(2)]
    run = await begun(virtual)
    handler = await run.dispatched()
    children = [await spawned(virtual, run, handler, job["slug"]) for job in jobs]
    assert await run.suspend(handler, children=children) == "waiting"
    gates[1].open()
    await virtual.until(children[1], "completed")
    handler = await run.dispatched()
    ended = await run.state(handler, child_outcome_key(children[1]))
    assert (ended["status"], ended["result"]) == ("completed", 1)
    assert await run.suspend(handler, children=children) == "ready"
    assert await run.suspend(handler, children=children[:1]) == "waiting"
    gates[0].open()
    await virtual.until(children[0], "completed")
    await run.dispatched()
    assert run.dispatches == 3


async def test_a_dead_letter_that_is_replayed_knows_the_child_that_ended_meanwhile(
    virtual: World,
) -> None:
    gate = virtual.handlers.scripts["/child"] = Gate(ok("late"))
    job = await virtual.job("child")
    virtual.handlers.scripts["/parent"] = parent = Gate(Answer(500))
    parents_job = await virtual.job("parent", max_attempts=1)
    run = Suspended(virtual, await virtual.trigger(parents_job))
    body = {"job_slug": job["slug"], "project_id": "proj-1", "payload": {}, "spawn_key": "one"}
    spawn = f"/sdk/v1/runs/{run.run_id}/spawn"
    child = (await (await run.dispatched()).post(spawn, json=body)).json()["id"]
    parent.open()
    await virtual.until(run.run_id, "dead_letter")
    gate.open()
    await virtual.until(child, "completed")
    virtual.handlers.scripts["/parent"] = Gate()
    answer = await virtual.api.post(f"/v1/runs/{run.run_id}/dlq-replay", json={})
    assert answer.status_code == 200, answer.text
    handler = await run.dispatched()
    assert (await handler.post(spawn, json=body)).json()["id"] == child
    assert await run.suspend(handler, children=[child]) == "ready"
    ended = await run.state(handler, child_outcome_key(child))
    assert (ended["status"], ended["result"]) == ("completed", "late")


async def test_a_stranger_is_no_child(virtual: World) -> None:
    run, other = await begun(virtual), await begun(virtual)
    handler = await run.dispatched()
    answer = await handler.post(
        f"/sdk/v1/runs/{run.run_id}/suspend", json={"children": [other.run_id]}
    )
    assert answer.status_code == 422
    assert "is no child of this run" in answer.text


async def test_a_grandchild_that_outlives_its_parent_still_wakes_who_awaits_all_below(
    virtual: World,
) -> None:
    last = Gate(ok("leaf"))
    virtual.handlers.scripts["/leaf"] = last
    leaf = await virtual.job("leaf")
    middle = await virtual.job("middle")
    held = virtual.handlers.scripts["/middle"] = Gate(ok("middle"))
    run = await begun(virtual)
    handler = await run.dispatched()
    body = {"job_slug": middle["slug"], "project_id": "proj-1", "payload": {}}
    body["await_completion"] = True
    answer = await handler.post(f"/sdk/v1/runs/{run.run_id}/spawn", json=body)
    between = Suspended(virtual, answer.json()["id"])
    await spawned(virtual, between, await between.dispatched(), leaf["slug"])
    held.open()
    await virtual.until(between.run_id, "completed")
    assert await run.status() == "waiting"
    last.open()
    await run.dispatched()
    assert run.dispatches == 2


# ------------------------------------------------------------------------------------ odd requests


ODD: list[tuple[dict[str, Any], str]] = [
    ({}, "at least one of waits, wake_at and children is required"),
    ({"waits": [], "children": []}, "at least one of"),
    ({"wake_at": "2999-01-01T00:00:00Z"}, "wake_at: must be within"),
    ({"wake_at": "tomorrow"}, "wake_at"),
    ({"waits": [{"event_key": ""}]}, "event_key"),
    ({"waits": [{"event_key": "k", "occurrence": -1}]}, "occurrence"),
    ({"waits": [{"event_key": "k", "timeout_secs": 10**12}]}, "timeout_secs: must be at most"),
    ({"waits": [{"event_key": "spawn-await:x"}]}, "must not begin with"),
    ({"waits": [{"event_key": "\x07"}]}, "invalid control characters"),
    ({"waits": [{"event_key": str(n)} for n in range(101)]}, "waits"),
    ({"children": ["nobody"]}, "is no child of this run"),
]


async def test_what_makes_no_sense_is_refused_by_name(virtual: World) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    for body, says in ODD:
        answer = await handler.post(f"/sdk/v1/runs/{run.run_id}/suspend", json=body)
        assert answer.status_code in {400, 422}, (body, answer.text)
        assert says in answer.text
    assert await run.status() == "executing"


async def test_keys_of_the_host_can_be_written_and_the_servers_own_cannot(virtual: World) -> None:
    run = await begun(virtual)
    handler = await run.dispatched()
    path = f"/sdk/v1/runs/{run.run_id}/state"
    for key in ("strait.sleep.0", "strait.version.x"):
        assert (await handler.post(path, json={"key": key, "value": {}})).status_code == 201
    for key in ("strait.suspended", "strait.event.0.x", "strait.child.x", "strait.other"):
        assert (await handler.post(path, json={"key": key, "value": {}})).status_code == 400


# ---------------------------------------------------------------------------------------- restarts


async def test_sleeps_and_waits_survive_a_restart_and_are_due_once(
    tmp_path: Path, handlers: Handlers
) -> None:
    clock = VirtualClock()
    database = tmp_path / "strait.db"
    async with a_world(handlers, database, clock=clock) as world:
        sleeper, waiter = await begun(world), await begun(world)
        await sleeper.suspend(await sleeper.dispatched(), wake_at=at(world, DAY))
        waits = [{"event_key": "k", "timeout_secs": 2 * DAY}]
        await waiter.suspend(await waiter.dispatched(), waits=waits)
    handlers.script = _completes
    async with a_world(handlers, database, clock=clock) as world:
        await world.pass_time(DAY - 1)
        assert len(handlers.received) == 2
        await world.pass_time(1)
        await world.until(sleeper.run_id, "completed")
    clock.advance(3 * DAY)  # it is due while no server runs
    async with a_world(handlers, database, clock=clock) as world:
        await world.until(waiter.run_id, "completed")
        await world.pass_time(5 * DAY)
    assert [len(handlers.of(run.run_id)) for run in (sleeper, waiter)] == [2, 2]


def _completes(call: Received) -> Any:
    return ok("after")


async def test_a_run_that_slept_past_its_time_to_begin_goes_on_when_a_slot_is_free(
    virtual: World,
) -> None:
    virtual.handlers.script = Gate()
    job = await virtual.job(max_concurrency=1, timeout_secs=600)
    run = Suspended(virtual, await virtual.trigger(job, ttl_secs=30))
    await run.suspend(await run.dispatched(), wake_at=at(virtual, 60))
    other = await virtual.trigger(job)
    await virtual.handlers.wait(1, other)
    await virtual.pass_time(300)
    assert await run.status() == "queued"
    await virtual.api.delete(f"/v1/runs/{other}")
    await run.dispatched()
    assert await run.status() == "executing"

"""What the embedded platform has and the hosted one does not: throttles, catch-up, held events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from strait import AsyncClient
from strait.clock import VirtualClock, from_timestamp
from support.handlers import Gate, Handlers, ok
from support.workflows import Flows, event
from support.world import World
from support.world import world as serving


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["message"])


async def throttle(world: World, name: str, **rate: int) -> dict[str, Any]:
    answer = await world.api.put(f"/v1/throttles/{name}", json=rate)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def starts(world: World, run_ids: list[str]) -> list[int]:
    """Return when runs started, in microseconds, in their order."""
    found = [(await world.run(run_id)).get("started_at") for run_id in run_ids]
    return [from_timestamp(at) for at in found if at]


# --------------------------------------------------------------------------------------- throttles


async def test_starts_are_spread_over_the_windows_of_a_throttle(virtual: World) -> None:
    world = virtual
    await throttle(world, "openai", limit=2, period_secs=60)
    job = await world.job(throttles=[{"name": "openai"}])
    begun = world.clock.now()
    run_ids = [await world.trigger(job) for _ in range(5)]
    await world.pass_time(130)
    offsets = [(at - begun) // 1_000_000 for at in await starts(world, run_ids)]
    assert offsets == [0, 0, 60, 60, 120]
    assert {(await world.run(run_id))["status"] for run_id in run_ids} == {"completed"}


async def test_jobs_share_a_throttle_and_keys_come_from_the_payload(world: World) -> None:
    await throttle(world, "model", max_concurrency=1)
    gate = Gate()
    world.handlers.script = gate
    jobs = [
        await world.job(throttles=[{"name": "model", "key": "{{model.name}}"}]) for _ in range(2)
    ]
    first = await world.trigger(jobs[0], {"model": {"name": "large"}})
    await world.until(first, "executing")
    held = await world.trigger(jobs[1], {"model": {"name": "large"}})
    other = await world.trigger(jobs[1], {"model": {"name": "small"}})
    await world.until(other, "executing")
    assert (await world.run(held))["status"] == "queued"
    gate.open()
    for run_id in (first, held, other):
        await world.until(run_id, "completed")


async def test_a_throttle_remembers_over_a_restart_what_it_let_through(
    tmp_path: Path, handlers: Handlers
) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    async with serving(handlers, database, clock=clock) as world:
        await throttle(world, "slow", limit=1, period_secs=3600)
        job = await world.job(throttles=[{"name": "slow"}])
        first = await world.trigger(job)
        await world.until(first, "completed")
        held = await world.trigger(job)
    clock.advance(600)
    async with serving(handlers, database, clock=clock) as world:
        await world.pass_time(2_900)
        assert (await world.run(held))["status"] == "queued"
        await world.pass_time(200)
        assert (await world.run(held))["status"] == "completed"
        gap = (await starts(world, [first, held]))[1] - (await starts(world, [first]))[0]
        assert 3600 * 1_000_000 <= gap < 3601 * 1_000_000


async def test_a_run_does_not_expire_behind_a_throttle(virtual: World) -> None:
    world = virtual
    await throttle(world, "rare", limit=1, period_secs=86_400)
    job = await world.job(throttles=[{"name": "rare"}], timeout_secs=30)
    await world.trigger(job)
    second = await world.trigger(job)
    await world.pass_time(80_000)
    assert (await world.run(second))["status"] == "queued"
    await world.pass_time(7_000)
    assert (await world.run(second))["status"] == "completed"


async def test_a_throttle_that_is_widened_lets_go_at_once(virtual: World) -> None:
    world = virtual
    await throttle(world, "t", limit=1, period_secs=3600)
    job = await world.job(throttles=[{"name": "t"}])
    run_ids = [await world.trigger(job) for _ in range(3)]
    await world.settled()
    assert len(await starts(world, run_ids)) == 1
    await throttle(world, "t", limit=3, period_secs=3600)
    await world.settled()
    assert len(await starts(world, run_ids)) == 3


async def test_throttles_are_managed_through_the_typed_client(world: World) -> None:
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        made = await client.throttles.put("openai", limit=10, period_secs=60)
        assert (made.name, made.limit, made.period_secs, made.max_concurrency) == (
            "openai", 10, 60, 0
        )  # fmt: skip
        changed = await client.throttles.put("openai", max_concurrency=3)
        assert (changed.id, changed.limit, changed.max_concurrency) == (made.id, 0, 3)
        assert await client.throttles.get("openai") == changed
        assert [t.name async for t in client.throttles.list()] == ["openai"]
        job = await world.job(throttles=[{"name": "openai"}])
        assert job["throttles"] == [{"name": "openai"}]
        refused = await world.api.delete("/v1/throttles/openai")
        assert told(refused) == (409, f"job {job['slug']!r} uses it")
        await world.api.patch(f"/v1/jobs/{job['id']}", json={"throttles": []})
        await client.throttles.delete("openai")
        assert [t.name async for t in client.throttles.list()] == []


@pytest.mark.parametrize(
    ("uses", "text"),
    [
        ([{"name": "nothing"}], "throttle 'nothing' not found"),
        ([{"name": "t"}, {"name": "t"}], "throttle 't' is named twice"),
    ],
)
async def test_a_job_with_impossible_throttles_is_refused(
    world: World, uses: list[dict[str, str]], text: str
) -> None:
    await throttle(world, "t", limit=1)
    body = {
        "project_id": "proj-1",
        "name": "J",
        "slug": "j",
        "endpoint_url": world.handlers.url,
        "throttles": uses,
    }
    status, message = told(await world.api.post("/v1/jobs", json=body))
    assert status == 400
    assert message.startswith(text)


async def test_a_throttle_lets_something_be_limited(world: World) -> None:
    for name in ("a%00b", "a%0Ab", "a%1Bb", "a%7Fb"):
        status, message = told(await world.api.put(f"/v1/throttles/{name}", json={"limit": 1}))
        assert (status, message.partition(": ")[0]) == (
            400, "a throttle's name must not have control characters",
        )  # fmt: skip
    assert told(await world.api.put("/v1/throttles/t", json={})) == (
        400, "a throttle needs `limit` or `max_concurrency`"
    )  # fmt: skip
    stranger = world.client(await world.key_for("*", project="proj-2"))
    await throttle(world, "t", limit=1)
    assert (await stranger.get("/v1/throttles/t")).status_code == 404
    assert (await stranger.get("/v1/throttles")).json()["data"] == []


# ---------------------------------------------------------------------------------------- catch-up


async def ticks_after_a_night(
    tmp_path: Path, handlers: Handlers, **fields: Any
) -> tuple[list[str], VirtualClock]:
    """Return the keys of the scheduled runs of a job whose platform was off from 00:10 to 05:40."""
    database, clock = tmp_path / "strait.db", VirtualClock()
    async with serving(handlers, database, clock=clock) as world:
        job = await world.job(cron="0 * * * *", **fields)
        await world.pass_time(600)
    clock.advance(5.5 * 3600)
    async with serving(handlers, database, clock=clock) as world:
        await world.settled()
        await world.pass_time(1_500)
        runs = (await world.api.get("/v1/runs", params={"limit": 100})).json()["data"]
        keys = [run["idempotency_key"] for run in runs]
        assert all(key.startswith(f"cron:job:{job['id']}:") for key in keys)
        assert {run["status"] for run in runs} == {"completed"}
    return sorted(keys), clock


@pytest.mark.parametrize(
    ("catchup", "hours"), [({}, [6]), ({"cron_catchup": "skip"}, [6]),
                           ({"cron_catchup": "last"}, [5, 6]),
                           ({"cron_catchup": "all"}, [1, 2, 3, 4, 5, 6])]
)  # fmt: skip
async def test_ticks_that_were_missed_are_caught_up_as_the_job_says(
    tmp_path: Path, handlers: Handlers, catchup: dict[str, str], hours: list[int]
) -> None:
    keys, clock = await ticks_after_a_night(tmp_path, handlers, **catchup)
    midnight = clock.now() // 1_000_000 // 86_400 * 86_400
    assert [(int(key.rpartition(":")[2]) - midnight) // 3600 for key in keys] == hours


async def test_every_one_of_many_missed_ticks_is_caught_up_once(
    tmp_path: Path, handlers: Handlers
) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    async with serving(handlers, database, clock=clock) as world:
        job = await world.job(cron="* * * * *", cron_catchup="all")
    clock.advance(450 * 60 + 30)
    async with serving(handlers, database, clock=clock) as world:
        await world.pass_time(1)
        (count,) = world.platform.reader.execute(
            "SELECT count(DISTINCT idempotency_key) FROM runs WHERE job_id = ?", (job["id"],)
        ).fetchone()
        assert count == 450


@pytest.mark.parametrize("kind", ["jobs", "workflows"])
async def test_a_change_that_leaves_the_schedule_alone_forgets_no_missed_tick(
    tmp_path: Path, handlers: Handlers, kind: str
) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    fields = {"cron": "0 * * * *", "cron_catchup": "all"}
    async with serving(handlers, database, clock=clock) as world:
        job = await world.job(**(fields if kind == "jobs" else {}))
        owner = job["id"]
        if kind == "workflows":
            steps = [{"step_ref": "a", "step_type": "job", "job_id": job["id"]}]
            body = {"project_id": "proj-1", "name": "W", "slug": "w", "steps": steps, **fields}
            made = await world.api.post("/v1/workflows", json=body)
            assert made.status_code == 201, made.text
            owner = made.json()["id"]
    clock.advance(4 * 3600)
    async with serving(handlers, database, clock=clock) as world:
        # As a deploy does, before the server has come to what was missed.
        changed = await world.api.patch(f"/v1/{kind}/{owner}", json={"description": "new"})
        assert changed.status_code == 200, changed.text
        await world.pass_time(1)
        runs = (await world.api.get("/v1/runs", params={"job_id": job["id"]})).json()["data"]
        assert len(runs) == 4
        other = await world.api.patch(f"/v1/{kind}/{owner}", json={"cron": "30 * * * *"})
        assert other.status_code == 200
        await world.pass_time(3600)
        runs = (await world.api.get("/v1/runs", params={"job_id": job["id"]})).json()["data"]
        assert len(runs) == 5


async def test_what_was_paused_has_missed_nothing(virtual: World) -> None:
    world = virtual
    job = await world.job(cron="0 * * * *", cron_catchup="all")
    await world.api.post(f"/v1/jobs/{job['id']}/pause", json={})
    await world.pass_time(4 * 3600)
    await world.api.post(f"/v1/jobs/{job['id']}/resume", json={})
    await world.settled()
    assert (await world.api.get("/v1/runs")).json()["data"] == []


# ------------------------------------------------------------------------------------- held events


async def test_an_event_that_comes_early_is_held_for_who_waits_later(world: World) -> None:
    early = await world.api.post(
        "/v1/events/order:1/send", json={"payload": {"paid": True}, "hold_secs": 3600}
    )
    assert (early.status_code, early.json()["status"]) == (200, "held")
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    world.handlers.script = lambda call: ok("went on")
    waits = await handler.post(
        f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": "order:1"}
    )
    assert waits.status_code == 200
    run = await world.until(run_id, "completed")
    assert run["result"] == "went on"
    trigger = (await world.api.get("/v1/events/order:1")).json()
    assert (trigger["status"], trigger["response_payload"]) == ("received", {"paid": True})


@pytest.mark.parametrize("key", ["%00", "a%0Ab", "x" * 513])
async def test_an_event_that_nobody_could_wait_for_is_not_held(world: World, key: str) -> None:
    body = {"payload": 1, "hold_secs": 60}
    refused = await world.api.post(f"/v1/events/{key}/send", json=body)
    assert refused.status_code == 400
    assert "event_key" in refused.json()["error"]["message"]


async def test_a_step_of_a_workflow_finds_an_early_event(flows: Flows) -> None:
    world = flows.world
    await world.api.post("/v1/events/go/send", json={"payload": 7, "hold_secs": 60})
    run_id = await flows.start(event("wait", "go"))
    await flows.until(run_id, "completed")
    steps = (await world.api.get(f"/v1/workflow-runs/{run_id}/steps")).json()["data"]
    assert [step["output"] for step in steps] == [7]


async def test_held_events_are_handed_out_in_their_order_each_once(virtual: World) -> None:
    world = virtual
    for number in (1, 2):
        body = {"payload": number, "hold_secs": 600}
        assert (await world.api.post("/v1/events/k/send", json=body)).json()["status"] == "held"
    got = []
    for _ in range(3):
        gate = Gate()
        world.handlers.script = gate
        run_id, handler = await world.executing(await world.job())
        world.handlers.script = lambda call: ok()
        await handler.post(
            f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": "k", "timeout_secs": 60}
        )
        gate.open()
        await world.settled()
        trigger = (await world.api.get("/v1/events/k")).json()
        got.append((trigger["status"], trigger.get("response_payload")))
        await world.pass_time(100)
    assert got == [("received", 1), ("received", 2), ("waiting", None)]


async def test_a_held_event_is_dropped_when_its_time_is_over(virtual: World) -> None:
    world = virtual
    await world.api.post("/v1/events/k/send", json={"payload": 1, "hold_secs": 60})
    await world.pass_time(61)
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": "k"})
    assert (await world.api.get("/v1/events/k")).json()["status"] == "waiting"
    await world.pass_time(3600)
    (left,) = world.platform.reader.execute("SELECT count(*) FROM held_events").fetchone()
    assert left == 0


async def test_an_event_for_nobody_is_refused_unless_it_is_to_be_held(world: World) -> None:
    assert told(await world.api.post("/v1/events/k/send", json={"payload": 1})) == (
        404, "event trigger not found"
    )  # fmt: skip

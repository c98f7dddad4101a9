"""Streams of a project's activity and of a run's log, and tokens for them (`contract` §8)."""

from __future__ import annotations

import asyncio
import json

import httpx

from support.handlers import Gate, ok
from support.world import PROJECT, World

ACTIVITY = f"/v1/projects/{PROJECT}/activity/stream"


async def frames(response: httpx.Response, count: int) -> list[dict[str, str]]:
    """The first frames that are no comments."""
    found: list[dict[str, str]] = []
    fields: dict[str, str] = {}
    async with asyncio.timeout(30):
        async for line in response.aiter_lines():
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
            elif "data" in fields:
                found.append(fields)
                fields = {}
            else:
                fields = {}
            if len(found) == count:
                break
    return found


async def test_activity_is_told_as_it_happens_and_resumed_without_a_gap(world: World) -> None:
    async with world.api.stream("GET", ACTIVITY) as response:
        first = await world.job()
        (frame,) = await frames(response, 1)
    assert frame["event"] == "activity"
    assert json.loads(frame["data"])["resource_id"] == first["id"]
    missed = await world.job()
    headers = {"Last-Event-ID": frame["id"]}
    async with world.api.stream("GET", ACTIVITY, headers=headers) as response:
        live = await world.job()
        again = await frames(response, 2)
    told = [json.loads(each["data"])["resource_id"] for each in again]
    assert told == [missed["id"], live["id"]]


async def test_who_brings_a_place_that_is_still_to_come_is_told_everything(world: World) -> None:
    """A server that keeps nothing begins its numbers anew with each start."""
    job = await world.job()
    run_id = await world.trigger(job)
    await world.until(run_id, "completed")
    for last in ("999.99999", "999"):
        async with world.api.stream("GET", ACTIVITY, headers={"Last-Event-ID": last}) as response:
            (first, *_) = await frames(response, 1)
        assert json.loads(first["data"])["resource_id"] == job["id"]


async def test_a_token_opens_a_stream_for_five_minutes(virtual: World) -> None:
    made = await virtual.api.post("/v1/sse-token")
    assert made.status_code == 201
    params = {"token": made.json()["token"]}
    stranger = virtual.client()
    async with stranger.stream("GET", ACTIVITY, params=params) as response:
        assert response.status_code == 200
    assert (await stranger.get("/v1/jobs", params=params)).status_code == 401
    other = ACTIVITY.replace(PROJECT, "proj-2")
    assert (await stranger.get(other, params=params)).status_code == 404
    await virtual.pass_time(301)
    late = await stranger.get(ACTIVITY, params=params)
    assert (late.status_code, late.json()["error"]["message"]) == (401, "sse token has expired")
    assert (await stranger.get(ACTIVITY, params={"token": "x"})).status_code == 401


async def test_a_token_opens_no_more_than_its_maker_may(world: World) -> None:
    reader = world.client(await world.key_for("runs:read"))
    params = {"token": (await reader.post("/v1/sse-token")).json()["token"]}
    assert (await world.client().get(ACTIVITY, params=params)).status_code == 403


async def test_the_log_of_a_run_is_told_from_its_first_line_or_the_one_after(
    world: World,
) -> None:
    world.handlers.script = Gate(ok(1))
    run_id, handler = await world.executing(await world.job())
    for number in range(3):
        body = {"level": "info", "message": f"line {number}"}
        assert (await handler.post(f"/sdk/v1/runs/{run_id}/log", json=body)).is_success
    path = f"/v1/runs/{run_id}/stream/logs"
    async with world.api.stream("GET", path) as response:
        found = await frames(response, 3)
    assert [each["event"] for each in found] == ["log"] * 3
    lines = [json.loads(each["data"]) for each in found]
    assert [line["message"] for line in lines] == ["line 0", "line 1", "line 2"]
    assert all(isinstance(line["timestamp_unix_ms"], int) for line in lines)
    headers = {"Last-Event-ID": found[0]["id"]}
    async with world.api.stream("GET", path, headers=headers) as response:
        rest = await frames(response, 2)
    assert rest == found[1:]
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get(path)).status_code == 404


async def test_a_stream_that_comes_back_after_many_lines_misses_none(world: World) -> None:
    world.handlers.script = Gate(ok(1))
    run_id, handler = await world.executing(await world.job())
    for start in range(0, 1_200, 100):
        await asyncio.gather(
            *(
                handler.post(
                    f"/sdk/v1/runs/{run_id}/log", json={"level": "info", "message": str(n)}
                )
                for n in range(start, start + 100)
            )
        )
    headers = {"Last-Event-ID": "0"}
    path = f"/v1/runs/{run_id}/stream"
    async with world.api.stream("GET", path, headers=headers) as response:
        found = await frames(response, 1_200)
    numbers = [int(each["id"]) for each in found]
    assert numbers == list(range(1, 1_201))

"""Server-sent events: what happens to a run, as it happens (`contract/runs.md` §8)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from strait.clock import to_timestamp
from strait.engine.entries import moved
from strait.server.routes import streams
from strait.store import ledger
from support.handlers import Gate, Handlers, ok
from support.world import PROJECT, World
from support.world import world as a_world


class Events:
    """The frames of one stream, one after the other."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def frame(self) -> dict[str, str]:
        """Return the next frame by field; a comment has the field ``""``; the end is empty.

        A block that only tells an id is where the stream begins, and no frame.
        """
        fields: dict[str, str] = {}
        async with asyncio.timeout(30):
            async for line in self._lines:
                if not line and fields.keys() == {"id"}:
                    fields = {}
                    continue
                if not line:
                    return fields
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        return fields

    async def data(self) -> Any:
        frame = await self.frame()
        return json.loads(frame["data"])

    async def rest(self) -> list[Any]:
        """Return the data of all frames until the server ends the stream."""
        found = []
        while frame := await self.frame():
            if "data" in frame:
                found.append(json.loads(frame["data"]))
        return found


@asynccontextmanager
async def listening(world: World, path: str, **headers: str) -> AsyncIterator[Events]:
    async with world.api.stream("GET", path, headers=headers) as response:
        if response.status_code != 200:
            await response.aread()
        yield Events(response)


async def test_a_run_stream_tells_what_happens_and_ends_with_the_run(world: World) -> None:
    gate = Gate(ok(1))
    world.handlers.script = gate
    run_id, handler = await world.executing(await world.job())
    async with listening(world, f"/v1/runs/{run_id}/stream") as stream:
        assert stream.response.headers["content-type"] == "text/event-stream"
        await handler.post(f"/sdk/v1/runs/{run_id}/progress", json={"percent": 5, "message": "on"})
        progress = await stream.data()
        assert (progress["type"], progress["event_type"]) == ("event", "progress")
        assert (progress["message"], progress["data"]) == ("on", {"percent": 5})
        gate.open()
        ended = await stream.rest()
    assert [(row["from"], row["to"]) for row in ended] == [("executing", "completed")]
    assert ended[0]["type"] == "status_change"
    assert ended[0]["run_id"] == run_id


async def test_a_listener_that_comes_back_misses_nothing(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    path = f"/v1/runs/{run_id}/stream"
    async with listening(world, path) as stream:
        await handler.post(f"/sdk/v1/runs/{run_id}/log", json={"message": "first"})
        last = (await stream.frame())["id"]
    for text in ("second", "third"):
        await handler.post(f"/sdk/v1/runs/{run_id}/log", json={"message": text})
    await handler.post(f"/sdk/v1/runs/{run_id}/fail", json={"error": "gone"})
    async with listening(world, path, **{"Last-Event-ID": last}) as stream:
        rest = await stream.rest()
    assert [row.get("message", row.get("to")) for row in rest] == ["second", "third", "failed"]
    assert rest[-1]["error"] == "gone"


async def test_a_run_that_is_over_has_no_stream(world: World) -> None:
    run_id = await world.trigger(await world.job())
    await world.until(run_id, "completed")
    for path in ("stream", "stream/chunks"):
        answer = await world.api.get(f"/v1/runs/{run_id}/{path}")
        assert answer.status_code == 410
        assert answer.json()["error"]["message"] == "run already in terminal state"


@pytest.mark.parametrize("last", ["0", "x", "-3", "9" * 40])
async def test_who_cannot_tell_where_it_was_is_told_everything(world: World, last: str) -> None:
    run_id = await world.trigger(await world.job())
    await world.until(run_id, "completed")
    async with listening(world, f"/v1/runs/{run_id}/stream", **{"Last-Event-ID": last}) as stream:
        assert [row["to"] for row in await stream.rest()] == ["queued", "executing", "completed"]


async def test_chunks_go_to_who_listens_and_the_stream_ends_with_the_run(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    async with listening(world, f"/v1/runs/{run_id}/stream/chunks") as stream:
        await handler.post(f"/sdk/v1/runs/{run_id}/stream", json={"chunk": "Hel"})
        await handler.post(
            f"/sdk/v1/runs/{run_id}/stream", json={"chunk": "lo", "stream_id": "b", "done": True}
        )
        first, second = await stream.data(), await stream.data()
        await handler.post(f"/sdk/v1/runs/{run_id}/complete")
        assert await stream.rest() == []
    assert (first["type"], first["chunk"], first["stream_id"]) == ("stream_chunk", "Hel", "default")
    assert (second["chunk"], second["stream_id"], second["done"]) == ("lo", "b", True)


async def test_a_wait_is_followed_until_it_is_over(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": "paid"})
    async with listening(world, "/v1/events/paid/stream") as stream:
        first = await stream.frame()
        assert first["event"] == "status"
        assert json.loads(first["data"])["status"] == "waiting"
        await world.api.post("/v1/events/paid/send", json={"payload": 1})
        (change,) = await stream.rest()
    assert (change["status"], change["event_key"]) == ("received", "paid")


async def test_a_silent_stream_says_that_it_is_alive(handlers: Handlers) -> None:
    async with a_world(handlers, keepalive_secs=0.02) as world:
        handlers.script = Gate()
        run_id, _ = await world.executing(await world.job())
        async with listening(world, f"/v1/runs/{run_id}/stream") as stream:
            assert await stream.frame() == {"": "keepalive"}
            assert await stream.frame() == {"": "keepalive"}


async def test_a_listener_that_leaves_is_forgotten(world: World) -> None:
    gate = Gate()
    world.handlers.script = gate
    run_id, handler = await world.executing(await world.job())
    for path in (f"/v1/runs/{run_id}/stream", f"/v1/runs/{run_id}/stream/chunks"):
        async with listening(world, path) as stream:
            await handler.post(f"/sdk/v1/runs/{run_id}/log", json={"message": "x"})
            await handler.post(f"/sdk/v1/runs/{run_id}/stream", json={"chunk": "x"})
            await stream.frame()
    hubs = (world.platform.hub, world.platform.chunks.hub)
    async with asyncio.timeout(30):
        while any(run_id in hub.topics for hub in hubs):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)
    gate.open()
    await world.until(run_id, "completed")


@pytest.mark.parametrize("path", ["/v1/runs/none/stream", "/v1/events/none/stream"])
async def test_what_is_not_there_has_no_stream(world: World, path: str) -> None:
    assert (await world.api.get(path)).status_code == 404


async def test_a_server_that_stops_ends_its_streams(handlers: Handlers) -> None:
    async with a_world(handlers) as world:
        handlers.script = Gate()
        run_id, _ = await world.executing(await world.job())
        async with listening(world, f"/v1/runs/{run_id}/stream") as stream:
            await world.platform.drain()
            assert await stream.rest() == []


async def test_who_has_heard_the_end_is_not_let_in_again_and_again(world: World) -> None:
    run_id = await world.trigger(await world.job())
    await world.until(run_id, "completed")
    path = f"/v1/runs/{run_id}/stream"
    frames = []
    async with listening(world, path, **{"Last-Event-ID": "0"}) as stream:
        while frame := await stream.frame():
            frames.append(frame)
    for place, status in ((frames[-1]["id"], 410), (frames[-2]["id"], 200), ("4000", 200)):
        async with listening(world, path, **{"Last-Event-ID": place}) as stream:
            assert stream.response.status_code == status


@pytest.mark.parametrize(("look", "status"), [("_run", 410), ("_status", 200)])
async def test_a_run_that_ends_while_its_stream_is_opened_has_its_end_told(
    world: World, monkeypatch: pytest.MonkeyPatch, look: str, status: int
) -> None:
    """A commit comes in a thread, so also between two looks at the database."""
    world.handlers.script = Gate()
    run_id, _ = await world.executing(await world.job())
    looked = getattr(streams, look)

    def ends_first(*args: Any) -> Any:
        monkeypatch.setattr(streams, look, looked)
        db = world.server.platform.writer.connection
        last = ledger.last_seq(db, run_id)
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE runs SET status = 'failed', doc = json_set(doc, '$.status', 'failed')")
        stamp = to_timestamp(world.server.platform.clock.now())
        ledger.append(db, run_id, PROJECT, stamp, [moved("executing", "failed")], last=last)
        db.execute("COMMIT")
        return looked(*args)

    monkeypatch.setattr(streams, look, ends_first)
    async with listening(world, f"/v1/runs/{run_id}/stream") as stream:
        assert stream.response.status_code == status
        if status == 200:
            assert [row["to"] for row in await stream.rest()] == ["failed"]


async def test_a_wait_that_is_over_is_told_once(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    path = "/v1/events/paid/stream"
    await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": "paid"})
    await world.api.post("/v1/events/paid/send", json={"payload": 1})
    async with listening(world, path) as stream:
        told = await stream.frame()
    async with listening(world, path, **{"Last-Event-ID": told["id"]}) as stream:
        assert stream.response.status_code == 410

"""Readers of event streams that are slow, leave, come back, or are too many; on real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from strait import AsyncClient, Client
from strait.server import hub
from strait.server.chunks import Chunks
from support.handlers import Gate, Handlers, ok
from support.world import PROJECT, World
from support.world import world as a_world

# Larger together than what the kernel keeps for a connection and the server for a listener.
_LARGE = "x" * 100_000
_MANY = 130


class Reader:
    """A client on a socket of its own, which reads when it is told to."""

    def __init__(self, world: World, path: str, last_event_id: str = "") -> None:
        host, port = world.server.base_url.removeprefix("http://").split(":")
        self._socket = socket.socket()
        self._socket.connect((host, int(port)))
        last = f"Last-Event-ID: {last_event_id}\r\n" if last_event_id else ""
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {world.key}\r\n{last}"
        self._socket.sendall(f"{head}Connection: close\r\n\r\n".encode())

    async def rest(self) -> bytes:
        """Read until the server closes; a reset ends it too."""
        return await asyncio.wait_for(asyncio.to_thread(self._read), 20)

    def _read(self) -> bytes:
        read = b""
        with self._socket:
            try:
                while piece := self._socket.recv(1 << 20):
                    read += piece
            except ConnectionResetError:
                return read
        return read


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)


async def write_much(world: World, run_id: str, token_client: Any) -> None:
    for number in range(_MANY):
        body = {"message": f"{number} {_LARGE}"}
        answer = await token_client.post(f"/sdk/v1/runs/{run_id}/log", json=body)
        assert answer.is_success


def ids_of(stream: bytes) -> list[int]:
    return [int(line[4:]) for line in stream.split(b"\n") if line.startswith(b"id: ")]


async def test_a_reader_that_is_too_slow_is_told_where_to_go_on_and_misses_nothing(
    handlers: Handlers,
) -> None:
    async with a_world(handlers, stream_stall_secs=60) as world:
        handlers.script = Gate(ok(1))
        run_id, handler = await world.executing(await world.job())
        reader = Reader(world, f"/v1/runs/{run_id}/stream")
        await until(lambda: run_id in world.platform.hub.topics)
        await write_much(world, run_id, handler)
        read = await reader.rest()
        last_block = read[read.rindex(b"event: error") :]
        told = json.loads(last_block.split(b"\n")[1].removeprefix(b"data: "))
        last = ids_of(read)[-1]
        assert told["code"] == "resume"
        assert told["error"] == (
            "this reader was too slow and was dropped; "
            f"connect again with `Last-Event-ID: {last}` to go on behind it"
        )
        assert read.endswith(b"0\r\n\r\n")
        await handler.post(f"/sdk/v1/runs/{run_id}/complete")
        await world.until(run_id, "completed")
        again = await Reader(world, f"/v1/runs/{run_id}/stream", str(last)).rest()
        # The first id of a stream and that of its marker say where it is; they are no lines.
        lines = ids_of(read)[1:-1] + ids_of(again)[1:]
        assert lines == list(range(lines[0], lines[-1] + 1))
        assert b'"to":"completed"' in again


async def test_a_reader_that_reads_no_more_is_cut_off_and_forgotten(handlers: Handlers) -> None:
    async with a_world(handlers, stream_stall_secs=0.1) as world:
        handlers.script = Gate(ok(1))
        run_id, handler = await world.executing(await world.job())
        reader = Reader(world, f"/v1/runs/{run_id}/stream")
        await until(lambda: run_id in world.platform.hub.topics)
        await write_much(world, run_id, handler)
        await until(lambda: world.platform.streams.total == 0)
        assert run_id not in world.platform.hub.topics
        assert not (await reader.rest()).endswith(b"0\r\n\r\n")


def test_what_waits_for_a_listener_is_bounded_in_number_and_in_bytes() -> None:
    many: hub.Hub[int] = hub.Hub()
    large: hub.Hub[bytes] = hub.Hub(len)
    one, other = many.subscribe("t"), large.subscribe("t")
    many.publish_all("t", range(hub.BACKLOG))
    large.publish("t", bytes(hub.BACKLOG_BYTES))
    assert not one.lagging
    assert not other.lagging
    many.publish("t", -1)
    large.publish("t", b"x")
    assert one.lagging
    assert other.lagging


async def test_more_streams_than_are_allowed_are_refused_for_a_while(handlers: Handlers) -> None:
    async with a_world(handlers, max_streams=2, max_project_streams=1) as world:
        path = f"/v1/projects/{PROJECT}/activity/stream"
        other = world.client(await world.key_for("*", project="proj-2"))
        third = world.client(await world.key_for("*", project="proj-3"))
        async with world.api.stream("GET", path):
            refused = await world.api.get(path)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert refused.json()["error"]["message"] == "too many SSE connections"
            async with other.stream("GET", path.replace(PROJECT, "proj-2")) as response:
                assert response.status_code == 200
                assert (await third.get(path.replace(PROJECT, "proj-3"))).status_code == 503
        await until(lambda: world.platform.streams.total == 0)
        async with world.api.stream("GET", path) as response:
            assert response.status_code == 200


async def test_chunks_that_came_while_a_reader_was_away_are_told_when_it_is_back(
    world: World,
) -> None:
    world.handlers.script = Gate(ok(1))
    run_id, handler = await world.executing(await world.job())
    path = f"/v1/runs/{run_id}/stream/chunks"

    async def chunk(text: str) -> None:
        answer = await handler.post(f"/sdk/v1/runs/{run_id}/stream", json={"chunk": text})
        assert answer.is_success

    client = AsyncClient(base_url=world.server.base_url, api_key=world.key)
    async with client, client.runs.stream_chunks(run_id) as first:
        await until(lambda: run_id in world.platform.chunks.hub.topics)
        await chunk("one")
        assert (await anext(aiter(first))).chunk == "one"
        place = f"{world.platform.epoch}.1"
    await chunk("two")
    await handler.post(f"/sdk/v1/runs/{run_id}/complete")
    await world.until(run_id, "completed")
    read = await Reader(world, path, place).rest()
    assert b'"chunk":"two"' in read
    assert b'"chunk":"one"' not in read
    assert ids_of(read.replace(f"{world.platform.epoch}.".encode(), b"")) == [1, 2]
    nothing_new = await Reader(world, path, f"{world.platform.epoch}.2").rest()
    assert nothing_new.startswith(b"HTTP/1.1 410")


def test_the_chunks_that_are_kept_are_bounded() -> None:
    chunks = Chunks()
    piece = b"x" * 100_000
    for _ in range(20):
        chunks.publish("run", piece)
    kept = chunks.behind("run", 0)
    assert kept[-1].number == 20
    assert sum(len(chunk.body) for chunk in kept) <= 1024 * 1024
    for number in range(30):
        for _ in range(10):
            chunks.publish(f"run {number}", piece)
    assert chunks.behind("run", 0) == []
    assert len(chunks.behind("run 29", 0)) == 10


async def test_a_wait_is_told_on_to_who_comes_back_and_not_twice(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json={"event_key": "paid"})
    path = "/v1/events/paid/stream"
    async with world.api.stream("GET", path) as response:
        lines = response.aiter_lines()
        waiting = (await anext(lines)).removeprefix("id: ")
    await world.api.post("/v1/events/paid/send", json={"payload": 1})
    read = await Reader(world, path, waiting).rest()
    assert read.count(b"data: ") == 1
    assert b'"status":"received"' in read
    over = waiting.replace("waiting", "received")
    assert (await Reader(world, path, over).rest()).count(b"data: ") == 0


async def test_activity_tells_how_runs_and_workflow_runs_move_on(world: World) -> None:
    job = await world.job()
    client = AsyncClient(base_url=world.server.base_url, api_key=world.key)
    async with client:
        flow = await client.workflows.create(
            project_id=PROJECT, name="F", slug="f", steps=[{"step_ref": "a", "job_id": job["id"]}]
        )
        async with client.projects.get_activity_stream(PROJECT) as stream:
            await until(lambda: PROJECT in world.platform.activity_hub.topics)
            started = await client.workflows.trigger(flow.id)
            told: list[Any] = []
            async with asyncio.timeout(30):
                async for item in stream:
                    told.append(item.model_dump())
                    if told[-1].get("workflow_run_id") == started.id and (
                        told[-1]["to"] == "completed"
                    ):
                        break
    flows = [each["to"] for each in told if each.get("type") == "workflow_run.updated"]
    runs = [each["to"] for each in told if each.get("type") == "run.updated"]
    assert flows[-1] == "completed"
    assert runs == ["queued", "executing", "completed"]
    assert all(each["job_id"] == job["id"] for each in told if each.get("run_id"))


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_streams_of_our_client_go_on_over_a_restart_and_lose_nothing(
    handlers: Handlers, tmp_path: Path, sync: bool
) -> None:
    handlers.script = Gate(ok(1))
    async with a_world(handlers, tmp_path / "s.db") as world:
        run_id, handler = await world.executing(await world.job())
        waiter, waiting = await world.executing(await world.job())
        await waiting.post(f"/sdk/v1/runs/{waiter}/wait-for-event", json={"event_key": "paid"})
        follow = _follow_sync if sync else _follow
        told = {
            name: asyncio.create_task(follow(world.server.base_url, world.key, name, run_id))
            for name in ("run", "logs", "chunks", "wait", "activity")
        }
        await until(lambda: world.platform.streams.total == 5)
        await until(lambda: run_id in world.platform.chunks.hub.topics)
        await handler.post(f"/sdk/v1/runs/{run_id}/log", json={"message": "before"})
        await handler.post(f"/sdk/v1/runs/{run_id}/stream", json={"chunk": "before"})
        port = int(world.server.base_url.rpartition(":")[2])
    async with a_world(handlers, tmp_path / "s.db", port=port) as world:
        await until(lambda: world.platform.streams.total == 5)
        await until(lambda: run_id in world.platform.chunks.hub.topics)
        call = (await handlers.wait(2, run_id))[-1]
        await world.until(run_id, "executing", attempt=call.attempt)
        handler = world.handler(call.token)
        await handler.post(f"/sdk/v1/runs/{run_id}/log", json={"message": "after"})
        await handler.post(f"/sdk/v1/runs/{run_id}/stream", json={"chunk": "after"})
        await world.api.post("/v1/events/paid/send", json={"payload": 1})
        await handler.post(f"/sdk/v1/runs/{run_id}/complete")
        async with asyncio.timeout(20):
            found = dict(zip(told, await asyncio.gather(*told.values()), strict=True))
        present = (await world.api.get(f"/v1/runs/{run_id}/events", params={"limit": 100})).json()
    history = [row["message"] for row in present["data"]]
    messages = [item.message for item in found["run"] if item.message]
    assert set(messages) <= set(history)
    assert [text for text in messages if text in {"before", "after"}] == ["before", "after"]
    assert found["run"][-1].to == "completed"
    assert [item.message for item in found["logs"]] == [
        row["message"]
        for row in sorted(present["data"], key=lambda row: row["created_at"])
        if row["type"] == "log"
    ]
    assert [item.chunk for item in found["chunks"]] == ["before", "after"]
    assert [item.status for item in found["wait"]] == ["waiting", "received"]
    moves = [item.model_dump() for item in found["activity"]]
    assert [each["to"] for each in moves if each.get("run_id") == run_id][-1] == "completed"


def _stream(client: Any, name: str, run_id: str) -> Any:
    opened = {
        "run": partial(client.runs.stream, run_id),
        "logs": partial(client.runs.stream_logs, run_id),
        "chunks": partial(client.runs.stream_chunks, run_id),
        "wait": partial(client.event_triggers.get_stream, "paid"),
        "activity": partial(client.projects.get_activity_stream, PROJECT),
    }
    return opened[name]()


def _is_over(item: Any, run_id: str) -> bool:
    """The stream of a project has no end of its own."""
    fields = item.model_dump()
    return bool(
        fields.get("type") == "run.updated"
        and fields["run_id"] == run_id
        and fields["to"] == "completed"
    )


async def _follow(base_url: str, key: str, name: str, run_id: str) -> list[Any]:
    items = []
    client = AsyncClient(base_url=base_url, api_key=key)
    async with client, _stream(client, name, run_id) as stream:
        async for item in stream:
            items.append(item)
            if name == "activity" and _is_over(item, run_id):
                break
    return items


async def _follow_sync(base_url: str, key: str, name: str, run_id: str) -> list[Any]:
    def read() -> list[Any]:
        items = []
        with (
            Client(base_url=base_url, api_key=key) as client,
            _stream(client, name, run_id) as stream,
        ):
            for item in stream:
                items.append(item)
                if name == "activity" and _is_over(item, run_id):
                    break
        return items

    return await asyncio.to_thread(read)

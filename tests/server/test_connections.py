"""Connections are bounded: in number, in size, and in the time that a request takes to come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from strait.server.connections import MAX_HEAD_BYTES, MAX_HEADERS, send_whole
from support.handlers import PATIENCE_SECS, Handlers
from support.world import World, world

pytestmark = pytest.mark.e2e

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
QUESTION = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@asynccontextmanager
async def connected(made: World) -> AsyncIterator[Streams]:
    port = int(made.server.base_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes the connection."""
    async with asyncio.timeout(PATIENCE_SECS):
        return await reader.read()


@pytest.mark.parametrize(
    "head",
    [
        QUESTION + b"X-Long: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
        QUESTION + b"X: 1\r\n" * MAX_HEADERS + b"\r\n",
        b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        QUESTION + b"X-Endless: " + b"a" * MAX_HEAD_BYTES,
        b"GET /" + b"a" * MAX_HEAD_BYTES,
    ],
    ids=["a long header", "many headers", "a long path", "a header without end", "no end at all"],
)
async def test_a_head_that_is_too_large_is_refused(world: World, head: bytes) -> None:
    async with connected(world) as (reader, writer):
        writer.write(head)
        answer = await everything(reader)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"error": {' in answer
    assert (await world.api.get("/health")).status_code == 200


async def test_what_is_no_http_is_refused_in_the_usual_envelope(world: World) -> None:
    async with connected(world) as (reader, writer):
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        answer = await everything(reader)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"bad_request"' in answer


@pytest.mark.parametrize("sent", [b"", QUESTION, QUESTION + b"X-Slow: "])
async def test_a_head_that_does_not_come_is_not_waited_for(handlers: Handlers, sent: bytes) -> None:
    async with world(handlers, head_secs=0.05) as made, connected(made) as (reader, writer):
        writer.write(sent)
        assert (await everything(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_does_not_come_is_not_waited_for(handlers: Handlers) -> None:
    async with world(handlers, head_secs=0.05, body_secs=0.05) as made:
        async with connected(made) as (reader, writer):
            head = (
                f"POST /v1/jobs HTTP/1.1\r\nHost: a.localhost\r\nAuthorization: Bearer {made.key}"
            )
            writer.write(head.encode() + b"\r\nContent-Length: 100\r\n\r\n{")
            assert (await everything(reader)).startswith(b"HTTP/1.1 408 ")
        assert (await made.api.get("/v1/jobs")).json()["data"] == []


async def test_a_connection_that_is_kept_is_not_taken_for_a_slow_one(handlers: Handlers) -> None:
    async with world(handlers, head_secs=0.05) as made, connected(made) as (reader, writer):
        for _ in range(2):
            writer.write(QUESTION + b"\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.1)  # what must not happen would happen meanwhile


async def test_a_connection_too_many_is_refused_and_the_others_are_served(
    handlers: Handlers,
) -> None:
    async with (
        world(handlers, max_connections=2) as made,
        connected(made) as (reader, writer),
        connected(made),
    ):
        writer.write(QUESTION + b"\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        async with connected(made) as (refused, _):
            assert (await everything(refused)).startswith(b"HTTP/1.1 503 ")
        writer.write(QUESTION + b"\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")


async def test_questions_that_come_together_are_answered_in_their_order(world: World) -> None:
    first, last = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: %b\r\n", b"\r\n"
    close = b"Connection: close\r\n"
    async with connected(world) as (reader, writer):
        writer.write(first % b"one" + last + first % b"two" + close + last)
        answers = await everything(reader)
    one, two = answers.split(b"HTTP/1.1 200 ")[1:]
    assert b"x-request-id: one\r\n" in one
    assert b"connection: close" not in one
    assert b"x-request-id: two\r\n" in two
    assert b"connection: close\r\n" in two
    for answer in (one, two):
        head, _, body = answer.partition(b"\r\n\r\n")
        assert f"content-length: {len(body)}".encode() in head


async def test_a_question_for_the_head_alone_gets_no_body(world: World) -> None:
    async with connected(world) as (reader, writer):
        writer.write(b"HEAD /nowhere HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = await everything(reader)
    assert answer.startswith(b"HTTP/1.1 4")
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


async def test_a_header_of_two_lines_is_never_written() -> None:
    written: list[bytes] = []
    cycle = SimpleNamespace(
        disconnected=False,
        flow=SimpleNamespace(write_paused=False),
        keep_alive=True,
        scope={"method": "GET"},
        transport=SimpleNamespace(write=written.append),
    )
    with pytest.raises(RuntimeError, match="more than one line"):
        await send_whole(cycle, 200, [(b"x-name", b"a\r\nset-cookie: b")], b"")
    assert not written

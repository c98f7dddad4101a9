"""Event streams end in time, go on where they broke off, and fail as errors of ours."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from strait import (
    ApiError,
    AsyncClient,
    Client,
    RetryOptions,
    StreamError,
    TransportError,
    TransportTimeoutError,
    UnauthorizedError,
    ValidationError,
)
from strait.client.effects import Open, Read, Request, Response, Sleep
from strait.client.flows import Hooks
from strait.client.operation import StreamOperation
from strait.client.policy import Policy
from strait.client.streams import follow

from .conftest import KEY
from .sockets import Wire, answers, breaks_off, hangs_up, streams

AT_ONCE = RetryOptions(attempts=3, delay_ms=0)


def change(to: str, number: int | None = None) -> bytes:
    data = {
        "type": "status_change",
        "run_id": "run_1",
        "from": "queued",
        "to": to,
        "timestamp": "2026-01-02T03:04:05Z",
    }
    head = "" if number is None else f"id: {number}\n"
    return f"retry: 0\n{head}data: {json.dumps(data)}\n\n".encode()


class Follower:
    """Follows a stream to its end with either client."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async

    def items(self, url: str, call: str = "stream", retry: RetryOptions | None = AT_ONCE) -> Any:
        if self.is_async:
            return asyncio.run(self._items(url, call, retry))
        with Client(base_url=url, api_key=KEY, retry=retry) as client:
            return list(getattr(client.runs, call)("run_1"))

    async def _items(self, url: str, call: str, retry: RetryOptions | None) -> list[Any]:
        async with AsyncClient(base_url=url, api_key=KEY, retry=retry) as client:
            return [item async for item in getattr(client.runs, call)("run_1")]


@pytest.fixture(params=["sync", "async"])
def follower(request: pytest.FixtureRequest) -> Follower:
    return Follower(request.param == "async")


def test_a_run_is_followed_to_its_end(follower: Follower) -> None:
    script = streams(change("executing"), b": keepalive\n\n", change("completed"), change("x"))
    with Wire(script) as wire:
        items = follower.items(wire.url)
    assert [(item.type, item.from_, item["to"]) for item in items] == [
        ("status_change", "queued", "executing"),
        ("status_change", "queued", "completed"),
    ]
    assert b"accept: text/event-stream" in wire.requests[0].lower()
    assert wire.requests[0].startswith(b"GET /v1/runs/run_1/stream HTTP/1.1")


@pytest.mark.parametrize("script", [breaks_off, streams])
def test_a_stream_goes_on_after_the_last_event_that_came(follower: Follower, script: Any) -> None:
    with Wire(script(change("dequeued", 7)), streams(change("completed", 8))) as wire:
        items = follower.items(wire.url)
    assert [item.to for item in items] == ["dequeued", "completed"]
    assert b"last-event-id: 7" in wire.requests[1].lower()


def test_a_run_that_ended_meanwhile_ends_the_stream(follower: Follower) -> None:
    gone = answers(b'{"error":{"code":"internal_error","message":"over"}}', "410 Gone")
    with Wire(breaks_off(change("executing")), gone) as wire:
        items = follower.items(wire.url)
    assert [item.to for item in items] == ["executing"]


def test_a_run_that_had_ended_before_has_no_events(follower: Follower) -> None:
    with Wire(answers(b"{}", "410 Gone")) as wire:
        assert follower.items(wire.url) == []


def test_a_stream_that_cannot_be_opened_is_an_error(follower: Follower) -> None:
    missing = answers(b'{"error":{"code":"not_found","message":"run not found"}}', "404 Not Found")
    with Wire(missing) as wire, pytest.raises(Exception, match="run not found"):
        follower.items(wire.url)


def test_a_stream_is_opened_again_as_often_as_other_calls(follower: Follower) -> None:
    busy = answers(b"", "503 Service Unavailable")
    with Wire(busy, busy, streams(change("completed"))) as wire:
        assert len(follower.items(wire.url)) == 1
    with Wire(busy, busy, busy) as wire, pytest.raises(ApiError):
        follower.items(wire.url)
    with Wire(hangs_up, hangs_up, hangs_up) as wire, pytest.raises(TransportError):
        follower.items(wire.url)
    with Wire(hangs_up) as wire, pytest.raises(TransportError):
        follower.items(wire.url, retry=None)


def test_an_error_event_is_raised(follower: Follower) -> None:
    with Wire(streams(b'event: error\ndata: {"message":"broken"}\n\n')) as wire:
        with pytest.raises(StreamError, match="broken") as caught:
            follower.items(wire.url)
        assert caught.value.data == '{"message":"broken"}'


def test_a_stream_can_be_given_a_deadline() -> None:
    with (
        Wire(streams(*[change("executing")] * 3)) as wire,
        Client(base_url=wire.url, api_key=KEY) as client,
        pytest.raises(TransportError, match="deadline"),
    ):
        list(client.runs.stream("run_1", deadline=1e-9))


def test_a_server_that_closes_at_once_is_not_asked_in_a_tight_loop() -> None:
    operation: StreamOperation[Any] = StreamOperation("s", ("/s",), json.loads)
    policy = Policy(retry=AT_ONCE, safe=True, keyed=False, clock=lambda: 0.0)
    flow = follow(operation, Request("GET", "https://p.test/s", {}), policy, Hooks([]))
    waits = []
    effect = next(flow)
    while len(waits) < 3:
        match effect:
            case Open():
                parts = [b"retry: 0\n\n", b""]
                effect = flow.send(Response(200, {}))
            case Read():
                effect = flow.send(parts.pop(0))
            case Sleep(seconds):
                waits.append(seconds)
                effect = flow.send(None)
            case _:
                effect = flow.send(None)
    assert waits == [1.0, 1.0, 1.0]


def test_logs_end_when_the_platform_ends_them(follower: Follower) -> None:
    log = b'event: log\ndata: {"line":"hello","n":1}\n\n'
    with Wire(streams(log, log)) as wire:
        lines = follower.items(wire.url, "stream_logs")
    assert [(line["line"], line["n"]) for line in lines] == [("hello", 1)] * 2


def test_escapes_of_go_in_chunks_of_output_are_read(follower: Follower) -> None:
    chunk = (
        b"retry: 0\n"
        rb'data: {"type":"stream_chunk","chunk":"\x1b[1m \\x41","stream_id":"s","done":true}'
    )
    with Wire(streams(chunk + b"\n\n"), answers(b"{}", "410 Gone")) as wire:
        (item,) = follower.items(wire.url, "stream_chunks")
    assert item.chunk == "\x1b[1m \\x41"


def test_a_stream_that_is_left_gives_its_connection_back() -> None:
    with (
        Wire(breaks_off(change("executing"))) as wire,
        Client(base_url=wire.url, api_key=KEY, retry=None) as client,
    ):
        with client.runs.stream("run_1") as stream:
            assert next(stream).to == "executing"
            assert stream.last_event is not None
            assert stream.last_event.event == "message"
        assert list(stream) == []


async def test_an_async_stream_that_is_left_gives_its_connection_back() -> None:
    with Wire(breaks_off(change("executing"))) as wire:
        async with AsyncClient(base_url=wire.url, api_key=KEY, retry=None) as client:
            async with client.runs.stream("run_1") as stream:
                async for item in stream:
                    assert item.to == "executing"
                    break
            assert [item async for item in stream] == []


def test_any_stream_can_be_followed_as_plain_json() -> None:
    with (
        Wire(streams(b'data: {"a":1}\n\ndata: [2]\n\ndata: three\n\n')) as wire,
        Client(base_url=wire.url, api_key=KEY) as client,
    ):
        items = list(client.do_stream("GET", "/v1/anything", query={"x": 1}))
    assert items == [{"a": 1}, {"data": [2]}, {"data": "three"}]
    assert wire.requests[0].startswith(b"GET /v1/anything?x=1 ")


# -------------------------------------------------------------------------------------- opening


def test_a_with_block_opens_the_stream_before_its_body_runs() -> None:
    with Wire(streams(change("completed"))) as wire:
        client = Client(base_url=wire.url, api_key=KEY)
        with client, client.runs.stream("run_1") as changes:
            assert len(wire.requests) == 1, "what happens from here on is in the stream"
            assert [item.to for item in changes] == ["completed"]


async def test_an_async_with_block_opens_the_stream_before_its_body_runs() -> None:
    with Wire(streams(change("completed"))) as wire:
        client = AsyncClient(base_url=wire.url, api_key=KEY)
        async with client, client.runs.stream("run_1") as changes:
            assert len(wire.requests) == 1, "what happens from here on is in the stream"
            assert [item.to async for item in changes] == ["completed"]


def test_a_stream_of_a_run_that_is_over_is_empty_in_a_with_block() -> None:
    over = b'{"error":{"code":"internal_error","message":"run already in terminal state"}}'
    with Wire(answers(over, "410 Gone")) as wire:
        client = Client(base_url=wire.url, api_key=KEY)
        with client, client.runs.stream("run_1") as changes:
            assert list(changes) == []


def test_a_stream_that_cannot_be_opened_fails_where_its_block_begins() -> None:
    refusal = b'{"error":{"code":"forbidden","message":"insufficient permissions"}}'
    with (
        Wire(answers(refusal, "403 Forbidden")) as wire,
        Client(base_url=wire.url, api_key=KEY) as client,
    ):
        stream = client.runs.stream("run_1")
        with pytest.raises(UnauthorizedError), stream:
            pytest.fail("the block must not begin")


def _falls_silent(connection: socket.socket, _: bytes) -> None:
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    connection.sendall(head.encode())
    connection.recv(1)  # until the other side gives up


def test_a_stream_that_falls_silent_is_opened_again_and_then_given_up() -> None:
    with (
        Wire(_falls_silent, _falls_silent) as wire,
        Client(base_url=wire.url, api_key=KEY, retry=AT_ONCE) as client,
        pytest.raises(TransportTimeoutError),
    ):
        next(client.runs.stream("run_1", idle_timeout=0.05, max_reconnects=1))


def test_an_event_may_be_no_larger_than_asked_for() -> None:
    with (
        Wire(streams(b"data: " + b"x" * 200 + b"\n\n")) as wire,
        Client(base_url=wire.url, api_key=KEY) as client,
        pytest.raises(StreamError, match="larger than 100 characters"),
    ):
        next(client.runs.stream("run_1", max_event_size=100))


@pytest.mark.parametrize(
    "options",
    [{"idle_timeout": 0}, {"max_event_size": 0}, {"max_reconnects": -1}, {"idle_timout": 1}],
)
def test_options_of_a_stream_are_checked_before_it_is_opened(options: dict[str, Any]) -> None:
    with Client(api_key=KEY) as client, pytest.raises(ValidationError):
        client.runs.stream("run_1", **options)


def test_an_event_of_a_kind_that_nobody_knows_is_kept() -> None:
    event = b'data: {"type": "of_tomorrow", "to": "completed", "more": 1}\n\n'
    with (
        Wire(streams(event)) as wire,
        Client(base_url=wire.url, api_key=KEY) as client,
        client.runs.stream("run_1") as stream,
    ):
        item = next(stream)
    assert (item.type, item["more"]) == ("of_tomorrow", 1)

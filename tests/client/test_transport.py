"""Real sockets, over every transport: timeouts, deadlines, lost answers, streams, proxies, TLS."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest

from strait import (
    AsyncClient,
    Client,
    ConfigurationError,
    NotFoundError,
    RetryOptions,
    TransportError,
    TransportTimeoutError,
    ValidationError,
)
from strait.client.transports.wiring import shared_ssl_context

from .carriers import GIVEN, OWN, CarrierHarness
from .conftest import KEY, Harness, Platform
from .sockets import Wire, answers, hangs_up, streams

JOBS = answers(b'{"data":[],"has_more":false}')
ONCE = RetryOptions(attempts=1)


@pytest.fixture(params=OWN + GIVEN, ids=str)
def carrier(request: pytest.FixtureRequest) -> Iterator[CarrierHarness]:
    harness = CarrierHarness(request.param)
    yield harness
    harness.close()


@pytest.fixture(params=OWN, ids=str)
def own(request: pytest.FixtureRequest) -> Iterator[CarrierHarness]:
    harness = CarrierHarness(request.param)
    yield harness
    harness.close()


def drips(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
    stopped = threading.Event()
    for _ in range(100):
        connection.sendall(b" ")
        stopped.wait(0.02)


def is_silent(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)


def breaks_off_whole(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")


def talks_nonsense(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


def unused_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def failure(carrier: Harness, call: Any) -> TransportError:
    with pytest.raises(TransportError) as caught:
        carrier.run(call)
    return caught.value


def test_an_answer_comes_back_whole(carrier: CarrierHarness) -> None:
    with Wire(answers(b'{"id":"job_1","name":"gr\xc3\xbc\xc3\x9fe"}')) as wire:
        client = carrier.client(base_url=wire.url)
        job = carrier.run(lambda: client.jobs.get("a b:c", deadline=30))
    assert job.name == "grüße"
    head = wire.requests[0].partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"get /v1/jobs/a%20b:c http/1.1\r\n")
    assert f"authorization: bearer {KEY}".encode() in head
    assert b"\r\nuser-agent: strait" in head
    assert head.count(b"\r\nhost: ") == 1


def test_a_body_is_sent_with_its_length_and_type(carrier: CarrierHarness) -> None:
    with Wire(answers(b'{"id":"job_1"}', "201 Created")) as wire:
        client = carrier.client(base_url=wire.url)
        carrier.run(lambda: client.jobs.create(name="a", slug="b", project_id="p"))
    head, _, body = wire.requests[0].partition(b"\r\n\r\n")
    lines = [line.lower() for line in head.split(b"\r\n")]
    assert lines.count(b"content-type: application/json") == 1
    assert lines.count(f"content-length: {len(body)}".encode()) == 1


def test_a_packed_answer_is_unpacked(carrier: CarrierHarness) -> None:
    packed = gzip.compress(b'{"id":"job_1"}')

    def answers_packed(connection: socket.socket, request: bytes) -> None:
        assert b"gzip" in request.lower().partition(b"accept-encoding:")[2].partition(b"\r\n")[0]
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n"
        connection.sendall(head.encode() + packed)

    with Wire(answers_packed) as wire:
        client = carrier.client(base_url=wire.url)
        assert carrier.run(lambda: client.jobs.get("job_1")).id == "job_1"


def test_an_error_of_the_platform_is_read_alike(carrier: CarrierHarness) -> None:
    refusal = answers(b'{"error":{"code":"not_found","message":"no such job"}}', "404 Not Found")
    with Wire(refusal) as wire:
        client = carrier.client(base_url=wire.url)
        with pytest.raises(NotFoundError, match="no such job") as caught:
            carrier.run(lambda: client.jobs.get("job_1"))
    assert (caught.value.headers or {})["content-type"] == "application/json"


def test_a_redirect_is_left_to_the_policy(carrier: CarrierHarness) -> None:
    def moves(connection: socket.socket, _: bytes) -> None:
        connection.sendall(
            b"HTTP/1.1 307 Moved\r\nlocation: /v1/jobs/job_2\r\ncontent-length: 0\r\n"
            b"connection: close\r\n\r\n"
        )

    with Wire(moves, answers(b'{"id":"job_2"}')) as wire:
        client = carrier.client(base_url=wire.url)
        assert carrier.run(lambda: client.jobs.get("job_1")).id == "job_2"
    assert len(wire.requests) == 2


def test_cookies_are_not_kept(own: CarrierHarness) -> None:
    def bakes(connection: socket.socket, _: bytes) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\n"
            b"content-length: 2\r\nconnection: close\r\n\r\n{}"
        )

    with Wire(bakes, bakes) as wire:
        client = own.client(base_url=wire.url)
        own.run(lambda: client.jobs.get("job_1"))
        own.run(lambda: client.jobs.get("job_1"))
    assert b"cookie:" not in wire.requests[1].lower()


def test_an_answer_that_drips_is_bounded_by_the_deadline(carrier: CarrierHarness) -> None:
    with Wire(drips) as wire:
        client = carrier.client(base_url=wire.url)
        error = failure(carrier, lambda: client.jobs.list(deadline=0.1))
    assert isinstance(error, TransportTimeoutError)
    assert error.sent


def test_a_timeout_holds_for_the_client(carrier: CarrierHarness) -> None:
    with Wire(is_silent) as wire:
        client = carrier.client(base_url=wire.url, timeout_ms=50, retry=ONCE)
        error = failure(carrier, client.jobs.list)
    assert isinstance(error, TransportTimeoutError)
    assert error.sent


def test_a_timeout_holds_for_one_call(carrier: CarrierHarness) -> None:
    with Wire(is_silent) as wire:
        client = carrier.client(base_url=wire.url)
        error = failure(carrier, lambda: client.jobs.list(timeout=0.05, max_retries=0))
    assert isinstance(error, TransportTimeoutError)
    assert error.sent


def test_a_platform_that_does_not_accept_is_a_timeout_that_was_not_sent(
    carrier: CarrierHarness,
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # Its queue is full: what comes now is neither accepted nor refused.
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(listener.getsockname())
        client = carrier.client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        error = failure(carrier, lambda: client.runs.replay("run_1", timeout=0.1, max_retries=0))
        for one in waiting:
            one.close()
    assert isinstance(error, TransportTimeoutError)
    assert not error.sent


def test_a_body_that_gets_stuck_is_a_timeout(carrier: CarrierHarness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = carrier.client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        big = "x" * 16_000_000
        error = failure(
            carrier,
            lambda: client.do_request("POST", "/v1/x", body={"x": big}, timeout=0.1, max_retries=0),
        )
    assert isinstance(error, TransportTimeoutError)
    assert error.sent


def test_a_stream_that_falls_silent_is_a_timeout(
    carrier: CarrierHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strait.client.settings.IDLE_SECS", 0.1)
    stopped = threading.Event()

    def falls_silent(connection: socket.socket, _: bytes) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
            b'data: {"type":"status","data":{"n":1}}\n\n'
        )
        stopped.wait(10)

    with Wire(falls_silent) as wire:
        client = carrier.client(base_url=wire.url, retry=ONCE)
        with pytest.raises(TransportTimeoutError):
            carrier.items(lambda: client.do_stream("GET", "/v1/x"))
        stopped.set()


def test_without_one_an_injected_http_client_keeps_its_own_timeout(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, {"data": []})
    client = either.client()
    either.run(client.jobs.list)
    assert platform.last.extensions["timeout"]["read"] == 5.0
    either.run(lambda: client.jobs.list(timeout=2))
    assert platform.last.extensions["timeout"]["read"] == 2


@pytest.mark.parametrize("options", [{"timeout": 0}, {"deadline": -1}, {"max_retries": -1}])
def test_options_out_of_range_are_refused(either: Harness, options: dict[str, float]) -> None:
    client = either.client()
    with pytest.raises(ValidationError):
        either.run(lambda: client.jobs.get("job_1", **options))


def test_a_lost_response_to_trigger_creates_one_run(carrier: CarrierHarness) -> None:
    run = answers(b'{"id":"run_1","status":"queued"}', "201 Created")
    with Wire(hangs_up, run) as wire:
        client = carrier.client(base_url=wire.url)
        assert carrier.run(lambda: client.jobs.trigger("job_1", payload=1)).id == "run_1"
    keys = {
        line
        for request in wire.requests
        for line in request.lower().split(b"\r\n")
        if line.startswith(b"idempotency-key:")
    }
    assert len(wire.requests) == 2
    assert len(keys) == 1


@pytest.mark.parametrize("script", [hangs_up, breaks_off_whole, talks_nonsense])
def test_a_lost_response_to_a_request_without_key_is_left_to_the_caller(
    carrier: CarrierHarness, script: Any
) -> None:
    with Wire(script, JOBS) as wire:
        client = carrier.client(base_url=wire.url)
        assert failure(carrier, lambda: client.runs.replay("run_1")).sent
        assert len(wire.requests) == 1


def test_no_transport_sends_again_by_itself(carrier: CarrierHarness) -> None:
    # A read, and a kept connection that breaks: what HTTP libraries like to repeat in secret.
    def answers_and_stays(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        connection.recv(65536)

    with Wire(answers_and_stays, JOBS) as wire:
        client = carrier.client(base_url=wire.url, retry=ONCE)
        carrier.run(lambda: client.jobs.get("job_1"))
        assert failure(carrier, lambda: client.jobs.get("job_1")).sent
        assert len(wire.requests) == 1


def test_a_dead_host_is_a_transport_error_that_was_not_sent(carrier: CarrierHarness) -> None:
    client = carrier.client(base_url=unused_address(), retry=None)
    assert not failure(carrier, lambda: client.jobs.create(name="a")).sent
    with pytest.raises(TransportError):
        carrier.items(lambda: client.event_triggers.get_stream("key"))


def test_a_body_is_read_as_it_comes(carrier: CarrierHarness) -> None:
    with Wire(streams(b"one", b"two", media="application/json")) as wire:
        client = carrier.client(base_url=wire.url)
        pieces = carrier.streamed(lambda: client.jobs.with_streaming_response.get("job_1"))
    assert b"".join(pieces) == b"onetwo"


def test_a_closed_client_says_so(carrier: CarrierHarness) -> None:
    client = carrier.client(base_url=unused_address(), retry=None)
    carrier.run(client.close)
    carrier.run(client.close)
    error = failure(carrier, client.jobs.list)
    assert "closed" in str(error)
    assert not error.sent


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_an_http_client_that_its_owner_closed_says_so(library: Any) -> None:
    http = library.Client()
    http.close()
    client = Client(base_url=unused_address(), api_key=KEY, http_client=http, retry=None)
    with pytest.raises(TransportError, match="closed") as caught:
        client.jobs.list()
    assert not caught.value.sent


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_an_injected_http_client_stays_open(library: Any) -> None:
    with library.Client() as http:
        with Client(base_url="http://localhost", api_key=KEY, http_client=http):
            pass
        assert not http.is_closed


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_connection_refused_after_a_redirect_was_sent(library: Any) -> None:
    gone = unused_address().encode()

    def sees_other(connection: socket.socket, _: bytes) -> None:
        connection.sendall(
            b"HTTP/1.1 303 See Other\r\nlocation: " + gone + b"/x\r\ncontent-length: 0\r\n\r\n"
        )

    with Wire(sees_other) as wire, library.Client(follow_redirects=True) as http:
        client = Client(base_url=wire.url, api_key=KEY, http_client=http)
        with pytest.raises(TransportError) as caught:
            client.runs.replay("run_1")
    assert caught.value.sent
    assert len(wire.requests) == 1


def test_all_clients_share_one_tls_context() -> None:
    assert shared_ssl_context() is shared_ssl_context()


@pytest.mark.parametrize("made", [Client, AsyncClient])
def test_a_transport_that_is_not_there_is_told(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "httpx2", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'strait-python\[httpx2\]'"):
        made(api_key=KEY, transport="httpx2")
    with pytest.raises(ConfigurationError, match="must be one of"):
        made(api_key=KEY, transport="curl")


def test_aiohttp_is_for_an_async_client(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: Any = "aiohttp"
    with pytest.raises(ConfigurationError, match="for an `AsyncClient`"):
        Client(api_key=KEY, transport=wrong)
    monkeypatch.setitem(__import__("sys").modules, "aiohttp", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'strait-python\[aiohttp\]'"):
        AsyncClient(api_key=KEY, transport="aiohttp")

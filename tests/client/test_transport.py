"""Real sockets: timeouts, deadlines, closed clients, threads, loops, forks."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from strait import (
    AsyncClient,
    Client,
    RetryOptions,
    TransportError,
    TransportTimeoutError,
    ValidationError,
)
from strait.client.transport import shared_ssl_context

from .conftest import KEY, Harness, Platform
from .sockets import Wire, answers, hangs_up

JOBS = answers(b'{"data":[],"has_more":false}')


def drips(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
    stopped = threading.Event()
    for _ in range(100):
        connection.sendall(b" ")
        stopped.wait(0.02)


def is_silent(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)


def unused_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_answer_that_drips_is_bounded_by_the_deadline() -> None:
    with (
        Wire(drips) as wire,
        Client(base_url=wire.url, api_key=KEY) as client,
        pytest.raises(TransportTimeoutError),
    ):
        client.jobs.list(deadline=0.1)


async def test_an_answer_that_drips_is_bounded_by_the_deadline_async() -> None:
    with Wire(drips) as wire:
        async with AsyncClient(base_url=wire.url, api_key=KEY) as client:
            with pytest.raises(TransportTimeoutError):
                await client.jobs.list(deadline=0.1)


def test_a_timeout_holds_for_the_client_and_for_one_call() -> None:
    once = RetryOptions(attempts=1)
    with (
        Wire(is_silent) as wire,
        Client(base_url=wire.url, api_key=KEY, timeout_ms=50, retry=once) as client,
    ):
        with pytest.raises(TransportTimeoutError) as caught:
            client.jobs.list()
        assert caught.value.sent
    with (
        Wire(is_silent) as wire,
        Client(base_url=wire.url, api_key=KEY) as client,
        pytest.raises(TransportTimeoutError),
    ):
        client.jobs.list(timeout=0.05, max_retries=0)


def test_a_given_timeout_holds_for_an_injected_http_client_too() -> None:
    with httpx.Client(timeout=60) as http, Wire(is_silent) as wire:
        client = Client(base_url=wire.url, api_key=KEY, http_client=http, timeout_ms=50)
        with pytest.raises(TransportTimeoutError):
            client.jobs.list(max_retries=0)


def test_without_one_an_injected_http_client_keeps_its_own(
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


def test_a_lost_response_to_trigger_creates_one_run() -> None:
    run = answers(b'{"id":"run_1","status":"queued"}', "201 Created")
    retry = RetryOptions(attempts=3, delay_ms=0)
    with (
        Wire(hangs_up, run) as wire,
        Client(base_url=wire.url, api_key=KEY, retry=retry) as client,
    ):
        assert client.jobs.trigger("job_1", payload=1).id == "run_1"
    keys = {
        line
        for request in wire.requests
        for line in request.lower().split(b"\r\n")
        if line.startswith(b"idempotency-key:")
    }
    assert len(wire.requests) == 2
    assert len(keys) == 1


def test_a_lost_response_to_a_request_without_key_is_left_to_the_caller() -> None:
    retry = RetryOptions(attempts=3, delay_ms=0)
    with (
        Wire(hangs_up) as wire,
        Client(base_url=wire.url, api_key=KEY, retry=retry) as client,
        pytest.raises(TransportError),
    ):
        client.runs.replay("run_1")
    assert len(wire.requests) == 1


def test_a_dead_host_is_a_transport_error_that_was_not_sent() -> None:
    with Client(base_url=unused_address(), api_key=KEY, retry=None) as client:
        with pytest.raises(TransportError) as caught:
            client.jobs.create(name="a")
        assert caught.value.sent is False
        with pytest.raises(TransportError):
            next(client.event_triggers.get_stream("key"))


def test_a_closed_client_says_so(either: Harness, platform: Platform) -> None:
    client = either.client(retry=None)
    either.run(client.close)
    either.run(client.close)
    with pytest.raises(TransportError, match="closed"):
        either.run(client.jobs.list)


def test_an_injected_http_client_stays_open() -> None:
    with httpx.Client() as http:
        with Client(base_url="http://localhost", api_key=KEY, http_client=http):
            pass
        assert not http.is_closed


def test_one_client_serves_many_threads() -> None:
    with (
        Wire(*[JOBS] * 40) as wire,
        Client(base_url=wire.url, api_key=KEY) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        pages = list(pool.map(lambda _: client.jobs.list().data, range(40)))
    assert pages == [[]] * 40


def test_one_async_client_serves_one_loop_after_another() -> None:
    client = AsyncClient(base_url=unused_address(), api_key=KEY, retry=None)

    async def ask(url: str) -> int:
        other = AsyncClient(base_url=url, api_key=KEY, retry=None)
        async with other:
            return len(await other.jobs.list())

    async def fail() -> None:
        with pytest.raises(TransportError):
            await client.jobs.list()
        await client._exchange.http.aclose()

    with Wire(JOBS) as wire:
        assert asyncio.run(ask(wire.url)) == 0
    asyncio.run(fail())
    asyncio.run(fail())


def test_a_fork_does_not_use_the_connections_of_its_parent() -> None:
    with Client(base_url="http://localhost", api_key=KEY) as client:
        parents = client._exchange.http
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"own" if client._exchange.http is not parents else b"his")
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reader, 3) == b"own"
        assert client._exchange.http is parents
        os.close(reader)
        os.close(writer)


def test_all_clients_share_one_tls_context() -> None:
    assert shared_ssl_context() is shared_ssl_context()

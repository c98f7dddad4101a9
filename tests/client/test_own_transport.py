"""A transport of one's own: the two protocols, and transports of httpx."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import pytest

from strait import AsyncClient, Client, RetryOptions, TransportError, ValidationError
from strait.client.effects import Request, Response
from strait.client.transports import AsyncTransport, Transport

from .conftest import KEY

OPTIONS: Any = {"base_url": "http://platform.test", "api_key": KEY}


class Scripted:
    """A transport that answers from memory; the first request of all is refused."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.is_closed = False

    def send(self, request: Request, deadline: float | None = None) -> Response:
        self.requests.append(request)
        if len(self.requests) == 1:
            raise TransportError("refused", sent=False)
        return Response(200, {"x-request-id": "req_1"}, b'{"id":"run_1"}')

    def open(self, request: Request) -> tuple[Response, Pieces]:
        return Response(200, {"content-type": "text/event-stream"}), Pieces()

    def close(self) -> None:
        self.is_closed = True


class Pieces:
    def __init__(self) -> None:
        self._pieces = [b"o", b"ne"]

    def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def close(self) -> None:
        self._pieces.clear()


class AsyncScripted:
    """The same, to be awaited."""

    def __init__(self) -> None:
        self.inner = Scripted()

    async def send(self, request: Request, deadline: float | None = None) -> Response:
        return self.inner.send(request, deadline)

    async def open(self, request: Request) -> tuple[Response, Any]:
        raise TransportError("it has no streams", sent=False)

    async def close(self) -> None:
        self.inner.close()


def test_a_transport_of_ones_own_sends_under_the_policy_of_the_client() -> None:
    own = Scripted()
    transport: Transport = own
    with Client(**OPTIONS, transport=transport, retry=RetryOptions(2, delay_ms=0)) as client:
        # It is no operation that could be repeated, but it was not sent.
        assert client.runs.replay("run_1").id == "run_1"
        with client.jobs.with_streaming_response.get("job_1") as response:
            assert response.read() == b"one"
    assert [request.method for request in own.requests] == ["POST", "POST"]
    assert own.is_closed


async def test_an_async_transport_of_ones_own_sends_under_the_policy_of_the_client() -> None:
    own = AsyncScripted()
    transport: AsyncTransport = own
    retry = RetryOptions(2, delay_ms=0)
    async with AsyncClient(**OPTIONS, transport=transport, retry=retry) as client:
        assert (await client.runs.replay("run_1")).id == "run_1"
    assert len(own.inner.requests) == 2
    assert own.inner.is_closed


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_transport_of_the_httpx_family_is_one(library: Any) -> None:
    mock = library.MockTransport(lambda _: library.Response(200, json={"id": "job_1"}))
    with Client(**OPTIONS, transport=mock) as client:
        assert client.jobs.get("job_1").id == "job_1"
    async with AsyncClient(**OPTIONS, transport=mock) as aio:
        assert (await aio.jobs.get("job_1")).id == "job_1"


async def test_a_mock_platform_is_a_transport() -> None:
    from strait.testing import MockPlatform

    mock = MockPlatform()
    mock.answer("jobs.get", {"id": "job_1"})
    with Client(**OPTIONS, transport=mock) as client:
        assert client.jobs.get("job_1").id == "job_1"
    async with AsyncClient(**OPTIONS, transport=mock) as aio:
        assert (await aio.jobs.get("job_1")).id == "job_1"
    assert len(mock.requests_of("jobs.get")) == 2


def test_what_cannot_be_a_transport_is_refused() -> None:
    things: Any = (object(), AsyncScripted(), httpx.AsyncHTTPTransport())
    for thing in things:
        with pytest.raises(ValidationError, match="`transport` must be") as caught:
            Client(api_key=KEY, transport=thing)
        assert ("AsyncClient" in str(caught.value)) == (type(thing) is not object)
    things = (object(), Scripted(), httpx.HTTPTransport())
    for thing in things:
        with pytest.raises(ValidationError, match="`transport` must be") as caught:
            AsyncClient(api_key=KEY, transport=thing)
        assert ("for a `Client`" in str(caught.value)) == (type(thing) is not object)

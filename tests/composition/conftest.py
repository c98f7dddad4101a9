"""Time that passes at once, and clients whose platform answers from a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from strait import AsyncClient, Client, NotFoundError, TransportError
from strait.composition import pace


class Pace:
    """A clock that jumps over every wait.

    Attributes:
        now: seconds since the test began.
        waits: the waits, in seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.waits.append(round(seconds, 6))
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Pace:
    made = Pace()
    monkeypatch.setattr(pace, "now", lambda: made.now)
    monkeypatch.setattr(pace, "draw", lambda: 0.5)
    monkeypatch.setattr(pace, "sleep", made.sleep)
    monkeypatch.setattr(pace, "sleep_async", made.sleep_async)
    return made


class Script:
    """A function that does the next thing of a list at each call; the last one again and again.

    Attributes:
        calls: the arguments of every call.
    """

    def __init__(self, *things: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._things = list(things)

    def __call__(self, *args: Any) -> Any:
        self.calls.append(args)
        thing = self._things.pop(0) if len(self._things) > 1 else self._things[0]
        if isinstance(thing, BaseException):
            raise thing
        return thing


def as_coroutine(answer: Callable[[], Any]) -> Awaitable[Any]:
    async def made() -> Any:
        return answer()

    return made()


def as_task(answer: Callable[[], Any]) -> Awaitable[Any]:
    return asyncio.ensure_future(as_coroutine(answer))


class Custom:
    """Something to await that is neither a coroutine nor a future."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    def __await__(self) -> Iterator[Any]:
        return as_coroutine(self._answer).__await__()


AWAITABLES = [as_coroutine, as_task, Custom]


class Platform:
    """Answers requests in turn, the last answer again and again, and keeps what was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[tuple[int, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(status, json=body)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        return self(request)

    def client(self, **options: Any) -> Client:
        http = httpx.Client(transport=httpx.MockTransport(self))
        return Client(base_url="https://p.test", api_key="strait_0", http_client=http, **options)

    def async_client(self, **options: Any) -> AsyncClient:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        return AsyncClient(
            base_url="https://p.test", api_key="strait_0", http_client=http, **options
        )

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]


@pytest.fixture
def platform() -> Platform:
    return Platform()


def lost() -> TransportError:
    return TransportError("the connection was lost")


def not_found() -> NotFoundError:
    return NotFoundError(404, "job not found")

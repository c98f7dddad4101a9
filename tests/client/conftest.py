"""A platform that answers from a script, and one harness for both clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from strait import AsyncClient, Client, RetryOptions

KEY = "strait_0123456789abcdef"
AT_ONCE = RetryOptions(attempts=3, delay_ms=0)


class Platform:
    """Answers requests in turn, the last answer again and again, and keeps what was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[httpx.Response | Exception] = []

    def answers_with(
        self, status: int = 200, body: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        found = {"content-type": "application/json", **(headers or {})}
        self.answers.append(httpx.Response(status, content=content, headers=found))

    def answers_text(self, status: int, text: str, media: str = "text/html") -> None:
        self.answers.append(
            httpx.Response(status, content=text.encode(), headers={"content-type": media})
        )

    def fails_with(self, error: Exception) -> None:
        self.answers.append(error)

    def handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    async def handle_async(self, request: httpx.Request) -> httpx.Response:
        return self.handle(request)

    @property
    def last(self) -> httpx.Request:
        return self.requests[-1]

    def sent(self, index: int = -1) -> Any:
        return json.loads(self.requests[index].content)


class Harness:
    """A client, sync or async, whose calls look the same to a test."""

    def __init__(self, platform: Platform, *, is_async: bool) -> None:
        self.platform = platform
        self.is_async = is_async
        self._runner = asyncio.Runner() if is_async else None
        self._clients: list[Any] = []

    def client(self, **options: Any) -> Any:
        options.setdefault("base_url", "https://platform.test")
        if not {"api_key", "auth", "run_token", "bearer_token"} & set(options):
            options["api_key"] = KEY
        options.setdefault("retry", AT_ONCE)
        if self.is_async:
            mock = httpx.AsyncClient(transport=httpx.MockTransport(self.platform.handle_async))
            client: Any = AsyncClient(**{"http_client": mock, **options})
        else:
            mocked = httpx.Client(transport=httpx.MockTransport(self.platform.handle))
            client = Client(**{"http_client": mocked, **options})
        self._clients.append(client)
        return client

    def run(self, call: Callable[[], Any]) -> Any:
        """Make a call and return its result, awaited where there is something to await."""
        if self._runner is None:
            return call()

        async def made() -> Any:
            answer = call()
            return await answer if hasattr(answer, "__await__") else answer

        return self._runner.run(made())

    def items(self, call: Callable[[], Any]) -> list[Any]:
        """Return every item of a page or stream."""
        if self._runner is None:
            return list(call())

        async def collected() -> list[Any]:
            return [item async for item in call()]

        return self._runner.run(collected())

    def close(self) -> None:
        for client in self._clients:
            self.run(client.close)
        if self._runner is not None:
            self._runner.close()


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture(params=["sync", "async"])
def either(request: pytest.FixtureRequest, platform: Platform) -> Iterator[Harness]:
    harness = Harness(platform, is_async=request.param == "async")
    yield harness
    harness.close()


JOB: dict[str, Any] = {
    "id": "job_1",
    "project_id": "proj_1",
    "name": "A job",
    "slug": "a-job",
    "endpoint_url": "https://worker.test/run",
    "max_attempts": 3,
    "timeout_secs": 300,
    "enabled": True,
    "paused": False,
    "version": 1,
    "created_at": "2026-01-02T03:04:05.123456Z",
    "updated_at": "2026-01-02T03:04:05.123456Z",
}

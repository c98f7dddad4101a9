"""Both clients behind one way to call them, with every raw answer held to the description."""

from __future__ import annotations

import asyncio
import threading
import tomllib
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from strait import AsyncClient, Client, RetryOptions
from strait.client import AsyncPage, AsyncPager, Page, Request, Response
from strait.errors import StraitError
from strait.models.base import StraitModel
from support.description import description, problems, resolved
from support.handlers import PATIENCE_SECS
from support.world import SECRET, World

Mode = Literal["sync", "async"]
_NAMES = Path(__file__).parents[2] / "api" / "names.toml"


@cache
def _named_fields() -> set[str]:
    """Return the operations whose success has fields with names: their results are models."""
    names = tomllib.loads(_NAMES.read_text("utf-8"))["operations"]
    return {
        names[operation["operationId"]]
        for methods in description()["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        for content in answer.get("content", {}).values()
        if resolved(content.get("schema", {})).get("properties")
    }


class Record:
    """What was called in a scenario, and how it went.

    Attributes:
        answered: operations that were answered with a success, by their names in the client.
        refused: operations that were answered with an error, and its statuses.
        problems: what was not as described.
    """

    def __init__(self) -> None:
        self.answered: set[str] = set()
        self.refused: dict[str, set[int]] = {}
        self.problems: list[str] = []
        self.opened = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()

    def take(self, request: Request, response: Response) -> None:
        """Note an answer as it came over the wire."""
        kind = response.headers.get("content-type", "")
        with self._lock:
            if response.status < 300:
                self.answered.add(request.operation)
            else:
                self.refused.setdefault(request.operation, set()).add(response.status)
            if kind.startswith("text/event-stream"):
                self._loop.call_soon_threadsafe(self.opened.set)
                return
            path = urlsplit(request.url).path
            self.problems += problems(request.method, path, response.status, response.content, kind)


class Driver:
    """One client, sync or async, with one credential.

    Calls are by name (`await driver("jobs.get", job_id)`), so that a scenario is written once.
    """

    def __init__(self, world: World, mode: Mode, record: Record, **credential: Any) -> None:
        self.record = record
        options: dict[str, Any] = {
            "base_url": world.server.base_url,
            "strict_responses": True,
            "retry": RetryOptions(attempts=1),
            "project_id": "proj-1",
            **credential,
        }
        self._async = AsyncClient(middleware=[self._seen], **options) if mode == "async" else None
        self._sync = Client(middleware=[self._seen_sync], **options) if mode == "sync" else None

    async def __call__(self, name: str, /, *arguments: object, **options: Any) -> Any:
        """Call an operation and return its result; of a list, the items of its first page."""
        function = self._function(name)
        if self._sync is not None:
            result = await asyncio.to_thread(function, *arguments, **options)
        else:
            result = await function(*arguments, **options)
        return self._typed(name, result)

    async def fails(self, status: int, name: str, /, *arguments: object, **options: Any) -> None:
        """Call an operation that must be refused with a status, as a typed error."""
        with pytest.raises(StraitError) as told:
            await self(name, *arguments, **options)
        assert told.value.status == status, name

    async def events(
        self, name: str, *arguments: object, cause: Callable[[], Awaitable[object]]
    ) -> list[Any]:
        """Follow a stream until its first item; `cause` makes something happen once it is open."""
        self.record.opened.clear()
        function = self._function(name)
        if self._sync is not None:
            reading = asyncio.create_task(asyncio.to_thread(_first, function, arguments))
        else:
            reading = asyncio.create_task(_first_async(function, arguments))
        async with asyncio.timeout(PATIENCE_SECS):
            opened = asyncio.create_task(self.record.opened.wait())
            await asyncio.wait([opened, reading], return_when=asyncio.FIRST_COMPLETED)
            opened.cancel()
            await cause()
            items = await reading
        assert items, f"{name}: nothing came"
        assert all(isinstance(item, StraitModel) for item in items), f"{name}: {items}"
        return items

    async def aclose(self) -> None:
        """Close the client."""
        if self._async is not None:
            await self._async.aclose()
        if self._sync is not None:
            await asyncio.to_thread(self._sync.close)

    def _function(self, name: str) -> Any:
        service, _, method = name.partition(".")
        return getattr(getattr(self._async or self._sync, service), method)

    def _typed(self, name: str, result: Any) -> Any:
        if isinstance(result, Page | AsyncPage):
            assert all(isinstance(item, StraitModel) for item in result.data), name
            return list(result.data)
        assert not isinstance(result, AsyncPager), name
        if isinstance(result, dict):
            assert name not in _named_fields(), f"{name} gives plain JSON"
        return result

    async def _seen(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        self.record.take(request, response)
        return response

    def _seen_sync(self, request: Request, call_next: Callable[[Request], Response]) -> Response:
        response = call_next(request)
        self.record.take(request, response)
        return response


def _first(function: Any, arguments: tuple[object, ...]) -> list[Any]:
    with function(*arguments) as stream:
        return [next(iter(stream))]


async def _first_async(function: Any, arguments: tuple[object, ...]) -> list[Any]:
    async with function(*arguments) as stream:
        async for item in stream:
            return [item]
    return []


class Scene:
    """A server, and clients with every credential that the API knows.

    Attributes:
        key: a key for everything in the project.
        internal: another service, with the internal secret.
        nobody: no credential that the platform would know.
    """

    def __init__(self, world: World, mode: Mode) -> None:
        self.world = world
        self.mode = mode
        self.record = Record()
        self._drivers: list[Driver] = []
        self.key = self.driver(api_key=world.key)
        headers = {"X-Project-Id": "proj-1"}
        self.internal = self.driver(bearer_token=SECRET, default_headers=headers)
        self.nobody = self.driver(api_key="strait_nobody")

    def driver(self, **credential: Any) -> Driver:
        """Return a client of this scene with a credential."""
        made = Driver(self.world, self.mode, self.record, **credential)
        self._drivers.append(made)
        return made

    def handler(self, token: str) -> Driver:
        """Return a client that speaks for a run."""
        return self.driver(run_token=token)

    async def aclose(self) -> None:
        """Close all clients."""
        for driver in self._drivers:
            await driver.aclose()

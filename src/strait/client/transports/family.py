"""Transports of our own over `httpx`, which is always there, or `httpx2`.

They stand on the library's own transports, below its client: cookies, redirects, authentication
and hooks are matters of a client, and cost as much again as the rest of a call.
"""

from __future__ import annotations

import asyncio
import time
from functools import cache
from types import ModuleType
from typing import Any

from strait.client.effects import Request, Response
from strait.client.transports.failures import HttpxFailures, by_way_of, closed, late
from strait.client.transports.pools import LoopPools, ProcessPools
from strait.client.transports.shards import Shard, Shards
from strait.client.transports.streams import AsyncHttpxBody, HttpxBody
from strait.client.transports.wiring import Proxies, Wiring
from strait.errors import ConfigurationError, StraitError

# How many connections there may be, and how many of them idle.
_CONNECTIONS = {"httpx": (100, 100), "httpx2": (1000, 100)}
# Both libraries look at every connection of a pool for each request, so twenty small pools serve
# fifty calls at once in half of the time that one large pool takes.
_SHARDS = 20
KEEPALIVE_SECS = 5.0


class _Family:
    """What both share: how requests are built, and how the library's transports are made."""

    def __init__(self, library: ModuleType, wiring: Wiring) -> None:
        wiring.check()
        self.library = library
        self._wiring = wiring
        self._proxies = Proxies(wiring.proxy)
        self._failures = HttpxFailures(library)
        self._encodings = _encodings(library)
        self._closed = False

    def _built(self, request: Request) -> Any:
        secs = request.timeout
        timeout = {"connect": secs, "write": secs, "pool": secs, "read": request.idle or secs}
        return self.library.Request(
            request.method,
            request.url,
            headers={"accept-encoding": self._encodings, **request.headers},
            content=request.content,
            extensions={"timeout": timeout},
        )

    def _arguments(self, proxy: str | None, shards: int = 1) -> dict[str, Any]:
        given = self._wiring.limits
        most, idle = (number // shards for number in _CONNECTIONS[self.library.__name__])
        limits = self.library.Limits(
            max_connections=most if given is None else given.max_connections,
            max_keepalive_connections=idle if given is None else given.max_keepalive_connections,
            keepalive_expiry=KEEPALIVE_SECS if given is None else given.keepalive_expiry,
        )
        return {"verify": self._wiring.context, "limits": limits, "proxy": proxy}

    def _failed(self, error: Exception, request: Request) -> StraitError:
        """Return our error for one that stood between a request and the head of its answer."""
        mapped = self._failures.mapped(error, request)
        return by_way_of(mapped, self._proxies.to(request.url))


@cache
def _encodings(library: ModuleType) -> str:
    """Return the encodings that the library can read; it says so in its clients only."""
    with library.Client(verify=False, trust_env=False) as client:
        found: str = client.headers["accept-encoding"]
    return found


def _made(transport: type[Any], arguments: dict[str, Any]) -> Any:
    try:
        return transport(**arguments)
    except ImportError as error:
        raise ConfigurationError(
            "a socks5 proxy needs `socksio`: pip install 'httpx[socks]'"
        ) from error


class HttpxTransport(_Family):
    """Sends requests with `httpx.HTTPTransport`s of its own, or those of `httpx2`."""

    def __init__(self, library: ModuleType, wiring: Wiring) -> None:
        super().__init__(library, wiring)
        self.pools: ProcessPools[Any] = ProcessPools(
            lambda proxy: _made(library.HTTPTransport, self._arguments(proxy))
        )

    def send(self, request: Request, deadline: float | None = None) -> Response:
        """Send a request and return its whole answer."""
        answer = self._answer(request)
        if deadline is not None:
            return HttpxBody(answer, request, self._failures).whole(deadline)
        try:
            return Response(answer.status_code, answer.headers, answer.read())
        except Exception as error:  # nothing of the user's runs in there
            raise self._failures.mapped(error, request) from error

    def open(self, request: Request) -> tuple[Response, HttpxBody]:
        """Send a request and return the head of its answer, and what reads the rest."""
        answer = self._answer(request)
        body = HttpxBody(answer, request, self._failures)
        return Response(answer.status_code, answer.headers), body

    def close(self) -> None:
        """Close the connections of this process."""
        self._closed = True
        self.pools.close()

    def _answer(self, request: Request) -> Any:
        if self._closed:
            raise closed(request)
        pool = self.pools.get(self._proxies.to(request.url))
        try:
            return pool.handle_request(self._built(request))
        except Exception as error:  # nothing of the user's runs in there
            raise self._failed(error, request) from error


class AsyncHttpxTransport(_Family):
    """Sends requests with `httpx.AsyncHTTPTransport`s of its own, or those of `httpx2`."""

    def __init__(self, library: ModuleType, wiring: Wiring) -> None:
        super().__init__(library, wiring)
        # Limits that are given hold for one pool; ours are shared out.
        shards = _SHARDS if wiring.limits is None else 1
        self.pools = LoopPools(
            lambda proxy: Shards(
                [
                    _made(library.AsyncHTTPTransport, self._arguments(proxy, shards))
                    for _ in range(shards)
                ]
            ),
            Shards.close,
        )

    async def send(self, request: Request, deadline: float | None = None) -> Response:
        """Send a request and return its whole answer."""
        if deadline is None:
            return await self._whole(request)
        scope = asyncio.timeout(max(0.0, deadline - time.monotonic()))
        try:
            async with scope:
                return await self._whole(request)
        except TimeoutError as error:
            raise late(request) from error

    async def open(self, request: Request) -> tuple[Response, AsyncHttpxBody]:
        """Send a request and return the head of its answer, and what reads the rest."""
        shard = await self._shard(request)
        shard.busy += 1
        try:
            answer = await shard.transport.handle_async_request(self._built(request))
        except BaseException as error:
            shard.busy -= 1
            if isinstance(error, Exception):
                raise self._failed(error, request) from error
            raise
        body = AsyncHttpxBody(answer, request, self._failures, shard)
        return Response(answer.status_code, answer.headers), body

    async def close(self) -> None:
        """Close the connections of the running loop."""
        self._closed = True
        await self.pools.close()

    async def _whole(self, request: Request) -> Response:
        shard = await self._shard(request)
        shard.busy += 1
        try:
            answer = await shard.transport.handle_async_request(self._built(request))
            return Response(answer.status_code, answer.headers, await answer.aread())
        except Exception as error:  # nothing of the user's runs in there
            raise self._failed(error, request) from error
        finally:
            shard.busy -= 1

    async def _shard(self, request: Request) -> Shard:
        if self._closed:
            raise closed(request)
        shards = await self.pools.get(self._proxies.to(request.url))
        return shards.idlest()

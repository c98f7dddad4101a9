"""A transport over `aiohttp`, the fastest there is for an `AsyncClient`; it is an extra."""

from __future__ import annotations

import asyncio
import time
from io import BytesIO
from typing import Any

import aiohttp

from strait.client.effects import Request, Response
from strait.client.transports.failures import by_way_of, closed, late, text_of, what
from strait.client.transports.family import KEEPALIVE_SECS
from strait.client.transports.pools import LoopPools
from strait.client.transports.wiring import Limits, Proxies, Wiring, checked_proxy
from strait.errors import ConfigurationError, StraitError, TransportError, TransportTimeoutError

_CONNECTIONS = 1000
# What h11, which reads the answers of httpx, has for the whole head of an answer.
_HEAD_BYTES = 100 * 1024
# A body of this size fits into the buffers of a socket; only a longer one can get stuck.
_SMALL_BYTES = 64 * 1024
# Nothing was sent when one of these is raised.
_UNSENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,  # the proxy refused to connect to the platform
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


class _Lost(aiohttp.ClientError):
    """A connection that broke; aiohttp does not know it, and so does not send again by itself."""


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send once: whether a lost request may be repeated is for the policy of the call to say."""
    try:
        return await handler(request)
    except _UNSENT:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Lost(text_of(error)) from error


class AiohttpTransport:
    """Sends requests with an `aiohttp.ClientSession` for each event loop."""

    def __init__(self, wiring: Wiring) -> None:
        wiring.check()
        self._wiring = wiring
        self._proxies = Proxies(wiring.proxy)
        self._closed = False
        if wiring.proxy is not None:
            _http_proxy(wiring.proxy)
        self.pools: LoopPools[aiohttp.ClientSession] = LoopPools(
            lambda _: _session(wiring), aiohttp.ClientSession.close
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

    async def open(self, request: Request) -> tuple[Response, AiohttpBody]:
        """Send a request and return the head of its answer, and what reads the rest."""
        answer = await self._answer(request)
        return Response(answer.status, answer.headers), AiohttpBody(answer, request)

    async def close(self) -> None:
        """Close the connections of the running loop."""
        self._closed = True
        await self.pools.close()

    async def _whole(self, request: Request) -> Response:
        answer = await self._answer(request)
        try:
            return Response(answer.status, answer.headers, await answer.read())
        except Exception as error:  # nothing of the user's runs in there
            raise _mapped(error, request) from error

    async def _answer(self, request: Request) -> aiohttp.ClientResponse:
        if self._closed:
            raise closed(request)
        proxy = self._proxies.to(request.url)
        if proxy is not None:
            _http_proxy(proxy)
        session = await self.pools.get(None)
        secs = request.timeout
        content, bound = request.content, None
        body: bytes | BytesIO | None = content
        if content is not None and len(content) > _SMALL_BYTES:
            # aiohttp has no bound for writing, and wants to write a long body in pieces.
            body, bound = BytesIO(content), 3 * secs if secs else None
        try:
            asked = session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=body,
                timeout=aiohttp.ClientTimeout(
                    connect=secs, sock_connect=secs, sock_read=request.idle or secs
                ),
                proxy=proxy,
                allow_redirects=False,
            )
            if bound is None:
                return await asked
            async with asyncio.timeout(bound):
                return await asked
        except Exception as error:  # nothing of the user's runs in there
            raise by_way_of(_mapped(error, request), proxy) from error


class AiohttpBody:
    """The body of an answer that is read piece by piece."""

    def __init__(self, answer: aiohttp.ClientResponse, request: Request) -> None:
        self._answer = answer
        self._request = request

    async def read(self) -> bytes:
        """Return the next bytes; none at the end."""
        try:
            return await self._answer.content.readany()
        except Exception as error:  # nothing of the user's runs in there
            raise _mapped(error, self._request) from error

    async def close(self) -> None:
        """Give the connection back."""
        self._answer.close()


def _session(wiring: Wiring) -> aiohttp.ClientSession:
    limits: Limits | None = wiring.limits
    most, idle_secs, force_close = _CONNECTIONS, KEEPALIVE_SECS, False
    if limits is not None:
        most = limits.max_connections or 0  # aiohttp's word for any number
        force_close = limits.max_keepalive_connections == 0
        idle_secs = KEEPALIVE_SECS if limits.keepalive_expiry is None else limits.keepalive_expiry
    keeping: dict[str, Any] = {} if force_close else {"keepalive_timeout": idle_secs}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=most, ssl=wiring.context, force_close=force_close, **keeping
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("user-agent", "content-type"),
        middlewares=(_once,),
        max_line_size=_HEAD_BYTES,
        max_field_size=_HEAD_BYTES,
    )


def _http_proxy(proxy: str) -> None:
    if not checked_proxy(proxy, "`proxy`").startswith("http"):
        raise ConfigurationError('`transport="aiohttp"` takes http(s) proxies only, no socks5')


def _mapped(error: Exception, request: Request) -> StraitError:
    if isinstance(error, RuntimeError) and str(error) == "Session is closed":
        return closed(request, error)
    sent = not isinstance(error, _UNSENT)
    if isinstance(error, TimeoutError):
        message = f"{what(request)}: timed out: {text_of(error)}"
        return TransportTimeoutError(message, error, sent=sent)
    return TransportError(f"{what(request)}: {text_of(error)}", error, sent=sent)

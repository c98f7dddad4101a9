"""Transports: the two places where the client touches an HTTP library.

Any client object of the `httpx` family works: its own exceptions are mapped by the names that the
family shares, so that an `httpx2` client needs no other adapter.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import httpx

from strait.client.effects import Request, Response
from strait.errors import (
    ConfigurationError,
    StraitError,
    TransportError,
    TransportTimeoutError,
    ValidationError,
)

_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100)
# Nothing was sent when one of these is raised.
_UNSENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ProxyError")
_FAMILIES = ("httpx", "httpx2")


@cache
def shared_ssl_context() -> ssl.SSLContext:
    """Return the one TLS context of the process; to build one takes longer than a request."""
    return httpx.create_ssl_context()


def family_of(client: object, kind: str) -> ModuleType:
    """Return the library that a user's HTTP client comes from.

    Args:
        client: what was passed as `http_client`.
        kind: the class that fits, `Client` or `AsyncClient`.

    Raises:
        ValidationError: it is something else.
    """
    for parent in type(client).__mro__:
        package = parent.__module__.partition(".")[0]
        if package in _FAMILIES and parent.__name__ == kind:
            return sys.modules[package]
    hint = " (it is for an `AsyncClient`)" if type(client).__name__ == "AsyncClient" else ""
    raise ValidationError(
        f"`http_client` must be an `httpx.{kind}`, not `{type(client).__name__}`{hint}"
    )


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a client's own HTTP client reaches the platform.

    Attributes:
        verify: the certificates that are trusted: a context, a file or folder of authorities, True
            for those of the system, or False for any at all.
        cert: what the client shows: a file, or files of certificate and key, and a password.
        proxy: the address of a proxy; None is what the environment says.
        limits: how many connections there may be.
    """

    verify: ssl.SSLContext | str | bool = True
    cert: str | tuple[str, str] | tuple[str, str, str] | None = None
    proxy: str | None = None
    limits: httpx.Limits | None = None

    @property
    def is_given(self) -> bool:
        """Whether anything is other than usual."""
        return self != Wiring()

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the HTTP client.

        Raises:
            ConfigurationError: a certificate cannot be read, or the proxy is no address.
        """
        try:
            found: dict[str, Any] = {
                "verify": self._context(),
                "limits": self.limits or _LIMITS,
                "proxy": None if self.proxy is None else httpx.Proxy(self.proxy),
            }
        except OSError as error:  # what `ssl` raises is one too
            raise ConfigurationError(f"`verify` or `cert` cannot be read: {error}") from error
        except ValueError as error:
            # The address is not shown: it may have a password in it.
            raise ConfigurationError("`proxy` must be an http(s) or socks5 address") from error
        return found

    def _context(self) -> ssl.SSLContext:
        if isinstance(self.verify, ssl.SSLContext):
            context = self.verify
        elif self.verify is True and self.cert is None:
            return shared_ssl_context()
        elif isinstance(self.verify, str):
            is_folder = os.path.isdir(self.verify)
            context = ssl.create_default_context(
                cafile=None if is_folder else self.verify,
                capath=self.verify if is_folder else None,
            )
        else:
            context = httpx.create_ssl_context(verify=self.verify)
        if self.cert is not None:
            parts = (self.cert,) if isinstance(self.cert, str) else self.cert
            context.load_cert_chain(*parts)
        return context


_USUAL = Wiring()


def _wired(client: object, wiring: Wiring) -> Callable[[], dict[str, Any]]:
    """Return what gives the arguments of an HTTP client; what can be wrong is found out now.

    Raises:
        ValidationError: the user's own client was given too, which is wired already.
    """
    if not wiring.is_given:
        return wiring.arguments
    if client is not None:
        raise ValidationError(
            "`verify`, `cert`, `proxy` and `limits` belong to `http_client`: give them to that"
        )
    arguments = wiring.arguments()
    return lambda: arguments


class _Adapter:
    """What both transports share: building requests and mapping exceptions."""

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self.errors: tuple[type[Exception], ...] = (
            library.HTTPError,
            library.InvalidURL,
            RuntimeError,  # a closed client, or a stream that was read already
            library.CookieConflict,
        )
        self._unsent = tuple(getattr(library, name) for name in _UNSENT)

    def _build(self, http: Any, request: Request) -> Any:
        """Return a request of a user's HTTP client, with what that client adds to each."""
        timeout: Any = self._library.USE_CLIENT_DEFAULT
        if request.idle is not None:
            timeout = self._library.Timeout(request.timeout or request.idle, read=request.idle)
        elif request.timeout is not None:
            timeout = request.timeout
        return http.build_request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            timeout=timeout,
        )

    def mapped(self, error: Exception, request: Request) -> StraitError:
        """Return our error for one of the HTTP library."""
        what = f"{request.method} {request.url.partition('?')[0]}"
        text = str(error) or type(error).__name__
        sent = not isinstance(error, self._unsent)
        if isinstance(error, self._library.TimeoutException):
            return TransportTimeoutError(f"{what}: timed out: {text}", error, sent=sent)
        if isinstance(error, RuntimeError) and "closed" in text:
            return TransportError(f"{what}: the client is closed", error, sent=False)
        return TransportError(f"{what}: {text}", error, sent=sent)

    def _late(self, request: Request) -> StraitError:
        what = f"{request.method} {request.url.partition('?')[0]}"
        return TransportTimeoutError(f"{what}: the deadline has passed")


def _request(request: Request, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
    """Return a request of our own HTTP client.

    That client adds nothing but its encodings, so that what its `build_request` does, which takes
    as long as the rest of a call on our side, can be left out.
    """
    secs = request.timeout
    timeout = {"connect": secs, "write": secs, "pool": secs, "read": request.idle or secs}
    headers = {"accept-encoding": http.headers["accept-encoding"], **request.headers}
    return httpx.Request(
        request.method,
        request.url,
        headers=headers,
        content=request.content,
        extensions={"timeout": timeout},
    )


class SyncTransport(_Adapter):
    """Sends requests with an `httpx.Client`, its own or the user's."""

    def __init__(self, client: httpx.Client | None, wiring: Wiring = _USUAL) -> None:
        self._arguments = _wired(client, wiring)
        super().__init__(httpx if client is None else family_of(client, "Client"))
        self._given = client
        self._own: httpx.Client | None = None
        self._pid = 0
        self._closed = False
        self._making = threading.Lock()

    @property
    def http(self) -> httpx.Client:
        """The HTTP client; one that a fork has inherited is left alone and replaced."""
        if self._given is not None:
            return self._given
        if self._own is None or self._pid != os.getpid():
            with self._making:
                if self._own is None or self._pid != os.getpid():
                    self._own = httpx.Client(**self._arguments())
                    self._pid = os.getpid()
        return self._own

    def _built(self, http: httpx.Client, request: Request) -> Any:
        return _request(request, http) if self._given is None else self._build(http, request)

    def send(self, request: Request, deadline: float | None = None) -> Response:
        """Send a request and return its whole answer.

        Raises:
            TransportError: there was none.
        """
        self._check_open(request)
        http = self.http
        try:
            built = self._built(http, request)
            if deadline is not None:
                return self._send_until(http, built, request, deadline)
            answer = http.send(built)
        except self.errors as error:
            raise self.mapped(error, request) from error
        return Response(answer.status_code, answer.headers, answer.content)

    def _send_until(self, http: Any, built: Any, request: Request, deadline: float) -> Response:
        answer = http.send(built, stream=True)
        try:
            parts = []
            for part in answer.iter_bytes():
                parts.append(part)
                if time.monotonic() > deadline:
                    raise self._late(request)
        finally:
            answer.close()
        return Response(answer.status_code, answer.headers, b"".join(parts))

    def open(self, request: Request) -> tuple[Response, SyncBody]:
        """Send a request and return the head of its answer, and what reads the rest.

        Raises:
            TransportError: there was no answer.
        """
        self._check_open(request)
        http = self.http
        try:
            answer = http.send(self._built(http, request), stream=True)
        except self.errors as error:
            raise self.mapped(error, request) from error
        return Response(answer.status_code, answer.headers), SyncBody(self, answer, request)

    def close(self) -> None:
        """Close the client's own HTTP client; the user's is the user's."""
        self._closed = True
        if self._own is not None and self._pid == os.getpid():
            self._own.close()

    def _check_open(self, request: Request) -> None:
        if self._closed:
            raise self.mapped(RuntimeError("closed"), request)


class SyncBody:
    """The body of an answer that is read piece by piece."""

    def __init__(self, adapter: _Adapter, answer: Any, request: Request) -> None:
        self._adapter = adapter
        self._answer = answer
        self._request = request
        self._parts: Iterator[bytes] = answer.iter_bytes()

    def read(self) -> bytes:
        """Return the next bytes; none at the end."""
        try:
            return next((part for part in self._parts if part), b"")
        except self._adapter.errors as error:
            raise self._adapter.mapped(error, self._request) from error

    def close(self) -> None:
        """Give the connection back."""
        self._answer.close()


class AsyncTransport(_Adapter):
    """Sends requests with an `httpx.AsyncClient`, its own or the user's.

    A pool of connections belongs to one event loop, so that each loop gets its own.
    """

    def __init__(self, client: httpx.AsyncClient | None, wiring: Wiring = _USUAL) -> None:
        self._arguments = _wired(client, wiring)
        super().__init__(httpx if client is None else family_of(client, "AsyncClient"))
        self._given = client
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]
        self._pools = weakref.WeakKeyDictionary()
        self._pid = os.getpid()
        self._closed = False

    @property
    def http(self) -> httpx.AsyncClient:
        """The HTTP client of the running loop."""
        if self._given is not None:
            return self._given
        if self._pid != os.getpid():
            self._pools = weakref.WeakKeyDictionary()
            self._pid = os.getpid()
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = httpx.AsyncClient(**self._arguments())
            self._pools[loop] = pool
        return pool

    def _built(self, http: httpx.AsyncClient, request: Request) -> Any:
        return _request(request, http) if self._given is None else self._build(http, request)

    async def send(self, request: Request, deadline: float | None = None) -> Response:
        """Send a request and return its whole answer.

        Raises:
            TransportError: there was none.
        """
        self._check_open(request)
        http = self.http
        try:
            built = self._built(http, request)
            if deadline is None:
                answer = await http.send(built)
            else:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    answer = await http.send(built)
        except TimeoutError as error:
            raise self._late(request) from error
        except self.errors as error:
            raise self.mapped(error, request) from error
        return Response(answer.status_code, answer.headers, answer.content)

    async def open(self, request: Request) -> tuple[Response, AsyncBody]:
        """Send a request and return the head of its answer, and what reads the rest.

        Raises:
            TransportError: there was no answer.
        """
        self._check_open(request)
        http = self.http
        try:
            answer = await http.send(self._built(http, request), stream=True)
        except self.errors as error:
            raise self.mapped(error, request) from error
        return Response(answer.status_code, answer.headers), AsyncBody(self, answer, request)

    async def close(self) -> None:
        """Close the client's own pool of the running loop; the user's is the user's."""
        self._closed = True
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    def _check_open(self, request: Request) -> None:
        if self._closed:
            raise self.mapped(RuntimeError("closed"), request)


class AsyncBody:
    """The body of an answer that is read piece by piece."""

    def __init__(self, adapter: _Adapter, answer: Any, request: Request) -> None:
        self._adapter = adapter
        self._answer = answer
        self._request = request
        self._parts: AsyncIterator[bytes] = answer.aiter_bytes()

    async def read(self) -> bytes:
        """Return the next bytes; none at the end."""
        try:
            async for part in self._parts:
                if part:
                    return part
        except self._adapter.errors as error:
            raise self._adapter.mapped(error, self._request) from error
        return b""

    async def close(self) -> None:
        """Give the connection back."""
        await self._answer.aclose()

"""The HTTP client of the dispatcher: kept connections, one request at a time on each.

The dispatcher sends thousands of small posts to few endpoints, and general clients spend most of
a run's time on it (measured: 71 microseconds of CPU a run with this one, 179 with aiohttp, 1,261
with httpx). Parsing is httptools', the parser that uvicorn uses.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import httptools

from strait.server import addresses
from strait.server.addresses import Reach
from strait.server.kept import Kept

Header = tuple[bytes, bytes]

# So many unused connections are kept for each origin, whatever else is open.
_FEW = 64


class Answer(NamedTuple):
    """What an endpoint answered."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class CallError(Exception):
    """No whole answer came.

    Attributes:
        error_class: the API's error class for it.
        reusable_broke: a kept connection was closed before anything came, so that the endpoint
            most likely never saw the request.
    """

    def __init__(self, message: str, error_class: str, *, reusable_broke: bool = False) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.reusable_broke = reusable_broke


class Origin(NamedTuple):
    """Where a connection goes."""

    host: str
    port: int
    secure: bool


class Target(NamedTuple):
    """A URL taken apart, ready to be requested."""

    origin: Origin
    path: bytes
    host_header: bytes


class Outbound:
    """Posts to endpoints over kept connections.

    Args:
        max_body_bytes: answers longer than this are refused, not cut.
        user_agent: what the requests say they come from.
        most_open: unused connections are kept while no more than this are open, used or not;
            a few of each origin are kept all the same.
        reach: what it may connect to.
    """

    def __init__(
        self,
        *,
        max_body_bytes: int,
        user_agent: str = "Strait",
        most_open: int = 1_024,
        reach: Reach | None = None,
    ) -> None:
        self._reach = reach or Reach()
        self._max_body_bytes = max_body_bytes
        self._user_agent = user_agent.encode()
        self._most_open = most_open
        self._kept: Kept[_Connection] = Kept(few=_FEW)
        self._open: set[_Connection] = set()
        self._targets: dict[str, Target] = {}
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, headers: Iterable[Header], body: bytes) -> Answer:
        """Send one request and return the answer, whatever its status.

        Cancelling it closes the connection, which tells the endpoint that nobody listens.

        Raises:
            CallError: no whole answer came.
        """
        target = self._target(url)
        connection = self._kept.take(target.origin)
        reused = connection is not None
        if connection is None:
            connection = await self._connect(target.origin)
        try:
            answer = await connection.request(self._request(target, headers, body))
        except CallError as error:
            if reused and not connection.received:
                error.reusable_broke = True
            raise
        finally:
            self._give_back(target.origin, connection)
        return answer

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._open):
            connection.close()
        self._kept.clear()

    def _request(self, target: Target, headers: Iterable[Header], body: bytes) -> bytes:
        parts = [
            b"POST ",
            target.path,
            b" HTTP/1.1\r\nHost: ",
            target.host_header,
            b"\r\nUser-Agent: ",
            self._user_agent,
            b"\r\nContent-Type: application/json\r\nContent-Length: ",
            str(len(body)).encode(),
        ]
        for name, value in headers:
            parts += (b"\r\n", name, b": ", value)
        parts += (b"\r\n\r\n", body)
        return b"".join(parts)

    def _target(self, url: str) -> Target:
        target = self._targets.get(url)
        if target is None:
            target = _parse(url)
            if len(self._targets) > 10_000:
                self._targets.clear()
            self._targets[url] = target
        return target

    def _give_back(self, origin: Origin, connection: _Connection) -> None:
        if not connection.usable:
            connection.close()
        elif len(self._open) <= self._most_open or self._kept.count(origin) < _FEW:
            self._kept.put(origin, connection)
        else:
            connection.close()

    async def _connect(self, origin: Origin) -> _Connection:
        try:
            hosts = await _allowed(origin, self._reach)
            for host in hosts[:-1]:
                try:
                    return await self._connect_to(host, origin)
                except OSError:
                    continue  # such as `localhost` where only one of its two addresses listens
            return await self._connect_to(hosts[-1], origin)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or type(error).__name__
            raise CallError(f"connection to the endpoint failed: {reason}", "connection") from error

    async def _connect_to(self, host: str, origin: Origin) -> _Connection:
        transport, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self._max_body_bytes, self._open),
            host,
            origin.port,
            ssl=self._context() if origin.secure else None,
            server_hostname=origin.host if origin.secure else None,
        )
        connection.attach(transport)
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


class _Connection(asyncio.Protocol):
    """One connection; it is usable again when its last answer was whole."""

    def __init__(self, max_body_bytes: int, registry: set[_Connection]) -> None:
        self._max_body_bytes = max_body_bytes
        self._registry = registry
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._headers_complete = False
        self.usable = True
        self.received = False

    def attach(self, transport: asyncio.Transport) -> None:
        """Take the transport that the connection writes to."""
        self._transport = transport

    async def request(self, message: bytes) -> Answer:
        """Send a request and return the answer."""
        if self._transport is None:
            raise CallError("the endpoint closed the connection", "connection")
        self._waiter = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._body, self._size = {}, [], 0
        self._headers_complete = False
        self.received = self.usable = False
        self._transport.write(message)
        return await self._waiter

    def close(self) -> None:
        """Close the connection now."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._registry.add(self)

    def data_received(self, data: bytes) -> None:
        self.received = True
        if self._parser is None or self._waiter is None or self._waiter.done():
            self.close()  # it speaks without being asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(CallError("the endpoint's answer is not valid HTTP", "unknown"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.discard(self)
        self._transport = None
        self.usable = False
        if self._waiter is None or self._waiter.done():
            return
        if self._ends_with_connection():
            self.on_message_complete()
        else:
            self._fail(CallError("the endpoint closed the connection early", "connection"))

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._headers_complete = True

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._max_body_bytes:
            self._too_long()
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        parser, waiter = self._parser, self._waiter
        if parser is None or waiter is None or waiter.done():
            return
        status = parser.get_status_code()
        if 100 <= status < 200:  # an interim answer; the real one follows
            self._headers, self._headers_complete = {}, False
            return
        self.usable = self._transport is not None and parser.should_keep_alive()
        waiter.set_result(Answer(status, self._headers, b"".join(self._body)))

    def _ends_with_connection(self) -> bool:
        framed = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        return self._headers_complete and not framed

    def _too_long(self) -> None:
        parser, waiter = self._parser, self._waiter
        if parser is None or waiter is None or waiter.done():
            return
        status = parser.get_status_code()
        if 200 <= status < 300:
            limit = self._max_body_bytes
            self._fail(CallError(f"the endpoint answered more than {limit} bytes", "client"))
        else:
            # The status says what went wrong; nobody reads a page of explanation to its end.
            waiter.set_result(Answer(status, self._headers, b""))
        self.close()

    def _fail(self, error: CallError) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


async def _allowed(origin: Origin, reach: Reach) -> list[str]:
    """Return the IP addresses to connect to: resolved once, so that they are what was checked.

    Raises:
        CallError: the host stands for an address that this server does not speak to.
        OSError: there is no such host.
    """
    if reach.forbids(origin.host, origin.port):
        raise _forbidden(origin)
    if addresses.is_ip(origin.host):
        return [origin.host]
    found = await asyncio.get_running_loop().getaddrinfo(
        origin.host, origin.port, type=socket.SOCK_STREAM
    )
    hosts = [str(address[0]) for *_, address in found]
    if any(reach.forbids(host, origin.port) for host in hosts):
        raise _forbidden(origin)
    return hosts


def _forbidden(origin: Origin) -> CallError:
    where = "this machine" if addresses.is_loopback(origin.host) else "a private address"
    return CallError(f"`{origin.host}` is {where}", "client")


def _parse(url: str) -> Target:
    try:
        parts = urlsplit(url)
        port = parts.port
        netloc = parts.netloc.rpartition("@")[2]
        host = netloc.encode("ascii" if netloc.isascii() else "idna")
    except ValueError as error:
        raise CallError(f"the endpoint URL is not valid: {error}", "client") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CallError("the endpoint URL is not an http(s) URL", "client")
    secure = parts.scheme == "https"
    path = quote(parts.path or "/", safe=_PATH_CHARACTERS)
    if parts.query:
        path = f"{path}?{quote(parts.query, safe=_PATH_CHARACTERS + '?')}"
    origin = Origin(parts.hostname, port or (443 if secure else 80), secure)
    return Target(origin, path.encode(), host)


# What stands for itself in a path (RFC 3986 §3.3), and `%`, since escapes are kept as they are.
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"

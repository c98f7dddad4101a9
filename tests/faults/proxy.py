"""A proxy of one client that breaks what the script says, and forwards the rest.

One entry of the script is one attempt of the client: None lets it through, a `Fault` does not.
A client that asks one thing after another makes the same faults come again with the same script.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Refused(Exception):
    """The client has gone, or the platform has."""


@dataclass(frozen=True)
class Fault:
    """One way in which an attempt goes wrong.

    Attributes:
        name: what it is called in the figures.
        carry_out: does it; None is a connection that is refused, of which no proxy hears.
        tells_nothing_was_done: whether the client may know that the platform did nothing.
        is_slow: whether the client has to run into its timeout.
    """

    name: str
    carry_out: Callable[[Exchange], Awaitable[None]] | None
    tells_nothing_was_done: bool = False
    is_slow: bool = False


@dataclass
class Attempt:
    """What became of one attempt.

    Attributes:
        fault: what was done to it.
        forwarded: whether the platform has got the request.
    """

    fault: Fault | None
    forwarded: bool = False


@dataclass
class Exchange:
    """One request of the client, and the way to its answer."""

    attempt: Attempt
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    upstream: str
    first: bytes
    over: bool = False
    forwarded: asyncio.Event = field(default_factory=asyncio.Event)

    async def request(self) -> bytes:
        """Return the whole request."""
        return await _message(self.reader, self.first)

    async def answer(self) -> bytes:
        """Forward the request and return the whole answer."""
        request = await self.request()
        host, _, port = self.upstream.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            self.attempt.forwarded = True
            writer.write(request)
            self.forwarded.set()
            return await _message(reader)
        finally:
            writer.close()

    async def say(self, data: bytes) -> None:
        """Send bytes to the client."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Reset the connection."""
        _reset(self.writer)
        self.over = True

    def close(self) -> None:
        """Close the connection after what was sent."""
        self.writer.close()
        self.over = True


@dataclass
class Proxy:
    """The proxy; `async with` it, and give the client its `base_url`.

    Attributes:
        upstream: the address of the platform.
        faults: how often each fault was met.
        attempts: what became of the attempts of the present call.
    """

    upstream: str
    faults: Counter[str] = field(default_factory=Counter)
    attempts: list[Attempt] = field(default_factory=list)

    async def __aenter__(self) -> Proxy:
        self._script: deque[Fault | None] = deque()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._place = _place(0)
        self._port = self._place.getsockname()[1]
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._hang_up()
        self._place.close()
        await asyncio.gather(*self._tasks)

    @property
    def base_url(self) -> str:
        """The address for the client."""
        return f"http://127.0.0.1:{self._port}"

    async def begin(self, script: Iterable[Fault | None]) -> None:
        """Begin a call; attempts beyond the script get through."""
        self._script = deque(script)
        self.attempts = []
        await self.next_attempt()

    async def next_attempt(self) -> None:
        """Listen, or do not: whoever is refused is not heard of here, so the client tells."""
        fault = self._script[0] if self._script else None
        if fault is not None and fault.carry_out is None:
            self._pop()
            self._hang_up()
        elif self._server is None:
            await self._listen()

    def _pop(self) -> Attempt:
        attempt = Attempt(self._script.popleft() if self._script else None)
        if attempt.fault is not None:
            self.faults[attempt.fault.name] += 1
        self.attempts.append(attempt)
        return attempt

    async def _listen(self) -> None:
        self._place.listen()
        self._server = await asyncio.start_server(self._connected, sock=self._place)
        self._place = _place(self._port)  # keeps the port ours while nobody listens

    def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            _reset(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        # The client may leave at any moment, and a fault may leave it.
        with contextlib.suppress(OSError, Refused):
            while await self._serve(reader, writer):
                pass
        self._open.discard(writer)
        self._tasks.discard(task)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request and tell whether another may follow."""
        first = await reader.read(1)
        if not first:
            return False
        attempt = self._pop()
        exchange = Exchange(attempt, reader, writer, self.upstream, first)
        if attempt.fault is None or attempt.fault.carry_out is None:
            await exchange.say(await exchange.answer())
        else:
            await attempt.fault.carry_out(exchange)
        return not exchange.over


async def _message(reader: asyncio.StreamReader, first: bytes = b"") -> bytes:
    """Return a whole message; all of ours say their length."""
    try:
        head = first + await reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head + await reader.readexactly(int(line.partition(b":")[2]))
    except asyncio.IncompleteReadError as error:
        raise Refused from error
    return head


def _place(port: int) -> socket.socket:
    """Return a socket that has a port and does not listen yet."""
    place = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    place.bind(("127.0.0.1", port))
    return place


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()

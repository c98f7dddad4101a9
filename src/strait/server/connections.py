"""Connections that may not be held open, or filled, without end.

uvicorn bounds neither the size of a request's head nor the time that it takes to come; both are
bounded here, and so is the number of connections. What is refused gets the error envelope, as from
everything else, and the connection is closed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from strait.server.errors import ApiError

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 100
# An extension of the scope: ASGI itself can end a connection only behind all that was written,
# which waits for a reader that may not read.
ABORT = "strait.abort"
# Another one: an answer that is whole is written at once. uvicorn takes head and body one after the
# other, and searches each header for what ours never have; that was a twentieth of a run.
WHOLE = "strait.whole"


class BoundedConfig(uvicorn.Config):
    """The configuration of a server whose connections are bounded.

    Attributes:
        max_connections: one more is refused.
        head_secs: how long the first line and the headers of a request may take.
        body_secs: how long the body may take after them.
    """

    def __init__(
        self, app: Any, *, max_connections: int, head_secs: float, body_secs: float, **more: Any
    ) -> None:
        super().__init__(app, http=BoundedProtocol, **more)
        self.max_connections = max_connections
        self.head_secs = head_secs
        self.body_secs = body_secs


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client."""

    config: BoundedConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What came of a head, as bytes; and what of it is parsed, in characters and headers.
        self._raw = self._size = self._count = 0
        self._has_head = self._is_whole = self._is_over = False
        self._deadline: asyncio.TimerHandle | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection, or refuse it when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.config.max_connections:
            self._refuse(503, "too many connections; try again later")
            return
        self._allow(self.config.head_secs)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline with the connection."""
        self._settle()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; a deadline runs while a request is not whole."""
        if self._is_whole or not self._has_head:
            self._raw += len(data)
        super().data_received(data)
        if self._is_whole:
            self._settle()
        elif not self._has_head and self._raw > MAX_HEAD_BYTES and not self._is_over:
            # A header that never ends is told to nobody before it does.
            self._is_over = True
            self.send_400_response("")
        elif self._deadline is None:
            self._allow(self.config.head_secs)

    # httptools

    def on_message_begin(self) -> None:
        """Begin to count, and say in the scope how to cut this connection off."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}
        self._count = self._size = 0
        self._has_head = self._is_whole = False

    def on_url(self, url: bytes) -> None:
        """Count the address."""
        self._add(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count += 1
        self._add(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop counting: the body is bounded by who reads it."""
        self._has_head, self._raw = True, 0
        super().on_headers_complete()
        if self.cycle is not None:
            self.scope["extensions"][WHOLE] = {"send": partial(send_whole, self.cycle)}

    def on_message_complete(self) -> None:
        """Note that nothing more of the request is to come."""
        super().on_message_complete()
        self._is_whole = True

    # refusals

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or has too much of a head."""
        if self._is_over:
            most = f"{MAX_HEAD_BYTES} bytes and {MAX_HEADERS} headers"
            self._refuse(431, f"the head of the request is larger than {most}")
        else:
            self._refuse(400, "the request is not valid HTTP")

    def _add(self, size: int) -> None:
        self._size += size
        if self._size > MAX_HEAD_BYTES or self._count > MAX_HEADERS:
            self._is_over = True
            raise _TooLargeError

    def _allow(self, seconds: float) -> None:
        self._deadline = self.loop.call_later(seconds, self._on_deadline)

    def _settle(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        if self._has_head and self.config.body_secs:
            self._deadline = self.loop.call_later(self.config.body_secs, self._too_slow)
        else:
            self._too_slow()

    def _too_slow(self) -> None:
        self._refuse(408, "the request took too long to come")

    def _refuse(self, status: int, message: str) -> None:
        self._settle()
        answered = self._has_head and self.cycle is not None and self.cycle.response_started
        if not answered:
            body = json.dumps(ApiError(status, message).envelope("")).encode()
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
                "connection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()


async def send_whole(cycle: Any, status: int, headers: Headers, body: bytes) -> None:
    """Write an answer that has a `content-length`, or a status that has no body."""
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    lines = [STATUS_LINE[status], *(b"%b: %b\r\n" % pair for pair in headers)]
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    head = b"".join(lines)
    if head.count(b"\n") != len(lines):
        raise RuntimeError("a header of the answer has more than one line")
    has_body = cycle.scope["method"] != "HEAD"
    cycle.waiting_for_100_continue = False
    cycle.transport.write(head + b"\r\n" + body if has_body else head + b"\r\n")
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


class _TooLargeError(Exception):
    """Ends the parsing of a head that is too large."""

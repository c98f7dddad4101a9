"""Bodies of both directions: reading one within bounds, and sending one that goes on.

What is sent goes on until it ends, its reader leaves, or does not read any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias

from strait.server.connections import ABORT
from strait.server.errors import ApiError
from strait.server.http import StreamReply

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

logger = logging.getLogger("strait.server")


async def send_stream(
    scope: Scope,
    receive: Receive,
    send: Send,
    answer: StreamReply,
    headers: Headers,
    stall_secs: float,
) -> None:
    """Send all frames of an answer; one whose frames cannot go on is cut off, and so not whole.

    Args:
        scope: the request's.
        receive: tells when the reader leaves.
        send: where the answer goes.
        answer: the answer.
        headers: headers besides its own.
        stall_secs: how long the reader may leave what was sent unread before it is cut off.
    """
    headers = [
        *headers,
        (b"content-type", answer.content_type),
        (b"x-accel-buffering", b"no"),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(_disconnected(receive))
        writing = group.create_task(_write(scope, send, answer.frames, stall_secs))
        await asyncio.wait({gone, writing}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        writing.cancel()


async def _write(
    scope: Scope, send: Send, frames: AsyncGenerator[bytes, None], stall_secs: float
) -> None:
    try:
        async with aclosing(frames):
            await _write_frames(send, frames, stall_secs)
    except _StalledError:
        logger.info("a reader of %s stopped reading and was cut off", scope["path"])
    except ApiError as error:
        logger.warning("the answer to %s was cut off: %s", scope["path"], error.message)
    else:
        await send({"type": "http.response.body", "body": b""})
        return
    scope["extensions"][ABORT]["abort"]()


async def _write_frames(send: Send, frames: AsyncGenerator[bytes, None], stall_secs: float) -> None:
    async for frame in frames:
        if not frame:
            continue
        try:
            async with asyncio.timeout(stall_secs):
                await send({"type": "http.response.body", "body": frame, "more_body": True})
        except TimeoutError:
            raise _StalledError from None


class _StalledError(Exception):
    """The reader has left what was sent unread for too long."""


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    """Return the body of a request.

    Raises:
        ApiError: 413, it is larger than `limit` bytes; 400, it was cut off.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise ApiError(413, f"request body is larger than {limit} bytes")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "the request body was cut off")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise ApiError(413, f"request body is larger than {limit} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunk

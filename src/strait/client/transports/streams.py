"""Bodies of the `httpx` family that are read piece by piece."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from strait.client.effects import Request, Response
from strait.client.transports.failures import HttpxFailures, late
from strait.client.transports.shards import Shard


class HttpxBody:
    """The body of an answer of `httpx` or `httpx2`."""

    def __init__(self, answer: Any, request: Request, failures: HttpxFailures) -> None:
        self._answer = answer
        self._request = request
        self._failures = failures
        self._parts: Iterator[bytes] = answer.iter_bytes()

    def read(self) -> bytes:
        """Return the next bytes; none at the end."""
        try:
            return next((part for part in self._parts if part), b"")
        except self._failures.caught as error:
            raise self._failures.mapped(error, self._request, self._answer) from error

    def close(self) -> None:
        """Give the connection back."""
        self._answer.close()

    def whole(self, deadline: float) -> Response:
        """Return the whole answer, read until a deadline.

        Raises:
            TransportTimeoutError: the deadline has passed.
        """
        parts = []
        try:
            while part := self.read():
                parts.append(part)
                if time.monotonic() > deadline:
                    raise late(self._request)
        finally:
            self.close()
        return Response(self._answer.status_code, self._answer.headers, b"".join(parts))


class AsyncHttpxBody:
    """The body of an answer of `httpx` or `httpx2`, to be awaited."""

    def __init__(
        self, answer: Any, request: Request, failures: HttpxFailures, shard: Shard | None = None
    ) -> None:
        self._answer = answer
        self._request = request
        self._failures = failures
        self._shard = shard
        self._parts: AsyncIterator[bytes] = answer.aiter_bytes()

    async def read(self) -> bytes:
        """Return the next bytes; none at the end."""
        try:
            async for part in self._parts:
                if part:
                    return part
        except self._failures.caught as error:
            raise self._failures.mapped(error, self._request, self._answer) from error
        return b""

    async def close(self) -> None:
        """Give the connection back."""
        shard, self._shard = self._shard, None
        if shard is not None:
            shard.busy -= 1
        await self._answer.aclose()

"""Layers of middleware around a transport, which together are a transport again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from strait.client.effects import Request, Response
from strait.client.middleware import AnyMiddleware, AsyncNext, Middleware, SyncNext
from strait.client.transports.protocol import AsyncBody, AsyncTransport, Body, Transport


class Layered:
    """A transport within layers of middleware, the first of them outermost."""

    def __init__(self, inner: Transport, layers: Sequence[Callable[..., Response]]) -> None:
        self._inner = inner
        self._layers = tuple(layers)

    def send(self, request: Request, deadline: float | None = None) -> Response:
        """Send a request through all layers."""
        send = self._inner.send
        return self._through(lambda asked: send(asked, deadline))(request)

    def open(self, request: Request) -> tuple[Response, Body]:
        """Open a request through all layers; what they see is the head of the answer."""
        bodies: list[Body] = []

        def opened(asked: Request) -> Response:
            while bodies:
                bodies.pop().close()
            response, body = self._inner.open(asked)
            bodies.append(body)
            return response

        try:
            response = self._through(opened)(request)
        except BaseException:
            while bodies:
                bodies.pop().close()
            raise
        return response, bodies[0] if bodies else Whole(response.content)

    def close(self) -> None:
        """Give the connections back."""
        self._inner.close()

    def _through(self, call_next: SyncNext) -> SyncNext:
        for layer in reversed(self._layers):
            call_next = _around(layer, call_next)
        return call_next


def _around(layer: Callable[..., Response], inner: SyncNext) -> SyncNext:
    return lambda request: layer(request, inner)


class Whole:
    """The body of an answer that a layer made itself."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self) -> bytes:
        """Return the body, and then nothing."""
        content, self._content = self._content, b""
        return content

    def close(self) -> None:
        """Forget the body."""
        self._content = b""


def layered(inner: Transport, middleware: Sequence[AnyMiddleware] | None) -> Transport:
    """Return a transport within the layers that are in `middleware`."""
    layers: list[Any] = [entry for entry in middleware or () if not isinstance(entry, Middleware)]
    return Layered(inner, layers) if layers else inner


class AsyncLayered:
    """A transport within layers of middleware, the first of them outermost."""

    def __init__(
        self, inner: AsyncTransport, layers: Sequence[Callable[..., Awaitable[Response]]]
    ) -> None:
        self._inner = inner
        self._layers = tuple(layers)

    async def send(self, request: Request, deadline: float | None = None) -> Response:
        """Send a request through all layers."""
        send = self._inner.send
        return await self._through(lambda asked: send(asked, deadline))(request)

    async def open(self, request: Request) -> tuple[Response, AsyncBody]:
        """Open a request through all layers; what they see is the head of the answer."""
        bodies: list[AsyncBody] = []

        async def opened(asked: Request) -> Response:
            while bodies:
                await bodies.pop().close()
            response, body = await self._inner.open(asked)
            bodies.append(body)
            return response

        try:
            response = await self._through(opened)(request)
        except BaseException:
            while bodies:
                await bodies.pop().close()
            raise
        return response, bodies[0] if bodies else AsyncWhole(response.content)

    async def close(self) -> None:
        """Give the connections back."""
        await self._inner.close()

    def _through(self, call_next: AsyncNext) -> AsyncNext:
        for layer in reversed(self._layers):
            call_next = _around_async(layer, call_next)
        return call_next


def _around_async(layer: Callable[..., Awaitable[Response]], inner: AsyncNext) -> AsyncNext:
    return lambda request: layer(request, inner)


class AsyncWhole:
    """The body of an answer that a layer made itself."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        """Return the body, and then nothing."""
        content, self._content = self._content, b""
        return content

    async def close(self) -> None:
        """Forget the body."""
        self._content = b""


def async_layered(
    inner: AsyncTransport, middleware: Sequence[AnyMiddleware] | None
) -> AsyncTransport:
    """Return a transport within the layers that are in `middleware`."""
    layers: list[Any] = [entry for entry in middleware or () if not isinstance(entry, Middleware)]
    return AsyncLayered(inner, layers) if layers else inner

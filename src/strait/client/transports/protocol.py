"""What a transport is: the two places where the client touches the network.

The core never names an HTTP library. A transport sends one request and returns one answer: it
neither retries nor follows redirects, because what it would do in secret the policy of a call
could not see.
"""

from __future__ import annotations

from typing import Protocol

from strait.client.effects import Request, Response


class Body(Protocol):
    """The body of an answer that is read piece by piece."""

    def read(self) -> bytes:
        """Return the next bytes; none at the end."""
        ...

    def close(self) -> None:
        """Give the connection back; what was not read is thrown away."""
        ...


class Transport(Protocol):
    """What sends the requests of a `Client`; give your own as `transport=`.

    It must raise `TransportError` where no answer came, with `sent=False` only if the platform
    cannot have seen the request: that is what a retry is decided by. It is used by many threads.
    """

    def send(self, request: Request, deadline: float | None = None) -> Response:
        """Send a request and return its whole answer, of whatever status.

        Args:
            request: what to send; its `timeout` and `idle` are seconds.
            deadline: the instant of `time.monotonic` at which to give up.

        Raises:
            TransportError: there was no answer.
        """
        ...

    def open(self, request: Request) -> tuple[Response, Body]:
        """Send a request and return the head of its answer, and what reads the rest.

        Raises:
            TransportError: there was no answer.
        """
        ...

    def close(self) -> None:
        """Give the connections back; it is called once, with the client."""
        ...


class AsyncBody(Protocol):
    """The body of an answer that is read piece by piece."""

    async def read(self) -> bytes:
        """Return the next bytes; none at the end."""
        ...

    async def close(self) -> None:
        """Give the connection back; what was not read is thrown away."""
        ...


class AsyncTransport(Protocol):
    """What sends the requests of an `AsyncClient`: a `Transport` to be awaited."""

    async def send(self, request: Request, deadline: float | None = None) -> Response:
        """Send a request and return its whole answer, of whatever status."""
        ...

    async def open(self, request: Request) -> tuple[Response, AsyncBody]:
        """Send a request and return the head of its answer, and what reads the rest."""
        ...

    async def close(self) -> None:
        """Give the connections back; it is called once, with the client."""
        ...

"""What a flow asks of its driver, and what it gets back.

A flow is a generator that decides everything about a call and touches no socket and no clock: it
yields effects, and the driver of a client (sync or async) carries them out. Transport errors are
thrown into the flow, so that retries and error mapping stand in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from strait.client.credentials import Credential

T = TypeVar("T")


@dataclass(slots=True)
class Request:
    """A request, ready to be sent.

    Attributes:
        method: the HTTP method.
        url: the whole address with its query.
        headers: names in lower case.
        content: the body, or None.
        timeout: seconds that one attempt may take; None leaves it to the HTTP client.
        idle: seconds that a stream may be silent; None where nothing is streamed.
        operation: what is called, such as `jobs.create`; empty for raw requests.
        attempt: how often it has been sent, this time included.
    """

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None = None
    timeout: float | None = None
    idle: float | None = None
    operation: str = ""
    attempt: int = 1


@dataclass(slots=True)
class Response:
    """An answer; of a stream, only its head until it is read.

    Attributes:
        status: the HTTP status.
        headers: the headers, by names of any case.
        content: the body.
        attempts: how often the request was sent, this time included.
        elapsed: seconds from the start of the call to this answer, all attempts and waits included.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes = b""
    attempts: int = 1
    elapsed: float = 0.0

    @property
    def content_type(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def text(self) -> str:
        """Return the body as text; bytes that are no UTF-8 are replaced."""
        return self.content.decode("utf-8", "replace")


@dataclass(slots=True)
class Send:
    """Send the request and return the whole `Response`."""

    request: Request
    deadline: float | None = None


@dataclass(slots=True)
class Open:
    """Send the request and return the head of the `Response`; the body is then read."""

    request: Request


@dataclass(slots=True)
class Read:
    """Return the next bytes of the opened response; none at its end."""


@dataclass(slots=True)
class Close:
    """Close the opened response."""


@dataclass(slots=True)
class Sleep:
    """Let this many seconds pass."""

    seconds: float


@dataclass(slots=True)
class Authorize:
    """Return the token of a credential that changes.

    Attributes:
        credential: where tokens come from.
        stale: the token that the platform has just refused; None for none.
    """

    credential: Credential
    stale: str | None = None


@dataclass(slots=True)
class Notify:
    """Call a hook of the user; what it raises must not disturb the call."""

    hook: Callable[[Any], object]
    context: object


@dataclass(slots=True)
class Opened:
    """Tell the caller that the stream is open: what happens from now on is in it."""


@dataclass(slots=True)
class Emit:
    """Hand an item of a stream to the caller."""

    item: Any


Effect: TypeAlias = Send | Open | Read | Close | Sleep | Authorize | Notify
StreamEffect: TypeAlias = Effect | Opened | Emit
Flow: TypeAlias = Generator[Effect, Any, T]
StreamFlow: TypeAlias = Generator[StreamEffect, Any, None]

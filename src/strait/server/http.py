"""A request and its answer, as the handlers of operations see them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from strait.server.auth import Principal
from strait.server.decode import decode_body, decode_query
from strait.server.limits import Rate
from strait.server.schema import Route

Struct = TypeVar("Struct", bound=msgspec.Struct)

encode = msgspec.json.Encoder(decimal_format="number").encode


class Reply(NamedTuple):
    """An answer with a body that is known at once."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"


EVENT_STREAM = b"text/event-stream"


class StreamReply(NamedTuple):
    """An answer whose body goes on; `frames` is closed when the listener leaves.

    Attributes:
        frames: the body, piece by piece.
        content_type: what it is.
        headers: further headers.
        project_id: the project that an event stream counts for; "" for what is no event stream.
    """

    frames: AsyncGenerator[bytes, None]
    content_type: bytes = EVENT_STREAM
    headers: tuple[tuple[bytes, bytes], ...] = ()
    project_id: str = ""


def reply(value: object, status: int = 200) -> Reply:
    """Answer with a value as JSON."""
    return Reply(status, encode(value))


def raw(body: bytes, status: int = 200) -> Reply:
    """Answer with JSON that is written already."""
    return Reply(status, body)


NO_CONTENT = Reply(204)


def replayed(answer: Reply, *, same_body: bool) -> Reply:
    """Return the answer to a repeated request, which says so, and whether the body differed."""
    headers = [*answer.headers, (b"idempotency-replayed", b"true")]
    if not same_body:
        headers.append((b"idempotency-body-differs", b"true"))
    return answer._replace(headers=tuple(headers))


class Call:
    """One request: its route, its parameters, who asks, and its body, decoded when asked for."""

    __slots__ = ("_query", "body_bytes", "headers", "now", "params", "principal", "rate",
                 "raw_query", "remote_ip", "request_id", "route")  # fmt: skip

    def __init__(
        self,
        route: Route,
        params: dict[str, str],
        headers: dict[bytes, bytes],
        raw_query: bytes,
        request_id: str,
        now: int,
        remote_ip: str = "",
    ) -> None:
        self.route = route
        self.params = params
        self.headers = headers
        self.raw_query = raw_query
        self.request_id = request_id
        self.now = now
        self.remote_ip = remote_ip
        self.body_bytes = b""
        self.principal: Principal = Principal.NOBODY
        self.rate: Rate | None = None
        self._query: dict[str, Any] | None = None

    @property
    def project_id(self) -> str:
        """The project of the caller; everything else is out of sight."""
        return self.principal.project_id

    def body(self, kind: type[Struct]) -> Struct:
        """Decode the body as the schema of the route.

        Raises:
            ApiError: 400 for what is no JSON or has wrong types, 422 for wrong values.
        """
        decoded = decode_body(self.route, self.body_bytes)
        if not isinstance(decoded, kind):
            raise TypeError(
                f"`{self.route.id}` takes {type(decoded).__name__}, not {kind.__name__}"
            )
        return decoded

    @property
    def query(self) -> dict[str, Any]:
        """The query parameters by name, typed and with their defaults.

        Raises:
            ApiError: 400 with what is wrong.
        """
        if self._query is None:
            self._query = decode_query(self.route, self.raw_query)
        return self._query

    def header(self, name: bytes) -> str:
        """Return a header by its lower-case name, or ""."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def idempotency_key(self) -> str:
        """The key of either idempotency header, or ""."""
        return self.header(b"idempotency-key") or self.header(b"x-idempotency-key")


def sse_token_of(call: Call) -> str:
    """Return the token in the query of an event stream: a browser can send no header there."""
    given: str = call.query.get("token") or ""
    return given


def page(rows: list[Any], limit: int, cursor: Callable[[Any], str]) -> Reply:
    """Answer with a page: `rows` may hold one more than `limit`, which tells that there is more."""
    more = len(rows) > limit
    rows = rows[:limit]
    body: dict[str, Any] = {"data": rows, "has_more": more}
    if more:
        body["next_cursor"] = cursor(rows[-1])
    return reply(body)


def raw_page(rows: list[tuple[str, bytes]], limit: int, behind: str = "") -> Reply:
    """Answer with a page of documents that are JSON already, each with its cursor.

    Args:
        rows: the documents, and one more than the page has where there are more.
        limit: how many the page has at most.
        behind: the cursor behind a page that is not full although there may be more.
    """
    cursor = rows[limit - 1][0] if len(rows) > limit else behind
    rows = rows[:limit]
    tail = b',"has_more":true,"next_cursor":' + encode(cursor) if cursor else b',"has_more":false'
    return Reply(200, b'{"data":[' + b",".join(doc for _, doc in rows) + b"]" + tail + b"}")

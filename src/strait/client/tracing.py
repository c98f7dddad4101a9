"""Spans of calls, for a tracer of OpenTelemetry; nothing is imported unless one is given.

    from opentelemetry import trace

    client = Client(api_key=…, tracer=trace.get_tracer("my-program"))

Each call is one span of kind `CLIENT` that is named like its operation, with the attributes of
OpenTelemetry's conventions for HTTP clients. The request carries `traceparent`, so that what the
platform does for it belongs to the same trace.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import urlsplit

from strait.errors import StraitError

if TYPE_CHECKING:
    from strait.client.effects import Request


class SpanContext(Protocol):
    """The part of an OpenTelemetry span context that is sent on."""

    @property
    def trace_id(self) -> int:
        """The trace, 128 bits; 0 for none."""
        ...

    @property
    def span_id(self) -> int:
        """The span, 64 bits."""
        ...

    @property
    def trace_flags(self) -> int:
        """Whether the trace is recorded."""
        ...


class Span(Protocol):
    """The part of an OpenTelemetry span that is used."""

    def get_span_context(self) -> SpanContext:
        """Return the ids of the span."""
        ...

    def set_attribute(self, key: str, value: Any) -> None:
        """Tell a fact of the span."""
        ...


class Tracer(Protocol):
    """The part of an OpenTelemetry tracer that is used."""

    def start_as_current_span(self, name: str, **options: Any) -> AbstractContextManager[Any]:
        """Start a span that ends with the block; an exception that leaves it is recorded."""
        ...


class CallSpan:
    """The span of one call."""

    def __init__(self, tracer: Tracer, operation: str, request: Request) -> None:
        parts = urlsplit(request.url)
        attributes: dict[str, object] = {
            "http.request.method": request.method,
            "server.address": parts.hostname or "",
            "url.path": parts.path,
            "strait.operation": operation,
        }
        if parts.port is not None:
            attributes["server.port"] = parts.port
        options = {"attributes": attributes, **_kind()}
        self._manager = tracer.start_as_current_span(f"strait.{operation}", **options)
        self._request = request
        self._span: Span | None = None

    def __enter__(self) -> Self:
        span: Span = self._manager.__enter__()
        self._span = span
        context = span.get_span_context()
        if context.trace_id:
            flags = int(context.trace_flags)
            parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"
            self._request.headers.setdefault("traceparent", parent)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        span = self._span
        if span is not None:
            resent = int(self._request.headers.get("x-strait-retry-count", "0"))
            if resent:
                span.set_attribute("http.request.resend_count", resent)
            if isinstance(error, StraitError) and error.status is not None:
                span.set_attribute("http.response.status_code", error.status)
            if isinstance(error, StraitError) and error.request_id:
                span.set_attribute("strait.request_id", error.request_id)
            if error is not None:
                span.set_attribute("error.type", type(error).__name__)
        self._manager.__exit__(kind, error, trace)


def _kind() -> dict[str, object]:
    """Return the kind of a client's span; none where a tracer comes from elsewhere."""
    try:
        return {"kind": import_module("opentelemetry.trace").SpanKind.CLIENT}
    except ImportError:
        return {}

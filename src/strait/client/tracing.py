"""Spans and durations of calls, for OpenTelemetry; nothing is imported unless one is given.

    from opentelemetry import metrics, trace

    client = Client(
        api_key=…, tracer=trace.get_tracer("my-program"), meter=metrics.get_meter("my-program")
    )

Each call, with all its attempts, is one span of kind `CLIENT` that is named like its method
(`strait.jobs.create`), and one value of the histogram `http.client.request.duration`, both with the
attributes of OpenTelemetry's conventions for HTTP clients. The request carries the trace
(`traceparent`, `tracestate`, and what else the program's propagators have), so that what the
platform does for it belongs to the same trace.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from strait.errors import StraitError, ValidationError

if TYPE_CHECKING:
    from strait.client.effects import Request, Response
    from strait.client.operation import Operation

T = TypeVar("T")
METRIC = "http.client.request.duration"
# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpclientrequestduration
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_MODULES = {"tracer": "trace", "meter": "metrics"}
_PORTS = {"http": 80, "https": 443}


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


class Histogram(Protocol):
    """The part of an OpenTelemetry histogram that is used."""

    def record(self, amount: float, attributes: Any = None) -> None:
        """Count a value."""
        ...


class Meter(Protocol):
    """The part of an OpenTelemetry meter that is used."""

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> Histogram:
        """Return a histogram; with the same name, the same one."""
        ...


class Telemetry:
    """What is told of the calls of a client."""

    __slots__ = ("_durations", "_tracer")

    def __init__(self, tracer: Tracer | None, meter: Meter | None) -> None:
        self._tracer = tracer
        self._durations = None if meter is None else _histogram(meter)

    @classmethod
    def of(cls, tracer: Tracer | None, meter: Meter | None) -> Telemetry | None:
        """Return what tells; None where nobody listens.

        Raises:
            ValidationError: one cannot tell anything, such as a provider.
        """
        for name, found, does in (
            ("tracer", tracer, "start_as_current_span"),
            ("meter", meter, "create_histogram"),
        ):
            if found is not None and not callable(getattr(found, does, None)):
                raise ValidationError(
                    f"`{name}` must be a {name} of OpenTelemetry, such as "
                    f'`{_MODULES[name]}.get_{name}("my-program")`, not `{type(found).__name__}`'
                )
        return cls(tracer, meter) if tracer is not None or meter is not None else None

    def call(self, operation: Operation[T], request: Request) -> CallSpan[T]:
        """Return the block in which a call is carried out."""
        return CallSpan(self._tracer, self._durations, operation, request)


def _histogram(meter: Meter) -> Histogram:
    return meter.create_histogram(
        METRIC,
        unit="s",
        description="Duration of HTTP client requests.",
        explicit_bucket_boundaries_advisory=_BUCKETS,
    )


def told(
    telemetry: Telemetry | None, operation: Operation[T], request: Request
) -> AbstractContextManager[Operation[T]]:
    """Return the block in which a call is carried out; what it gives is the operation to call."""
    return nullcontext(operation) if telemetry is None else telemetry.call(operation, request)


@contextmanager
def told_once(
    telemetry: Telemetry | None, operation: Operation[T], request: Request
) -> Iterator[tuple[Operation[T], Mapping[str, str]]]:
    """Return the block of a call that sends more than one request, of which this is the like.

    What it gives is the operation to call, and the headers that each request carries.
    """
    own = dict(request.headers)
    with told(telemetry, operation, request) as seen:
        yield seen, {name: text for name, text in request.headers.items() if name not in own}


class CallSpan(Generic[T]):
    """The span of one call, and its duration."""

    def __init__(
        self,
        tracer: Tracer | None,
        durations: Histogram | None,
        operation: Operation[T],
        request: Request,
    ) -> None:
        self._operation = operation
        parts = urlsplit(request.url)
        self._facts: dict[str, Any] = {
            "http.request.method": request.method,
            "server.address": parts.hostname or "",
            "server.port": parts.port or _PORTS.get(parts.scheme, 0),
        }
        if operation.name:
            # The paths of raw requests are as many as there are things: no template.
            self._facts["url.template"] = operation.template
        self._name = f"strait.{operation.name or 'request'}"
        self._more = {"url.path": parts.path, "strait.operation": operation.id}
        self._tracer = tracer
        self._durations = durations
        self._request = request
        self._answer: Response | None = None
        self._span: Span | None = None
        self._block = ExitStack()
        self._started = time.perf_counter()

    def _seen(self, response: Response) -> T:
        self._answer = response
        return self._operation.decode(response)

    def __enter__(self) -> Operation[T]:
        """Start the span, and return the operation so that its answer is seen here first."""
        if self._tracer is not None:
            options = {"attributes": {**self._facts, **self._more}, **_kind()}
            span: Span = self._block.enter_context(
                self._tracer.start_as_current_span(self._name, **options)
            )
            self._span = span
            for name, value in _carried(span).items():
                self._request.headers.setdefault(name, value)
        return self._operation.with_decode(self._seen)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._facts = {**self._facts, **self._outcome(error)}
        if self._durations is not None:
            self._durations.record(time.perf_counter() - self._started, self._facts)
        if self._span is not None:
            for name, value in (self._outcome(error) | self._details(error)).items():
                self._span.set_attribute(name, value)
        self._block.__exit__(kind, error, trace)

    def _outcome(self, error: BaseException | None) -> dict[str, Any]:
        """Return the status and the class of the error, if there are any."""
        found: dict[str, Any] = {}
        status = self._answer.status if self._answer is not None else None
        if isinstance(error, StraitError) and error.status is not None:
            status = error.status
        if status is not None:
            found["http.response.status_code"] = status
        if error is not None:
            found["error.type"] = type(error).__name__
        return found

    def _details(self, error: BaseException | None) -> dict[str, Any]:
        """Return what is of this call alone, and so of no use in a metric."""
        found: dict[str, Any] = {}
        request_id = self._answer.headers.get("x-request-id") if self._answer is not None else None
        if isinstance(error, StraitError):
            request_id = error.request_id or request_id
        if request_id:
            found["strait.request_id"] = request_id
        if resent := int(self._request.headers.get("x-strait-retry-count", "0")):
            found["http.request.resend_count"] = resent
        return found


def _carried(span: Span) -> dict[str, str]:
    """Return the headers that carry the trace: those of the program's propagators."""
    carrier: dict[str, str] = {}
    try:
        import_module("opentelemetry.propagate").inject(carrier)
    except ImportError:
        context = span.get_span_context()
        if context.trace_id:
            flags = int(context.trace_flags)
            carrier["traceparent"] = (
                f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"
            )
    return {name.lower(): value for name, value in carrier.items()}


def _kind() -> dict[str, object]:
    """Return the kind of a client's span; none where a tracer comes from elsewhere."""
    try:
        return {"kind": import_module("opentelemetry.trace").SpanKind.CLIENT}
    except ImportError:
        return {}

"""OpenTelemetry spans from a trigger to its handler, when they are asked for (`--traces true`).

A trigger's span continues the trace of its caller; it is kept with the run, so that each dispatch,
the first and those of later attempts, is a child of it. A handler gets the context of its dispatch
and may go on with it (`strait.serve` does). Where spans go is the business of the SDK that the
process was started with, as by `opentelemetry-instrument strait serve`, or of `exporting`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from strait.engine import outcomes
from strait.server.errors import ApiError
from strait.server.signing_headers import TRACE_METADATA, Header

if TYPE_CHECKING:
    from strait.engine.model import Run
    from strait.server.http import Call, Reply, StreamReply

_NAMES = ("traceparent", "tracestate")
_PROPAGATOR = TraceContextTextMapPropagator()


class TriggerSpan:
    """The span of a request that starts something."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def answered(self, answer: Reply | StreamReply) -> None:
        """Write down what was answered."""
        status = getattr(answer, "status", 200)
        self._span.set_attribute("http.response.status_code", status)

    def refused(self, error: ApiError) -> None:
        """Write down why nothing was started; what is the caller's fault is no error of a server.

        https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
        """
        self._span.set_attribute("http.response.status_code", error.status)
        if error.status >= 500:
            self.failed(error.code)
        else:
            self._span.set_attribute("error.type", error.code)

    def failed(self, kind: str) -> None:
        """Write down that the server could not do it."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR, kind)


class DispatchSpan:
    """The span of one call of a handler.

    Attributes:
        headers: what is sent, with the context of this span.
    """

    def __init__(self, span: trace.Span, headers: tuple[Header, ...]) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
        kept = (header for header in headers if header[0].lower().decode() not in carrier)
        self.headers = (
            *kept,
            *((name.title().encode(), value.encode()) for name, value in carrier.items()),
        )

    def ended(self, outcome: outcomes.Succeeded | outcomes.Erred | None) -> None:
        """Write down what came of the call."""
        if isinstance(outcome, outcomes.Erred):
            self._span.set_attribute("error.type", outcome.error_class)
            # The text of an error is the handler's own, and may hold anything.
            self._span.set_status(StatusCode.ERROR, outcome.error_class)


class Tracing:
    """Makes the spans of one server."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("strait.server")

    @contextmanager
    def trigger(self, call: Call) -> Iterator[TriggerSpan]:
        """Have a request run in a span, which takes the place of the trace that it brought."""
        brought = {
            name: call.header(name.encode()) for name in _NAMES if call.header(name.encode())
        }
        with self._tracer.start_as_current_span(
            "strait.trigger",
            context=_PROPAGATOR.extract(brought),
            kind=SpanKind.SERVER,
            attributes={
                "strait.operation": call.route.id,
                "strait.project_id": call.project_id,
                "strait.request_id": call.request_id,
            },
            # The text of an error may quote the request.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            carrier: dict[str, str] = {}
            _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
            call.headers.update((name.encode(), value.encode()) for name, value in carrier.items())
            told = TriggerSpan(span)
            try:
                yield told
            except ApiError as error:
                told.refused(error)
                raise
            except Exception as error:
                told.failed(type(error).__name__)
                raise

    @contextmanager
    def dispatch(self, run: Run, headers: tuple[Header, ...]) -> Iterator[DispatchSpan]:
        """Have a handler called in a span below that of its run's trigger."""
        carrier = {
            header.decode().lower(): run.metadata[name]
            for name, header in TRACE_METADATA.items()
            if name in run.metadata
        }
        with self._tracer.start_as_current_span(
            "strait.dispatch",
            context=_PROPAGATOR.extract(carrier),
            kind=SpanKind.CLIENT,
            attributes={
                "strait.run_id": run.id,
                "strait.job_id": run.job_id,
                "strait.project_id": run.project_id,
                "strait.attempt": run.attempt,
            },
        ) as span:
            yield DispatchSpan(span, headers)

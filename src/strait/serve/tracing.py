"""The span of an attempt, below the dispatch that the platform sent.

A program that traces has imported OpenTelemetry before the first dispatch comes; where nobody has,
there is nowhere for a span to go, and none is made.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from strait.authoring.session import AttemptSuspended
from strait.client.middleware import Middleware, MiddlewareRequestContext


@contextmanager
def attempt(headers: Mapping[str, str], *, job: str, run_id: str, attempt: int) -> Iterator[None]:
    """Have a handler run in a span that continues the trace of its dispatch.

    Args:
        headers: those of the dispatch, by lower-case name.
        job: the slug of the job.
        run_id: the run.
        attempt: which attempt of it.
    """
    if "opentelemetry.trace" not in sys.modules:
        yield
        return
    from opentelemetry import trace  # noqa: PLC0415 - it is loaded already
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

    carrier = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
    with trace.get_tracer("strait.serve").start_as_current_span(
        "strait.handler",
        context=tracecontext.TraceContextTextMapPropagator().extract(carrier),
        kind=trace.SpanKind.SERVER,
        attributes={"strait.job": job, "strait.run_id": run_id, "strait.attempt": attempt},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except AttemptSuspended:
            raise
        except Exception as error:
            # Its text may hold anything; its type is enough to find it by.
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise


def carrying() -> list[Middleware]:
    """Return what has the calls of a handler tell which span they come from.

    So a child that it starts is below it in one trace. Nothing where nobody traces.
    """
    return [_CARRYING] if "opentelemetry.trace" in sys.modules else []


def _carry(context: MiddlewareRequestContext) -> None:
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - it is loaded already

    tracecontext.TraceContextTextMapPropagator().inject(context.headers)


_CARRYING = Middleware(on_request=_carry)

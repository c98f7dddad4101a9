"""The span of a step that is carried out, below that of its attempt.

A step whose result is on record is not carried out, and has none. As in `strait.serve.tracing`, a
program that traces has imported OpenTelemetry before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strait.authoring.recorded.step import CurrentStep


@contextmanager
def spanned(step: CurrentStep) -> Iterator[None]:
    """Have a try of a step run in a span; in none where its attempt has none.

    Args:
        step: the step.
    """
    if "opentelemetry.trace" not in sys.modules:
        yield
        return
    from opentelemetry import trace  # noqa: PLC0415 - it is loaded already

    if not trace.get_current_span().get_span_context().is_valid:
        yield  # a test, or a host that does not trace: there is nothing to be below
        return
    with trace.get_tracer("strait.serve").start_as_current_span(
        "strait.step",
        attributes={
            "strait.step": step.name,
            "strait.step.occurrence": step.occurrence,
            "strait.step.attempt": step.attempt,
            "strait.run_id": step.run_id,
        },
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Exception as error:
            # Its text may hold anything; its type is enough to find it by.
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise

"""Spans and metrics of calls, told to the real SDK of OpenTelemetry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from strait import ApiError
from strait.client import waiting
from tests.client.conftest import JOB, Harness, Platform
from tests.client.sockets import Wire, answers

ID = {"x-request-id": "req_9"}


class Told:
    """What a tracer and a meter of OpenTelemetry were told."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = provider.get_tracer("tests")
        self._metrics = InMemoryMetricReader()
        self._meters = MeterProvider([self._metrics])
        self.meter = self._meters.get_meter("tests")

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._spans.get_finished_spans()

    @property
    def points(self) -> list[Any]:
        found = self._metrics.get_metrics_data()
        (metric,) = found.resource_metrics[0].scope_metrics[0].metrics
        assert (metric.name, metric.unit) == ("http.client.request.duration", "s")
        return list(metric.data.data_points)

    def close(self) -> None:
        self._meters.shutdown()


@pytest.fixture
def told() -> Iterator[Told]:
    found = Told()
    yield found
    found.close()


def test_a_call_is_one_span_of_a_client_with_the_conventions_names(
    either: Harness, platform: Platform, told: Told
) -> None:
    platform.answers_with(200, JOB, ID)
    client = either.client(tracer=told.tracer, base_url="https://platform.test/base")
    either.run(lambda: client.jobs.get("job_1"))
    (span,) = told.spans
    assert (span.name, span.kind) == ("strait.jobs.get", SpanKind.CLIENT)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "platform.test",
        "server.port": 443,
        "strait.operation": "get-job",
        "strait.request_id": "req_9",
        "url.path": "/base/v1/jobs/job_1",
        "url.template": "/v1/jobs/{job_id}",
    }


def test_a_call_that_fails_is_an_error_with_all_its_attempts_in_one_span(
    either: Harness, platform: Platform, told: Told
) -> None:
    platform.answers_with(503, headers=ID)
    client = either.client(tracer=told.tracer)
    with pytest.raises(ApiError):
        either.run(lambda: client.jobs.get("job_1"))
    (span,) = told.spans
    facts = span.attributes or {}
    assert span.status.status_code is StatusCode.ERROR
    assert facts["http.response.status_code"] == 503
    assert facts["http.request.resend_count"] == 2
    assert facts["error.type"] == "ApiError"
    assert facts["strait.request_id"] == "req_9"


def test_the_request_carries_the_trace_and_what_is_sent_along_with_it(
    either: Harness, platform: Platform, told: Told
) -> None:
    platform.answers_with(200, JOB)
    client = either.client(tracer=told.tracer)

    def call() -> Any:
        token = context.attach(baggage.set_baggage("team", "a"))
        try:
            with told.tracer.start_as_current_span("outer"):
                return either.run(lambda: client.jobs.get("job_1"))
        finally:
            context.detach(token)

    call()
    inner, outer = told.spans
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    ids = f"{inner.context.trace_id:032x}-{inner.context.span_id:016x}"
    assert platform.last.headers["traceparent"] == f"00-{ids}-{inner.context.trace_flags:02x}"
    assert platform.last.headers["baggage"] == "team=a"
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_call_that_tries_until_somebody_waits_is_one_span(
    either: Harness, platform: Platform, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_FIRST_TRY_SECS", 0.001)
    platform.answers_with(404, {})
    platform.answers_with(200, {})
    client = either.client(tracer=told.tracer)
    either.run(lambda: client.event_triggers.send("k", until=5))
    (span,) = told.spans
    assert span.name == "strait.event_triggers.send_event"
    assert (span.attributes or {})["http.response.status_code"] == 200
    carried = {request.headers["traceparent"].split("-")[2] for request in platform.requests}
    assert len(platform.requests) == 2
    assert carried == {f"{span.context.span_id:016x}"}


def test_a_raw_request_has_no_template_that_would_be_as_many_as_there_are_things(
    either: Harness, platform: Platform, told: Told
) -> None:
    platform.answers_with(200, {})
    client = either.client(tracer=told.tracer)
    either.run(lambda: client.get("/v1/things/1"))
    (span,) = told.spans
    assert span.name == "strait.request"
    assert "url.template" not in (span.attributes or {})


def test_an_answer_that_is_read_bit_by_bit_is_a_span_up_to_its_head(told: Told) -> None:
    from strait import Client

    with (
        Wire(answers(b'{"id": "job_1"}', "200 OK")) as wire,
        Client(base_url=wire.url, api_key="k", tracer=told.tracer) as client,
        client.jobs.with_streaming_response.get("job_1") as response,
    ):
        (span,) = told.spans
        assert (span.attributes or {})["http.response.status_code"] == response.status == 200


def test_durations_are_a_histogram_whose_attributes_are_few(
    either: Harness, platform: Platform, told: Told
) -> None:
    platform.answers_with(200, JOB, ID)
    platform.answers_with(200, JOB, ID)
    platform.answers_with(404)
    client = either.client(meter=told.meter)
    for number in range(2):
        either.run(lambda number=number: client.jobs.get(f"job_{number}"))
    with pytest.raises(Exception, match="404"):
        either.run(lambda: client.jobs.get("job_3"))
    found = {point.attributes["http.response.status_code"]: point for point in told.points}
    assert found[200].count == 2
    assert found[404].count == 1
    assert dict(found[404].attributes) == {
        "error.type": "NotFoundError",
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "server.address": "platform.test",
        "server.port": 443,
        "url.template": "/v1/jobs/{job_id}",
    }
    assert found[200].explicit_bounds[0] == 0.005


def test_nothing_of_opentelemetry_is_imported_unless_it_is_given() -> None:
    program = (
        "import strait, sys; strait.preload('jobs'); strait.Client(api_key='k').jobs;"
        "print(*[name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""

"""Spans of a platform arrive at a collector, which is a socket here that speaks its protocol."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from strait.server import exporting
from support.handlers import Handlers

from .processes import running

pytestmark = pytest.mark.e2e

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")


class Collector:
    """What takes spans over HTTP.

    Attributes:
        address: for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        requests: what came, with the path.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []
        collector = self

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


async def test_the_spans_of_a_platform_arrive_at_the_collector_it_is_told(
    tmp_path: Path, handlers: Handlers, collector: Collector
) -> None:
    arguments = ("serve", "--port", "0", "--db", "dev.db", "--json")
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address}
    with running(*arguments, cwd=tmp_path, **endpoint) as platform:
        async with httpx.AsyncClient(base_url=platform.base_url, headers=platform.headers) as api:
            body = {"project_id": "proj_local", "name": "J", "slug": "j"}
            job = await api.post("/v1/jobs", json={**body, "endpoint_url": handlers.url})
            path = f"/v1/jobs/{job.json()['id']}/trigger"
            run = await api.post(path, json={}, headers={"traceparent": CALLER})
            (call, *_) = await handlers.wait(1, run.json()["id"])
        assert await asyncio.to_thread(platform.stop) == 0
    assert {path for path, _ in collector.requests} == {"/v1/traces"}
    sent = [resource for _, request in collector.requests for resource in request.resource_spans]
    named = [each.value.string_value for one in sent for each in one.resource.attributes
             if each.key == "service.name"]  # fmt: skip
    assert set(named) == {"strait"}
    spans = {span.name: span for one in sent for scope in one.scope_spans for span in scope.spans}
    assert set(spans) == {"strait.trigger", "strait.dispatch"}
    assert {span.trace_id for span in spans.values()} == {TRACE}
    assert spans["strait.dispatch"].parent_span_id == spans["strait.trigger"].span_id
    assert call.headers["traceparent"].split("-")[2] == spans["strait.dispatch"].span_id.hex()


@pytest.mark.parametrize(
    ("environment", "missing", "told"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:hush@127.0.0.1:1"},
            "opentelemetry.sdk",
            (
                "no spans are sent to OTEL_EXPORTER_OTLP_ENDPOINT: `opentelemetry.sdk` is "
                "missing; pip install 'strait-python[otlp]'"
            ),
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            },
            "opentelemetry.exporter.otlp.proto.grpc",
            (
                "no spans are sent to OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "
                "`opentelemetry.exporter.otlp.proto.grpc` is missing; pip install "
                "'strait-python[otlp]' opentelemetry-exporter-otlp-proto-grpc"
            ),
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
            },
            "",
            (
                "no spans are sent to OTEL_EXPORTER_OTLP_ENDPOINT: its protocol must be "
                "`http/protobuf` or `grpc`"
            ),
        ),
    ],
)
def test_what_is_missing_is_told_in_one_line(
    environment: dict[str, str],
    missing: str,
    told: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("strait"), "propagate", True)
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", None)
    for name in [name for name in sys.modules if missing and name.startswith(missing)]:
        monkeypatch.delitem(sys.modules, name)
    if missing:
        monkeypatch.setattr(sys, "meta_path", [_Without(missing), *sys.meta_path])
    assert exporting.begin(environment) is None
    assert caplog.messages == [told]


class _Without:
    """Finds a package nowhere, as where it is not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, *_: object) -> None:
        if name.startswith(self._name):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_sent_and_told_where_nobody_asked(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert exporting.begin(environment) is None
    assert caplog.messages == []

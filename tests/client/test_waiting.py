"""Waiting for runs: by their stream, by looking where there is none, and never for longer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from strait import (
    AsyncClient,
    Client,
    Middleware,
    NotFoundError,
    RunFailedError,
    StraitTimeoutError,
    UnsupportedByPlatform,
    ValidationError,
)
from strait.client import waiting
from strait.client.middleware import MiddlewareResponseContext
from strait.errors import RunNotStartedError
from tests.client.conftest import KEY, Harness, Platform

RUN: dict[str, Any] = {
    "id": "run_1",
    "job_id": "job_1",
    "project_id": "proj_1",
    "status": "executing",
    "attempt": 1,
    "triggered_by": "manual",
    "priority": 0,
    "job_version": 1,
    "debug_mode": False,
    "lineage_depth": 0,
    "created_at": "2026-01-02T03:04:05Z",
}
ENDED = {**RUN, "status": "completed", "result": {"sum": 3}}
CHANGE = 'data: {"type":"status_change","run_id":"run_1","from":"executing","to":"completed"}\n\n'
WORKFLOW_RUN = {
    "id": "wfr_1",
    "workflow_id": "wf_1",
    "project_id": "proj_1",
    "status": "running",
    "triggered_by": "manual",
    "workflow_version": 1,
    "created_at": "2026-01-02T03:04:05Z",
}


def answer(body: Any, status: int = 200, media: str = "application/json") -> httpx.Response:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return httpx.Response(status, content=content, headers={"content-type": media})


def routed(platform: Platform, **routes: list[httpx.Response | Exception]) -> None:
    """Answer triggers, streams and looks each in their own order."""

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        platform.requests.append(request)
        path = request.url.path
        kind = "stream" if path.endswith("/stream") else "look"
        kind = "trigger" if request.method == "POST" else kind
        kind = "cancel" if request.method == "DELETE" else kind
        left = routes[kind]
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found.status_code, content=found.content, headers=found.headers)

    platform.handle = handle  # type: ignore[method-assign] # the script of this test


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_FIRST_LOOK_SECS", 0.001)
    monkeypatch.setattr(waiting, "_FIRST_TRY_SECS", 0.001)


def paths(platform: Platform) -> list[str]:
    return [request.url.path for request in platform.requests]


def test_a_run_is_waited_for_by_its_stream(either: Harness, platform: Platform) -> None:
    routed(
        platform,
        trigger=[answer({"id": "run_1", "status": "queued"}, 201)],
        stream=[answer(": keepalive\n\n" + CHANGE, media="text/event-stream")],
        look=[answer(RUN), answer(ENDED)],
    )
    client = either.client()
    run = either.run(lambda: client.jobs.trigger_and_wait("job_1", payload={"a": 1}, timeout=5))
    assert (run.status, run.result) == ("completed", {"sum": 3})
    assert paths(platform) == [
        "/v1/jobs/job_1/trigger",
        "/v1/runs/run_1/stream",
        "/v1/runs/run_1",
        "/v1/runs/run_1",
    ]
    assert "idempotency-key" not in platform.last.headers


def test_a_run_that_ended_before_the_stream_was_open_is_found(
    either: Harness, platform: Platform
) -> None:
    routed(
        platform,
        stream=[answer(": keepalive\n\n", media="text/event-stream")],
        look=[answer(ENDED)],
    )
    client = either.client()
    assert either.run(lambda: client.runs.wait("run_1", timeout=5)).status == "completed"
    assert len(platform.requests) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        answer({"error": {"code": "forbidden", "message": "no"}}, 403),
        answer("gone", 410),
        answer("too many SSE connections", 503),
        httpx.ConnectError("refused"),
    ],
    ids=["forbidden", "gone", "full", "refused"],
)
def test_where_no_stream_can_be_had_the_run_is_looked_at(
    either: Harness, platform: Platform, refusal: httpx.Response | Exception
) -> None:
    routed(platform, stream=[refusal], look=[answer(RUN), answer(RUN), answer(ENDED)])
    client = either.client()
    assert either.run(lambda: client.runs.wait("run_1", timeout=5)).status == "completed"
    assert paths(platform).count("/v1/runs/run_1") == 3


def test_trouble_while_waiting_passes_and_does_not_end_the_wait(
    either: Harness, platform: Platform
) -> None:
    routed(
        platform,
        stream=[answer("busy", 503)],
        look=[httpx.ReadError("reset"), answer("bad gateway", 502), answer(ENDED)],
    )
    client = either.client(retry=None)
    assert either.run(lambda: client.runs.wait("run_1", timeout=5)).status == "completed"


def test_what_is_wrong_for_good_ends_the_wait(either: Harness, platform: Platform) -> None:
    routed(
        platform,
        stream=[answer({"error": {"code": "not_found", "message": "run not found"}}, 404)],
        look=[answer({"error": {"code": "not_found", "message": "run not found"}}, 404)],
    )
    client = either.client()
    with pytest.raises(NotFoundError, match="run not found"):
        either.run(lambda: client.runs.wait("run_1"))


def test_a_wait_that_is_over_says_so_and_keeps_the_trouble(
    either: Harness, platform: Platform
) -> None:
    routed(platform, stream=[answer("no", 503)], look=[answer(RUN)])
    client = either.client()
    with pytest.raises(StraitTimeoutError, match=r"`run_1` did not end within 0\.02 s") as caught:
        either.run(lambda: client.runs.wait("run_1", timeout=0.02))
    assert caught.value.run_id == "run_1"
    assert caught.value.elapsed_ms >= 20


def test_no_time_looks_once(either: Harness, platform: Platform) -> None:
    routed(platform, look=[answer(RUN)])
    client = either.client()
    with pytest.raises(StraitTimeoutError):
        either.run(lambda: client.runs.wait("run_1", timeout=0))
    assert paths(platform) == ["/v1/runs/run_1"]


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(
    either: Harness, platform: Platform, seconds: float
) -> None:
    client = either.client()
    with pytest.raises(ValidationError, match="not negative"):
        either.run(lambda: client.runs.wait("run_1", timeout=seconds))
    assert platform.requests == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"debounced": True, "fire_at": "2026-01-02T03:04:05Z"}, "debounced until 2026-01-02"),
        ({"batch": True, "buffered": True}, "buffered for a batch"),
        ({"job": {"id": "job_1"}, "payload_hash": "x"}, "dry run"),
    ],
)
def test_a_trigger_that_starts_no_run_says_why(
    either: Harness, platform: Platform, body: dict[str, Any], why: str
) -> None:
    routed(platform, trigger=[answer(body, 201)])
    client = either.client()
    with pytest.raises(RunNotStartedError, match=why) as caught:
        either.run(lambda: client.jobs.start("job_1"))
    assert caught.value.answer["debounced" if "debounced" in body else next(iter(body))]


def test_a_handle_gives_status_result_cancel_and_stream(
    either: Harness, platform: Platform
) -> None:
    routed(
        platform,
        trigger=[answer({"id": "run_1", "status": "queued"}, 201)],
        stream=[answer(CHANGE, media="text/event-stream")],
        look=[answer(RUN), answer(ENDED)],
        cancel=[answer({**RUN, "status": "canceled"})],
    )
    client = either.client()
    handle = either.run(lambda: client.jobs.start("job_1"))
    assert handle.id == "run_1"
    assert repr(handle).endswith("(run 'run_1')")
    assert either.run(handle.status) == "executing"
    assert either.run(lambda: handle.result(timeout=5)) == {"sum": 3}
    assert [item["to"] for item in either.items(handle.stream)] == ["completed"]
    assert either.run(handle.cancel).status == "canceled"


def test_the_result_of_a_run_that_failed_is_an_error_with_the_run(
    either: Harness, platform: Platform
) -> None:
    failed = {**RUN, "status": "timed_out", "error": "took 300 s"}
    routed(platform, stream=[answer("", 410)], look=[answer(failed)])
    client = either.client()
    handle = client.runs.handle("run_1")
    with pytest.raises(
        RunFailedError, match="run `run_1` ended as `timed_out`: took 300"
    ) as caught:
        either.run(handle.result)
    assert caught.value.run_status == "timed_out"
    assert caught.value.run.error == "took 300 s"


@pytest.mark.parametrize(
    "status", ["completed", "failed", "canceled", "timed_out", "compensated", "compensation_failed"]
)
def test_each_kind_of_run_has_its_own_ends(
    either: Harness, platform: Platform, status: str
) -> None:
    routed(
        platform,
        trigger=[answer(WORKFLOW_RUN, 201)],
        look=[answer(WORKFLOW_RUN), answer({**WORKFLOW_RUN, "status": status})],
    )
    client = either.client()
    run = either.run(lambda: client.workflows.trigger_and_wait("wf_1", timeout=5))
    assert run.status == status
    assert paths(platform) == ["/v1/workflows/wf_1/trigger", *["/v1/workflow-runs/wfr_1"] * 2]


def test_a_workflow_run_has_no_stream_and_says_so(either: Harness, platform: Platform) -> None:
    client = either.client()
    with pytest.raises(UnsupportedByPlatform, match=r"use `wait\(\)`"):
        client.workflow_runs.handle("wfr_1").stream()


def test_plain_json_can_be_waited_for(either: Harness, platform: Platform) -> None:
    routed(platform, trigger=[answer({"id": "run_1"}, 201)], stream=[answer("", 410)],
           look=[answer(ENDED)])  # fmt: skip
    client = either.client(response_format="dict")
    run = either.run(lambda: client.jobs.trigger_and_wait("job_1"))
    assert type(run) is dict
    assert run == ENDED


def test_an_event_is_sent_until_somebody_waits_for_it(either: Harness, platform: Platform) -> None:
    nobody = answer({"error": {"code": "not_found", "message": "no trigger"}}, 404)
    received = {"id": "evt_1", "event_key": "k", "status": "received"}
    routed(platform, trigger=[nobody, nobody, answer(received)])
    client = either.client()
    sent = either.run(lambda: client.event_triggers.send("k", payload={"a": 1}, until=5))
    assert sent["status"] == "received"
    assert [json.loads(request.content) for request in platform.requests] == [
        {"payload": {"a": 1}}
    ] * 3
    # The key of a try that was refused may be kept, so each has its own.
    assert len({request.headers["idempotency-key"] for request in platform.requests}) == 3


def test_an_event_that_nobody_waits_for_is_an_error_when_the_time_is_up(
    either: Harness, platform: Platform
) -> None:
    nobody = answer({"error": {"code": "not_found", "message": "no trigger"}}, 404)
    routed(platform, trigger=[nobody])
    client = either.client()
    with pytest.raises(NotFoundError) as caught:
        either.run(lambda: client.event_triggers.send("k", until=0.02))
    assert "again and again" in caught.value.__notes__[-1]
    platform.requests.clear()
    with pytest.raises(NotFoundError):
        either.run(lambda: client.event_triggers.send("k"))
    assert len(platform.requests) == 1


class _KeepsAlive(BaseHTTPRequestHandler):
    """A platform whose run never ends, and whose stream never falls silent."""

    stop = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        if not self.path.endswith("/stream"):
            body = json.dumps(RUN).encode()
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.stop.wait(0.05):
                self.wfile.write(b": keepalive\n\n")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def _keeping_alive() -> Iterator[str]:
    _KeepsAlive.stop.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _KeepsAlive)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        _KeepsAlive.stop.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_stream_that_only_keeps_alive_does_not_lengthen_the_wait() -> None:
    with _keeping_alive() as url, Client(base_url=url, api_key=KEY) as client:
        started = time.monotonic()
        with pytest.raises(StraitTimeoutError):
            client.runs.wait("run_1", timeout=0.3)
        assert 0.3 <= time.monotonic() - started < 3


async def test_a_wait_that_is_cancelled_ends_its_stream_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    troubles: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", troubles.append)
    reading = asyncio.Event()

    def told(context: MiddlewareResponseContext) -> None:
        if not context.url.endswith("/stream"):
            reading.set()  # the stream is open, and is read from now on

    hooks = [Middleware(on_response=told)]
    with _keeping_alive() as url:
        async with AsyncClient(base_url=url, api_key=KEY, middleware=hooks) as client:
            wait = asyncio.create_task(client.runs.wait("run_1"))
            await reading.wait()
            wait.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wait
    del wait
    gc.collect()
    assert not troubles


def test_a_time_to_wait_that_is_no_number_is_refused(either: Harness) -> None:
    client = either.client()
    with pytest.raises(ValidationError, match="seconds that are not negative, not '5'"):
        either.run(lambda: client.runs.wait("run_1", timeout="5"))

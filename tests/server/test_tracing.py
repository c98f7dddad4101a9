"""Spans from a trigger to its handler, with the real SDK and its exporter into memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from strait.authoring import RunContext, SyncRunContext, job
from strait.serve import tracing
from strait.serve.platform import PlatformPool
from strait.testing import create_test_context, platform
from support.handlers import Answer, Handlers, Received, ok
from support.workflows import Flows
from support.world import World, world

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = int("4bf92f3577b34da6a3ce929d0e0e4736", 16)
_exporter = InMemorySpanExporter()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What is exported; a process can set its provider once only."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_exporter))
        trace.set_tracer_provider(provider)
    _exporter.clear()
    yield _exporter
    _exporter.clear()


@pytest.fixture
async def traced(handlers: Handlers) -> AsyncIterator[World]:
    async with world(handlers, traces=True) as made:
        yield made


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def context(header: str) -> tuple[int, int]:
    _, trace_id, span_id, _ = header.split("-")
    return int(trace_id, 16), int(span_id, 16)


async def test_the_trace_of_a_trigger_goes_on_into_its_handler(
    traced: World, spans: InMemorySpanExporter
) -> None:
    job = await traced.job()
    answer = await traced.api.post(
        f"/v1/jobs/{job['id']}/trigger", json={}, headers={"traceparent": CALLER}
    )
    run_id = answer.json()["id"]
    await traced.until(run_id, "completed")
    await traced.settled()
    (trigger,), (dispatch,) = named(spans, "strait.trigger"), named(spans, "strait.dispatch")
    assert trigger.context.trace_id == dispatch.context.trace_id == TRACE
    assert trigger.parent is not None
    assert trigger.parent.span_id == context(CALLER)[1]
    assert dispatch.parent is not None
    assert dispatch.parent.span_id == trigger.context.span_id
    assert dict(dispatch.attributes or {}) == {
        "strait.run_id": run_id,
        "strait.job_id": job["id"],
        "strait.project_id": "proj-1",
        "strait.attempt": 1,
    }
    (call,) = traced.handlers.received
    assert context(call.headers["traceparent"]) == (TRACE, dispatch.context.span_id)


async def test_each_attempt_has_a_span_below_the_same_trigger(
    traced: World, spans: InMemorySpanExporter
) -> None:
    traced.handlers.script = lambda call: Answer(503, b"secret text") if call.attempt == 1 else ok()
    job = await traced.job(max_attempts=2)
    await traced.until(await traced.trigger(job), "completed")
    await traced.settled()
    (trigger,) = named(spans, "strait.trigger")
    first, second = named(spans, "strait.dispatch")
    for span in (first, second):
        assert span.parent is not None
        assert span.parent.span_id == trigger.context.span_id
    assert (first.status.status_code, first.status.description) == (
        trace.StatusCode.ERROR, "server"
    )  # fmt: skip
    assert second.status.status_code is trace.StatusCode.UNSET
    assert "secret text" not in first.to_json()


async def test_the_steps_of_a_workflow_are_in_the_trace_of_its_trigger(
    traced: World, spans: InMemorySpanExporter
) -> None:
    flows = Flows(traced)
    run_id = await flows.start(await flows.job("one"), await flows.job("two", "one"))
    await flows.until(run_id, "completed")
    await traced.settled()
    (trigger,) = named(spans, "strait.trigger")
    found = {span.context.trace_id for span in named(spans, "strait.dispatch")}
    assert found == {trigger.context.trace_id}


async def test_a_refused_trigger_has_a_span_too(traced: World, spans: InMemorySpanExporter) -> None:
    assert (await traced.api.post("/v1/jobs/unknown/trigger", json={})).status_code == 404
    (trigger,) = named(spans, "strait.trigger")
    # The caller's fault is no error of a server, by the conventions for HTTP spans.
    assert trigger.status.status_code is trace.StatusCode.UNSET
    assert (trigger.attributes or {})["http.response.status_code"] == 404
    assert (trigger.attributes or {})["error.type"] == "not_found"
    assert not trigger.events


@pytest.mark.parametrize("tells", [False, True])
async def test_the_runs_that_a_run_makes_are_in_its_trace(
    traced: World, spans: InMemorySpanExporter, tells: bool
) -> None:
    after = await traced.job(slug="after")
    child = await traced.job(slug="child")
    job = await traced.job(slug="parent", on_complete_trigger_job=after["slug"])
    made: list[str] = []

    async def parent(call: Received) -> Answer:
        headers = {"traceparent": call.headers["traceparent"]} if tells else {}
        handler = traced.handler(call.token)
        for path, body in (
            ("spawn", {"job_slug": child["slug"], "project_id": "proj-1"}),
            ("continue", {"payload": {"again": True}}),
        ):
            answer = await handler.post(
                f"/sdk/v1/runs/{call.run_id}/{path}", json=body, headers=headers
            )
            assert answer.status_code == 201, answer.text
            made.append(answer.json()["id"])
        return ok()

    async def script(call: Received) -> Answer:
        first = call.headers["x-job-id"] == job["id"] and not made
        return await parent(call) if first else ok()

    traced.handlers.script = script
    run_id = await traced.trigger(job)
    await traced.until(run_id, "completed")
    for other in made:
        await traced.until(other, "completed")
    # Both runs of `parent` have one after them.
    await traced.handlers.wait(5)
    await traced.settled()
    (trigger,) = named(spans, "strait.trigger")
    dispatches = named(spans, "strait.dispatch")
    assert len(dispatches) == 5
    assert {span.context.trace_id for span in dispatches} == {trigger.context.trace_id}
    (first,) = (s for s in dispatches if (s.attributes or {})["strait.run_id"] == run_id)
    (spawned,) = (s for s in dispatches if (s.attributes or {})["strait.run_id"] == made[0])
    assert spawned.parent is not None
    above = first.context.span_id if tells else trigger.context.span_id
    assert spawned.parent.span_id == above


async def test_what_a_handler_asks_for_tells_the_span_that_it_comes_from(
    handlers: Handlers, spans: InMemorySpanExporter
) -> None:
    pool = PlatformPool(handlers.url)
    with tracing.attempt({"traceparent": CALLER}, job="j", run_id="r", attempt=1):
        heartbeat = pool.runs("token").heartbeat_run("run_1")
        assert isinstance(heartbeat, Awaitable)
        await heartbeat
    await pool.close()
    (call,) = handlers.received
    (handler,) = named(spans, "strait.handler")
    assert context(call.headers["traceparent"]) == (TRACE, handler.context.span_id)


async def test_without_the_setting_the_callers_own_trace_reaches_the_handler(
    world: World, spans: InMemorySpanExporter
) -> None:
    job = await world.job()
    path = f"/v1/jobs/{job['id']}/trigger"
    answer = await world.api.post(path, json={}, headers={"traceparent": CALLER})
    await world.until(answer.json()["id"], "completed")
    (call,) = world.handlers.received
    assert call.headers["traceparent"] == CALLER
    assert not spans.get_finished_spans()


def test_a_handler_runs_in_a_span_below_its_dispatch(spans: InMemorySpanExporter) -> None:
    with tracing.attempt({"traceparent": CALLER}, job="j", run_id="r", attempt=2):
        own = trace.get_tracer("user").start_span("own")
        own.end()
    (handler,), (inner,) = named(spans, "strait.handler"), named(spans, "own")
    assert handler.context.trace_id == TRACE
    assert handler.parent is not None
    assert handler.parent.span_id == context(CALLER)[1]
    assert inner.parent is not None
    assert inner.parent.span_id == handler.context.span_id


def test_the_span_of_a_handler_that_raised_names_the_type_only(
    spans: InMemorySpanExporter,
) -> None:
    with (
        pytest.raises(RuntimeError),
        tracing.attempt({}, job="j", run_id="r", attempt=1),
    ):
        raise RuntimeError("a password")
    (handler,) = named(spans, "strait.handler")
    assert handler.status.description == "RuntimeError"
    assert "a password" not in handler.to_json()


def charge(amount: int) -> int:
    with trace.get_tracer("user").start_as_current_span("own"):
        return amount


def fail() -> None:
    raise RuntimeError("a password")


@job(slug="plain")
def plain(payload: object, ctx: SyncRunContext) -> None:
    ctx.step("charge", charge, 3)
    ctx.sleep(60)
    with contextlib.suppress(RuntimeError):
        ctx.step("fail", fail)


@job(slug="awaits")
async def awaits(payload: object, ctx: RunContext) -> None:
    await ctx.step("charge", charge, 3)
    await ctx.sleep(60)
    with contextlib.suppress(RuntimeError):
        await ctx.step("fail", fail)


@pytest.mark.parametrize("durable", [plain, awaits], ids=["plain", "async"])
def test_a_step_that_is_carried_out_has_a_span_below_its_attempt(
    spans: InMemorySpanExporter, durable: Any
) -> None:
    with platform(durable) as p:
        assert p.run(durable).status == "completed"
    first, second = named(spans, "strait.handler")
    charged, failed = named(spans, "strait.step")  # what is on record has none
    (own,) = named(spans, "own")
    assert charged.attributes is not None
    assert (charged.attributes["strait.step"], charged.attributes["strait.step.attempt"]) == (
        "charge", 1,
    )  # fmt: skip
    parents = [span.parent.span_id for span in (charged, failed, own) if span.parent is not None]
    assert parents == [first.context.span_id, second.context.span_id, charged.context.span_id]
    assert failed.status.description == "RuntimeError"
    assert "a password" not in failed.to_json()


async def test_a_step_of_a_test_has_no_span(spans: InMemorySpanExporter) -> None:
    ctx, _ = create_test_context()
    assert await ctx.step("charge", charge, 3) == 3
    assert not named(spans, "strait.step")

"""`RunContext`: what it sends, with both kinds of client, and what it refuses."""

from __future__ import annotations

import asyncio
import logging

import pytest

from strait.authoring import (
    AttemptSuspended,
    DefinitionError,
    RunContext,
    create_run_context,
    create_test_context,
)
from strait.authoring.session import RunSession
from strait.errors import ApiError, NotFoundError, map_http_error
from strait.reserved import child_outcome_key, event_state_key, spawn_key

from .fakes import AsyncRuns, SyncRuns


@pytest.fixture(params=[AsyncRuns, SyncRuns])
def make_runs(request):
    return request.param


def hosted(runs):
    return RunContext(RunSession(lambda: runs, "run_1", hosted=True))


CALLS = [
    (lambda c: c.checkpoint({"i": 1}), "checkpoint_run", {"state": {"i": 1}, "source": "sdk"}),
    (lambda c: c.report_progress(50), "progress_run", {"percent": 50, "message": "50 %"}),
    (
        lambda c: c.report_progress(12.5, "half", step="s", eta_seconds=0),
        "progress_run",
        {"percent": 12.5, "message": "half", "step": "s", "eta_seconds": 0},
    ),
    (
        lambda c: c.report_usage("openai", "gpt", prompt_tokens=0, cost_microusd=7),
        "usage_run",
        {"provider": "openai", "model": "gpt", "prompt_tokens": 0, "cost_microusd": 7},
    ),
    (
        lambda c: c.log_tool_call("search", {"q": 1}, [], 3, "ok"),
        "tool_call_run",
        {"tool_name": "search", "input": {"q": 1}, "output": [], "duration_ms": 3, "status": "ok"},
    ),
    (
        lambda c: c.save_output("k", 0, {"type": "integer"}),
        "output_run",
        {"output_key": "k", "value": 0, "schema": {"type": "integer"}},
    ),
    (
        lambda c: c.stream_chunk("", "s", done=False),
        "stream_run",
        {"chunk": "", "stream_id": "s", "done": False},
    ),
    (
        lambda c: c.spawn("child", "p", {}, await_completion=False),
        "spawn_run",
        {"job_slug": "child", "project_id": "p", "payload": {}, "await_completion": False},
    ),
    (lambda c: c.continue_run({}), "continue_run", {"payload": {}}),
    (lambda c: c.continue_run(), "continue_run", {}),
    (lambda c: c.annotate({"a": "b"}), "annotate_run", {"annotations": {"a": "b"}}),
    (lambda c: c.complete(), "complete_run", {}),
    (lambda c: c.complete({}), "complete_run", {"result": {}}),
    (lambda c: c.complete(0), "complete_run", {"result": 0}),
    (lambda c: c.fail("no"), "fail_run", {"error": "no"}),
    (lambda c: c.state.set("k", None), "set_state", {"key": "k", "value": None}),
]


@pytest.mark.parametrize(("call", "operation", "body"), CALLS)
async def test_each_method_sends_the_platforms_body(make_runs, call, operation, body):
    runs = make_runs()
    await call(create_run_context(runs, "run_1"))
    assert runs.calls == [(operation, "run_1", body)]


async def test_a_heartbeat_has_no_body(make_runs):
    runs = make_runs()
    await create_run_context(runs, "run_1").heartbeat()
    assert runs.calls == [("heartbeat_run", "run_1")]


async def test_a_synchronous_client_does_not_block_the_loop():
    entered, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow(SyncRuns):
        def heartbeat_run(self, run_id):
            loop.call_soon_threadsafe(entered.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)

    call = asyncio.create_task(create_run_context(Slow(), "run_1").heartbeat())
    await asyncio.wait_for(entered.wait(), 10)
    assert not call.done()
    release.set()
    await call
    assert call.done()


async def test_state_gives_plain_values_and_none_for_what_is_not_there(make_runs):
    row = {"run_id": "run_1", "state_key": "k", "value": {"a": 1}, "updated_at": "t"}
    reserved = {**row, "state_key": event_state_key("e", 0)}
    runs = make_runs(get_state=row, list_state=[row, reserved])
    context = create_run_context(runs, "run_1")
    assert await context.state.get("k") == {"a": 1}
    assert await context.state.list() == [{"key": "k", "value": {"a": 1}, "updated_at": "t"}]
    runs.answers["get_state"] = NotFoundError(404, "state key not found")
    assert await context.state.get("missing") is None
    runs.answers["delete_state"] = NotFoundError(404, "state key not found")
    await context.state.delete("missing")
    assert runs.calls[-1] == ("delete_state", "run_1", "missing")


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.state.get("strait.event.0.x"),
        lambda c: c.state.set("strait.x", 1),
        lambda c: c.state.delete("strait.x"),
        lambda c: c.state.set("", 1),
        lambda c: c.state.set("k" * 257, 1),
        lambda c: c.report_progress(101),
        lambda c: c.report_progress(-1),
        lambda c: c.annotate({}),
        lambda c: c.annotate({"a": 1}),
        lambda c: c.wait_for_event(""),
        lambda c: c.wait_for_event("k", timeout_secs=0),
        lambda c: c.wait_for_event("k", notify_url="nowhere"),
        lambda c: c.spawn("child"),
    ],
)
async def test_what_the_platform_would_refuse_is_refused_before_it_is_sent(call):
    runs = AsyncRuns()
    with pytest.raises(DefinitionError):
        await call(create_run_context(runs, "run_1"))
    assert runs.calls == []


async def test_a_wait_outside_of_a_host_returns_the_platforms_answer(make_runs):
    waiting = {"status": "waiting", "event_key": "paid", "trigger_id": "t", "expires_at": "x"}
    runs = make_runs(get_state=NotFoundError(404, "no"), wait_for_event_run=waiting)
    context = create_run_context(runs, "run_1")
    assert await context.wait_for_event("paid", timeout_secs=5) == waiting
    assert runs.calls == [
        ("get_state", "run_1", event_state_key("paid", 0)),
        ("wait_for_event_run", "run_1", {"event_key": "paid", "timeout_secs": 5}),
    ]


async def test_a_wait_in_a_host_ends_the_attempt_past_except_exception():
    context = hosted(AsyncRuns(get_state=NotFoundError(404, "no")))

    async def handler():
        try:
            return await context.wait_for_event("paid")
        except Exception:  # noqa: BLE001 - what users write, and must not keep a waiting run going
            return "swallowed"

    with pytest.raises(AttemptSuspended):
        await handler()


async def test_a_wait_returns_what_the_server_kept_for_this_key_and_occurrence():
    kept = {
        event_state_key("paid", 0): {"value": {"event_key": "paid", "payload": {"n": 1}}},
        event_state_key("paid", 1): {"value": {"event_key": "paid", "payload": None}},
        event_state_key("other", 0): {"value": {"event_key": "other", "payload": 3}},
    }

    class Kept(AsyncRuns):
        async def get_state(self, run_id, key):
            if key not in kept:
                raise NotFoundError(404, "no")
            return kept[key]

    runs = Kept()
    context = hosted(runs)
    assert await context.wait_for_event("paid") == {"n": 1}
    assert await context.wait_for_event("other") == 3
    assert await context.wait_for_event("paid") is None
    with pytest.raises(AttemptSuspended):
        await context.wait_for_event("paid")
    assert runs.calls == [("wait_for_event_run", "run_1", {"event_key": "paid"})]


class Parent(AsyncRuns):
    """Keeps children by name like the server, and tells which of them have ended."""

    def __init__(self):
        super().__init__()
        self.state = {}

    async def spawn_run(self, run_id, body):
        self.calls.append(("spawn_run", run_id, dict(body)))
        child = self.state.setdefault(spawn_key(body["spawn_key"]), f"child-{len(self.state)}")
        return {"id": child, "parent_run_id": run_id}

    async def list_state(self, run_id):
        return [{"state_key": key, "value": value} for key, value in self.state.items()]

    def end(self, name, **outcome):
        child = self.state[spawn_key(name)]
        self.state[child_outcome_key(child)] = {"run_id": child, **outcome}


async def test_a_child_that_is_awaited_ends_the_attempt_and_its_outcome_comes_with_the_next():
    runs = Parent()
    with pytest.raises(AttemptSuspended):
        await hosted(runs).spawn("audit", "p", {"n": 1}, await_completion=True)
    sent = {"job_slug": "audit", "project_id": "p", "spawn_key": "0:audit", "payload": {"n": 1}}
    assert runs.bodies("spawn_run") == [{**sent, "await_completion": True}]
    runs.end("0:audit", status="completed", result=7)
    outcome = await hosted(runs).spawn("audit", "p", {"n": 1}, await_completion=True)
    assert outcome == {"run_id": "child-0", "status": "completed", "result": 7}
    assert len(runs.calls) == 1


async def test_only_the_last_of_many_children_lets_the_run_wait():
    runs = Parent()
    with pytest.raises(AttemptSuspended):
        await hosted(runs).spawn_many("audit", [1, 2, 3], "p")
    assert [(b["spawn_key"], b["await_completion"]) for b in runs.bodies("spawn_run")] == [
        ("0:audit", False),
        ("1:audit", False),
        ("2:audit", True),
    ]
    runs.end("0:audit", status="completed", result=1)
    runs.end("2:audit", status="failed", error="broken")
    runs.calls.clear()
    with pytest.raises(AttemptSuspended):
        await hosted(runs).spawn_many("audit", [1, 2, 3], "p")
    assert [(b["spawn_key"], b["await_completion"]) for b in runs.bodies("spawn_run")] == [
        ("1:audit", True)
    ]
    runs.end("1:audit", status="completed", result=2)
    outcomes = await hosted(runs).spawn_many("audit", [1, 2, 3], "p")
    assert [outcome.get("result", outcome.get("error")) for outcome in outcomes] == [1, 2, "broken"]
    assert await hosted(runs).spawn_many("audit", [], "p") == []


async def test_children_that_end_at_once_are_not_waited_for():
    class Instant(Parent):
        async def spawn_run(self, run_id, body):
            child = await super().spawn_run(run_id, body)
            self.end(body["spawn_key"], status="completed", result=body["payload"])
            return {**child, "status": "completed"}

    context = hosted(Instant())
    assert (await context.spawn("audit", "p", 5, await_completion=True))["result"] == 5
    outcomes = await context.spawn_many("audit", [6, 7], "p")
    assert [outcome["result"] for outcome in outcomes] == [6, 7]


@pytest.mark.parametrize("status", [404, 410, 501])
async def test_a_platform_without_usage_reports_is_told_once(make_runs, status, caplog):
    runs = make_runs(usage_run=map_http_error(status, "no route"))
    context = create_run_context(runs, "run_1")
    with caplog.at_level(logging.WARNING, "strait.authoring"):
        await context.report_usage("openai", "gpt", cost_microusd=1)
        await context.report_usage("openai", "gpt", cost_microusd=1)
    assert len(runs.calls) == 1
    (warning,) = caplog.messages
    assert "takes no usage reports" in warning


async def test_other_refusals_of_usage_are_not_hidden(make_runs):
    context = create_run_context(make_runs(usage_run=map_http_error(500, "broken")), "run_1")
    with pytest.raises(ApiError, match="broken"):
        await context.report_usage("openai", "gpt")


async def test_a_context_shows_neither_payload_nor_secrets():
    session = RunSession(AsyncRuns, "run_1", 2)
    session.payload, session.secrets = {"card": "4111"}, {"KEY": "s3cret"}
    context = RunContext(session)
    assert repr(context) == "<RunContext run_id='run_1' attempt=2>"
    assert context.secrets["KEY"] == "s3cret"
    assert context.payload == {"card": "4111"}


async def test_a_chunk_that_no_platform_takes_is_refused_before_it_is_sent():
    ctx, record = create_test_context()
    with pytest.raises(DefinitionError, match="`chunk` must be a string"):
        await ctx.stream_chunk({"a": 1})
    assert record.stream_chunks == []

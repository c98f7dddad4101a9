"""`create_test_context`: the real context, on a platform in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from strait.authoring import (
    ChildFailed,
    RunContext,
    SyncRunContext,
    TestRunRecord,
    create_run_context,
    create_test_context,
)
from strait.authoring.harness import RecordingRuns
from strait.authoring.run_api import RunContextClient
from strait.errors import ApiError, StraitError, ValidationError

from .fakes import AsyncRuns


async def my_job_handler(payload, ctx):
    await ctx.checkpoint({"next": 1})
    await ctx.state.set("key", payload["value"])
    ctx.logger.info("working on %s", payload["value"])
    await ctx.complete({"done": True})


async def test_the_snippet_of_the_readme_holds():
    ctx, record = create_test_context("test-run")
    await my_job_handler({"value": "expected"}, ctx)

    assert len(record.checkpoints) == 1
    assert record.completed is True
    assert record.state_store["key"] == "expected"
    assert record.result == {"done": True}
    assert record.logs == [{"type": "log", "level": "info", "message": "working on expected"}]


async def test_everything_that_a_handler_does_is_recorded():
    ctx, record = create_test_context()
    await ctx.report_progress(10, "started")
    await ctx.heartbeat()
    await ctx.heartbeat()
    await ctx.report_usage("openai", "gpt", cost_microusd=5)
    await ctx.log_tool_call("search")
    await ctx.save_output("report", {"pages": 2}, {"type": "object"})
    await ctx.stream_chunk("a", done=True)
    child = await ctx.spawn("child", "p", {"x": 1})
    waiting = await ctx.wait_for_event("paid", timeout_secs=9)
    continued = await ctx.continue_run({})
    await ctx.annotate({"a": "b"})
    await ctx.fail("no")
    assert (child["id"], continued["id"], waiting["status"]) == ("spawn_1", "continue_1", "waiting")
    assert record == TestRunRecord(
        usage_reports=[{"provider": "openai", "model": "gpt", "cost_microusd": 5}],
        tool_calls=[{"tool_name": "search"}],
        outputs=[{"key": "report", "value": {"pages": 2}, "schema": {"type": "object"}}],
        progress_updates=[{"percent": 10, "message": "started"}],
        stream_chunks=[{"chunk": "a", "done": True}],
        heartbeats=2,
        spawns=[{"job_slug": "child", "project_id": "p", "payload": {"x": 1}}],
        events=[{"event_key": "paid", "timeout_secs": 9}],
        annotations=[{"a": "b"}],
        continuations=[{"payload": {}}],
        failed=True,
        fail_error="no",
    )


def test_a_plain_handler_is_tested_without_a_loop():
    def handler(payload, ctx):
        ctx.checkpoint({"i": 1})
        ctx.logger.warning("careful")
        ctx.state.set("seen", ctx.payload)
        assert ctx.state.list()[0]["value"] == {"a": 1}
        ctx.complete(ctx.wait_for_event("paid"))

    ctx, record = create_test_context(sync=True, payload={"a": 1}, events={"paid": {"n": 1}})
    handler({"a": 1}, ctx)
    assert record.checkpoints == [{"i": 1}]
    assert record.logs[0]["level"] == "warn"
    assert record.result == {"n": 1}


async def test_events_can_be_scripted():
    ctx, record = create_test_context(events={"approved": None, "paid": {"n": 1}})
    assert await ctx.wait_for_event("paid") == {"n": 1}
    assert await ctx.wait_for_event("approved") is None
    assert [event["event_key"] for event in record.events] == ["paid", "approved"]


async def test_children_that_are_waited_for_can_be_scripted():
    ctx, record = create_test_context(children={"audit": {"ok": True}})
    one = await ctx.spawn("audit", "p", await_completion=True)
    many = await ctx.spawn_many("audit", [{"n": 1}, {"n": 2}], "p")
    assert one == {"run_id": "spawn_1", "status": "completed", "result": {"ok": True}}
    assert [child["run_id"] for child in many] == ["spawn_2", "spawn_3"]
    assert [spawn.get("payload") for spawn in record.spawns] == [None, {"n": 1}, {"n": 2}]
    assert (await ctx.spawn("audit", "p"))["id"] == "spawn_4"


async def test_what_the_context_starts_with_can_be_given():
    ctx, record = create_test_context(
        attempt=2, state={"k": [1]}, last_checkpoint={"i": 3}, secrets={"KEY": "v"}
    )
    assert await ctx.state.get("k") == [1]
    assert (ctx.last_checkpoint, ctx.secrets, ctx.attempt) == ({"i": 3}, {"KEY": "v"}, 2)
    await ctx.state.delete("k")
    assert record.state_store == {}


async def test_records_are_copies():
    ctx, record = create_test_context()
    state = {"items": [1]}
    await ctx.checkpoint(state)
    await ctx.state.set("s", state)
    state["items"].append(2)
    assert record.checkpoints == [{"items": [1]}]
    assert record.state_store == {"s": {"items": [1]}}
    (await ctx.state.get("s"))["items"].append(3)
    assert record.state_store == {"s": {"items": [1]}}


def test_a_handler_that_changes_its_payload_changes_nothing_of_the_test():
    payload, checkpoint = {"items": [1]}, {"done": []}
    ctx, _ = create_test_context(sync=True, payload=payload, last_checkpoint=checkpoint)
    ctx.payload["items"].append(2)
    ctx.last_checkpoint["done"].append(1)
    assert (payload, checkpoint) == ({"items": [1]}, {"done": []})


def test_the_harness_has_all_that_a_context_may_call():
    calls = {name for name in vars(RunContextClient) if not name.startswith("_")}
    assert calls <= set(dir(RecordingRuns))
    both = [{n for n in dir(kind) if n[0] != "_"} for kind in (RunContext, SyncRunContext)]
    # A plain handler has nothing to await, and so nothing to gather.
    assert both[0] - {"gather"} == both[1]


class Order(BaseModel):
    at: datetime


async def test_what_is_recorded_is_what_a_platform_reads():
    ctx, record = create_test_context()
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    await ctx.spawn("child", "p", Order(at=moment))
    await ctx.state.set("pair", (1, 2))
    await ctx.checkpoint({"at": moment})
    assert record.spawns[0]["payload"] == {"at": "2026-01-01T00:00:00Z"}
    assert record.state_store == {"pair": [1, 2]}
    assert record.checkpoints == [{"at": "2026-01-01T00:00:00.000000Z"}]
    with pytest.raises(ValidationError, match="no JSON"):
        await ctx.complete(object())
    assert not record.completed


@pytest.mark.parametrize(
    "second",
    [
        lambda ctx: ctx.fail("no"),
        lambda ctx: ctx.complete(2),
        lambda ctx: ctx.checkpoint({}),
        lambda ctx: ctx.state.get("k"),
        lambda ctx: ctx.heartbeat(),
    ],
)
async def test_a_run_that_has_ended_takes_nothing_any_more(second):
    ctx, record = create_test_context()
    await ctx.complete(1)
    with pytest.raises(ApiError, match="run has reached a terminal state") as refusal:
        await second(ctx)
    assert refusal.value.status == 410
    assert (record.result, record.failed, record.heartbeats) == (1, False, 0)


async def test_the_harness_reads_state_like_the_platform():
    row = {"run_id": "run_1", "state_key": "k", "value": 5, "updated_at": "t"}
    real = create_run_context(AsyncRuns(get_state=row), "run_1")
    fake, _ = create_test_context(state={"k": 5})
    assert await real.state.get("k") == await fake.state.get("k") == 5


async def test_children_need_no_project_in_a_test_as_in_a_host() -> None:
    context, record = create_test_context(children={"square": 4})
    outcomes = await context.spawn_many("square", [2, -2])
    assert [outcome["result"] for outcome in outcomes] == [4, 4]
    assert await context.spawn("square", payload=2).result() == 4
    assert [spawn["job_slug"] for spawn in record.spawns] == ["square"] * 3


async def test_a_child_can_be_scripted_to_fail() -> None:
    failed = ChildFailed("run-2", "dead_letter", "no stock")
    context, _ = create_test_context(children={"reserve": failed})
    with pytest.raises(ChildFailed, match="is dead_letter: no stock"):
        await context.spawn("reserve").result()
    with pytest.raises(ChildFailed, match="is dead_letter: no stock"):
        await context.gather(context.spawn("reserve").result())
    (outcome,) = await context.spawn_many("reserve", [1])
    assert (outcome["status"], outcome["error"]) == ("dead_letter", "no stock")


async def test_what_is_too_large_for_a_platform_is_refused_in_a_test() -> None:
    context, record = create_test_context()
    with pytest.raises(StraitError, match="state value must be at most 65536 bytes"):
        await context.state.set("k", "x" * 65_536)
    with pytest.raises(StraitError, match="request body is larger than 1048576 bytes"):
        await context.stream_chunk("x" * 1_048_576)
    assert record.state_store == {}
    assert record.stream_chunks == []

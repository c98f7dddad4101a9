"""What the host does for every way in which a handler can end."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import threading
import time

import pydantic
import pytest

from strait.authoring import (
    AgentOptions,
    JobOptions,
    RunContext,
    SyncRunContext,
    define_agent,
    define_job,
)
from strait.errors import NonRetryable, RetryAfter
from strait.reserved import event_state_key
from strait.retry import RetryOptions


async def test_a_value_is_the_result(hosting):
    async def run(payload, ctx):
        assert isinstance(ctx, RunContext)
        return {"sum": payload["a"] + 1}

    answer = await (await hosting(run))(payload={"a": 1})
    assert (answer.status_code, answer.json()) == (200, {"sum": 2})
    assert answer.headers["content-type"] == "application/json"


async def test_a_plain_function_runs_in_a_thread_with_a_context_that_blocks(hosting, platform):
    def run(payload, ctx):
        assert isinstance(ctx, SyncRunContext)
        ctx.checkpoint({"i": 1})
        ctx.state.set("k", [1])
        return [threading.current_thread() is threading.main_thread(), ctx.state.get("k")]

    answer = await (await hosting(run))()
    assert answer.json() == [False, [1]]
    assert platform.bodies("checkpoint") == [{"state": {"i": 1}, "source": "sdk"}]


@pytest.mark.parametrize("value", [None, 0, "", [], "text", 1.5, {"a": [True]}])
async def test_any_json_can_be_a_result(hosting, value):
    async def run(payload, ctx):
        return value

    answer = await (await hosting(run))()
    assert (answer.status_code, answer.json()) == (200, value)


async def test_models_and_dataclasses_become_json(hosting):
    class Model(pydantic.BaseModel):
        a: int = 1

    @dataclasses.dataclass
    class Data:
        b: int = 2

    async def run(payload, ctx):
        return [Model(), Data()]

    assert (await (await hosting(run))()).json() == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1, 2}, "type `set`"),
        (object(), "type `object`"),
        (float("nan"), "no JSON"),
        (b"x", "`bytes`"),
        ("half of a pair: \ud800", "surrogates not allowed"),
    ],
)
async def test_a_result_that_is_no_json_fails_the_run_for_good(hosting, platform, value, reason):
    async def run(payload, ctx):
        return {"value": value}

    answer = await (await hosting(run))()
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "NotJsonError"
    assert reason in answer.json()["error"]["message"]
    (failed,) = platform.bodies("fail")
    assert reason in failed["error"]


async def test_a_result_that_holds_itself_fails_the_run_for_good(hosting, platform):
    async def run(payload, ctx):
        value = []
        value.append(value)
        return value

    assert (await (await hosting(run))()).status_code == 500
    assert len(platform.bodies("fail")) == 1


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_an_exception_is_told_with_its_traceback_to_the_run_and_without_to_the_caller(
    hosting, platform, kind
):
    async def run_async(payload, ctx):
        raise ValueError("no such order")

    def run_plain(payload, ctx):
        raise ValueError("no such order")

    answer = await (await hosting(run_async if kind == "async" else run_plain))()
    assert answer.status_code == 500
    assert answer.json() == {"error": {"type": "ValueError", "message": "no such order"}}
    (event,) = platform.bodies("log")
    assert (event["level"], event["message"]) == ("error", "ValueError: no such order")
    assert event["data"]["type"] == "ValueError"
    assert "raise ValueError" in event["data"]["traceback"]
    assert "raise ValueError" not in answer.text


async def test_sys_exit_in_a_handler_is_a_failure_and_the_host_lives(hosting):
    async def run(payload, ctx):
        raise SystemExit(3)

    dispatch = await hosting(run)
    assert (await dispatch()).json()["error"]["type"] == "SystemExit"
    assert (await dispatch()).status_code == 500


async def test_a_cancellation_inside_of_a_handler_is_a_failure(hosting):
    async def run(payload, ctx):
        task = asyncio.create_task(asyncio.Event().wait())
        task.cancel()
        await task

    assert (await (await hosting(run))()).json()["error"]["type"] == "CancelledError"


@pytest.mark.parametrize("kind", [StopIteration, KeyboardInterrupt, GeneratorExit])
async def test_what_no_future_carries_is_told_when_a_thread_raises_it(hosting, kind):
    def run(payload, ctx):
        raise kind

    answer = await (await hosting(run))()
    assert answer.json()["error"]["message"] == f"the handler raised `{kind.__name__}`"


@pytest.mark.parametrize("fails_for_good", [False, True])
async def test_an_exception_whose_text_cannot_be_had_is_told_by_its_type(
    hosting, platform, fails_for_good
):
    class Odd(NonRetryable if fails_for_good else Exception):
        def __str__(self):
            raise ValueError("no text")

    async def run(payload, ctx):
        raise Odd

    answer = await (await hosting(run))()
    assert answer.json()["error"] == {"type": "Odd", "message": "its text cannot be had"}
    (event,) = platform.bodies("log")
    assert event["message"] == "Odd: its text cannot be had"


async def test_a_file_name_that_is_no_text_can_be_told(hosting, platform, caplog):
    # The log has it as it is, which pytest-xdist cannot send.
    caplog.set_level(logging.CRITICAL, "strait.serve")

    async def run(payload, ctx):
        raise FileNotFoundError("no file " + os.fsdecode(b"caf\xe9"))

    answer = await (await hosting(run))()
    assert answer.json()["error"]["message"] == "no file caf?"
    (event,) = platform.bodies("log")
    assert event["message"] == "FileNotFoundError: no file caf?"
    assert "no file caf?" in event["data"]["traceback"]


async def test_a_plain_function_that_returns_a_coroutine_is_told(hosting):
    async def work():
        return 1

    answer = await (await hosting(lambda payload, ctx: work()))()
    assert answer.status_code == 500
    assert "returned a coroutine" in answer.json()["error"]["message"]


async def test_non_retryable_fails_the_run(hosting, platform):
    async def run(payload, ctx):
        raise NonRetryable("card is stolen")

    answer = await (await hosting(run))()
    assert answer.status_code == 422
    assert answer.json() == {"error": {"type": "NonRetryable", "message": "card is stolen"}}
    assert platform.bodies("fail") == [{"error": "card is stolen"}]


async def test_what_can_never_work_fails_the_run(hosting, platform):
    tries = []

    async def inside(ctx):
        tries.append(1)
        await ctx.sleep(5)

    async def run(payload, ctx):
        await ctx.step("outer", inside, ctx, retry=RetryOptions(attempts=3))

    answer = await (await hosting(run))()
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "DefinitionError")
    assert "inside of step `outer`" in platform.bodies("fail")[0]["error"]
    assert tries == [1]


async def test_retry_after_says_when(hosting, platform):
    async def run(payload, ctx):
        raise RetryAfter(1.5, "the bank is closed")

    answer = await (await hosting(run))()
    assert answer.status_code == 429
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("2", "1500")
    assert answer.json() == {"error": {"type": "RetryAfter", "message": "the bank is closed"}}
    assert platform.calls == []


@pytest.mark.parametrize("afterwards", ["return", "raise"])
async def test_what_the_handler_called_stands(hosting, platform, afterwards):
    async def run(payload, ctx):
        await ctx.complete({"a": 1})
        if afterwards == "raise":
            raise ValueError("too late")
        return {"a": 2}

    answer = await (await hosting(run))()
    assert (answer.status_code, answer.json()) == (200, {})
    assert platform.operations == ["complete"]


async def test_fail_stands_too(hosting, platform):
    async def run(payload, ctx):
        await ctx.fail("no")
        raise NonRetryable("twice")

    answer = await (await hosting(run))()
    assert platform.operations == ["fail"]
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize("kind", ["async", "plain", "group"])
async def test_a_wait_ends_the_attempt_and_the_next_one_gets_the_payload(hosting, platform, kind):
    async def run_async(payload, ctx):
        return await ctx.wait_for_event("paid")

    async def run_group(payload, ctx):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ctx.wait_for_event("paid"))
        return task.result()

    def run_plain(payload, ctx):
        try:
            return ctx.wait_for_event("paid")
        except Exception:  # noqa: BLE001 - what users write
            return "swallowed"

    handlers = {"async": run_async, "plain": run_plain, "group": run_group}
    dispatch = await hosting(handlers[kind])
    answer = await dispatch()
    assert (answer.status_code, answer.json()) == (202, {})
    assert platform.bodies("wait-for-event") == [{"event_key": "paid"}]
    platform.state[event_state_key("paid", 0)] = {"event_key": "paid", "payload": {"n": 1}}
    again = await dispatch()
    assert (again.status_code, again.json()) == (200, {"n": 1})


async def test_a_handler_that_goes_on_after_its_run_waits_changes_nothing(hosting, platform):
    async def run(payload, ctx):
        try:
            await ctx.wait_for_event("paid")
        except BaseException:  # noqa: BLE001 - what nobody should write
            return "swallowed"

    answer = await (await hosting(run))()
    assert (answer.status_code, answer.json()) == (202, {})


async def test_logs_are_sent_before_the_answer(hosting, platform):
    async def run(payload, ctx):
        ctx.logger.info("hello %s", "world")

    await (await hosting(run))()
    assert [body["message"] for body in platform.bodies("log")] == ["hello world"]


async def test_a_plain_handlers_logs_are_sent_too(hosting, platform):
    def run(payload, ctx):
        for i in range(5):
            ctx.logger.debug("line %d", i)

    await (await hosting(run))()
    assert [body["message"] for body in platform.bodies("log")] == [f"line {i}" for i in range(5)]


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_the_deadline_of_the_platform_ends_a_handler(hosting, platform, kind):
    release = threading.Event()
    cancelled = []

    async def run_async(payload, ctx):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    def run_plain(payload, ctx):
        release.wait(30)
        return "too late"

    dispatch = await hosting(run_async if kind == "async" else run_plain)
    answer = await dispatch(X_Strait_Timeout_Secs="0.05")
    release.set()
    assert answer.status_code == 504
    message = "the handler of job `j` took over 0.05 s"
    assert answer.json() == {"error": {"type": "TimeoutError", "message": message}}
    assert cancelled == ([True] if kind == "async" else [])
    assert platform.bodies("log")[0]["message"] == f"TimeoutError: {message}"


async def test_a_timeout_error_of_the_handlers_own_is_an_ordinary_failure(hosting):
    async def run(payload, ctx):
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    assert (await (await hosting(run, timeout_secs=30))()).status_code == 500


async def test_the_context_knows_the_dispatch(hosting):
    async def run(payload, ctx):
        return {
            "run": ctx.run_id,
            "job": ctx.job_id,
            "attempt": ctx.attempt,
            "payload": ctx.payload,
            "checkpoint": ctx.last_checkpoint,
            "error": ctx.previous_error,
            "secrets": dict(ctx.secrets),
            "left": 0 < ctx.deadline - time.time() <= 7,
        }

    answer = await (await hosting(run, timeout_secs=300))(
        payload={"a": 1},
        X_Attempt="3",
        X_Last_Checkpoint='{"i": 2}',
        X_Previous_Error="ValueError: b\u00e4h".encode(),
        X_Secret_API_KEY="s3cret",
        X_Strait_Timeout_Secs="7",
    )
    assert answer.json() == {
        "run": "run_1",
        "job": "job_1",
        "attempt": 3,
        "payload": {"a": 1},
        "checkpoint": {"i": 2},
        "error": "ValueError: b\u00e4h",
        "secrets": {"API-KEY": "s3cret"},
        "left": True,
    }


async def test_a_child_belongs_to_the_project_of_the_host(hosting, platform):
    async def run(payload, ctx):
        await ctx.spawn("child", payload={"n": 1})

    await (await hosting(run))()
    (body,) = platform.bodies("spawn")
    assert body == {
        "job_slug": "child",
        "project_id": "proj-1",
        "payload": {"n": 1},
        "spawn_key": "0:child",
    }


async def test_calls_carry_the_token_of_their_run(hosting, platform):
    async def run(payload, ctx):
        await ctx.heartbeat()

    dispatch = await hosting(run)
    await asyncio.gather(*(dispatch(X_Run_Token=f"token-{i}") for i in range(3)))
    assert sorted(auth for *_, auth in platform.calls) == [f"Bearer token-{i}" for i in range(3)]


async def test_without_a_token_a_handler_that_needs_none_works_and_others_are_told(hosting):
    async def run(payload, ctx):
        if payload:
            await ctx.heartbeat()
        return "fine"

    dispatch = await hosting(run)
    assert (await dispatch(X_Run_Token=None)).json() == "fine"
    answer = await dispatch(payload={"a": 1}, X_Run_Token=None)
    assert "had no `X-Run-Token`" in answer.json()["error"]["message"]


class Hooks:
    def __init__(self):
        self.called = []

    async def on_start(self, payload, ctx):
        self.called.append(("start", payload, type(ctx).__name__))

    def on_success(self, payload, result, ctx):
        self.called.append(("success", payload, result, type(ctx).__name__))

    async def on_failure(self, payload, error, ctx):
        self.called.append(("failure", payload, str(error)))


def hooked(hooks, run):
    named = {name: getattr(hooks, name) for name in ("on_start", "on_success", "on_failure")}
    return [define_job(JobOptions(name="J", slug="j", run=run, **named))]


async def test_hooks_are_called_around_a_success(hosting):
    hooks = Hooks()

    async def run(payload, ctx):
        return "ok"

    assert (await (await hosting(jobs=hooked(hooks, run)))()).json() == "ok"
    assert hooks.called == [
        ("start", {}, "RunContext"),
        ("success", {}, "ok", "SyncRunContext"),
    ]


async def test_hooks_are_called_around_a_failure(hosting):
    hooks = Hooks()

    def run(payload, ctx):
        raise ValueError("broken")

    assert (await (await hosting(jobs=hooked(hooks, run)))()).status_code == 500
    assert hooks.called == [("start", {}, "RunContext"), ("failure", {}, "broken")]


async def test_a_start_hook_that_raises_fails_the_attempt(hosting):
    def refuse(payload, ctx):
        raise PermissionError("not today")

    job = define_job(JobOptions(name="J", slug="j", run=print, on_start=refuse))
    assert (await (await hosting(jobs=[job]))()).json()["error"]["type"] == "PermissionError"


async def test_hooks_afterwards_change_nothing_by_raising(hosting):
    def broken(*args):
        raise ValueError("hook")

    async def run(payload, ctx):
        return payload["a"]

    job = define_job(JobOptions(name="J", slug="j", run=run, on_success=broken, on_failure=broken))
    dispatch = await hosting(jobs=[job])
    assert (await dispatch(payload={"a": 1})).json() == 1
    assert (await dispatch()).json() == {"error": {"type": "KeyError", "message": "'a'"}}


async def test_a_platform_that_cannot_be_told_does_not_hold_up_the_answer(hosting, platform):
    platform.refuse = {"log": 503, "fail": 401}

    async def run(payload, ctx):
        raise NonRetryable("no")

    answer = await (await hosting(run))()
    assert answer.status_code == 422
    assert json.loads(answer.text)["error"]["message"] == "no"


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_agents_are_hosted_with_their_own_context(hosting, platform, kind):
    platform.refuse = {"usage": 404}

    async def run_async(payload, ctx):
        await ctx.checkpoint({"i": 1})
        await ctx.report_usage("p", "m", cost_microusd=5)
        return [ctx.iteration, ctx.accumulated_cost_microusd(), ctx.is_budget_exceeded()]

    def run_plain(payload, ctx):
        ctx.checkpoint({"i": 1})
        ctx.report_usage("p", "m", cost_microusd=5)
        return [ctx.iteration, ctx.accumulated_cost_microusd(), ctx.is_budget_exceeded()]

    handler = run_async if kind == "async" else run_plain
    agent = define_agent(AgentOptions(name="J", slug="j", run=handler, max_cost_microusd=5))
    dispatch = await hosting(jobs=[agent])
    assert (await dispatch()).json() == [1, 5, True]
    assert (await dispatch()).json() == [1, 5, True]
    # The host remembers that this platform takes no usage reports.
    assert platform.operations.count("usage") == 1


async def test_an_agent_over_its_iterations_fails_its_run_for_good(hosting, platform):
    async def run(payload, ctx):
        while True:
            await ctx.checkpoint({"i": ctx.iteration})

    agent = define_agent(AgentOptions(name="J", slug="j", run=run, max_iterations=2))
    answer = await (await hosting(jobs=[agent]))()
    assert answer.status_code == 422
    assert platform.bodies("fail")[0]["error"].startswith("the agent began iteration 3")

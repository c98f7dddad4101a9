"""How an attempt that is to end is told, by whom, and what becomes of one that goes on."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from strait.errors import ApiError
from strait.serve.attempts import Rules

ENDED = (410, "run has reached a terminal state")
OFTEN = {"heartbeat_secs": 0.01}


def told(caplog):
    return [record.getMessage() for record in caplog.records if "is told to" in record.msg]


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_heartbeat_tells_a_handler_that_its_run_has_ended(hosting, platform, caplog, kind):
    hooks = []

    async def awaits(payload, ctx):
        assert await ctx.wait_cancelled(60)
        return [ctx.cancelled, ctx.cancel_reason]

    def plain(payload, ctx):
        assert ctx.wait_cancelled(60)
        return [ctx.cancelled, ctx.cancel_reason]

    platform.refuse["heartbeat"] = ENDED
    run = awaits if kind == "async" else plain
    dispatch = await hosting(run, of_host=OFTEN, on_success=lambda *_: hooks.append("success"))
    answer = await dispatch()
    assert answer.json() == [True, "the run has ended"]
    assert hooks == []
    (line,) = told(caplog)
    assert line == (
        "run run_1, attempt 1: the run has ended; the handler of job `j` is told to stop, "
        "and what it returns is discarded"
    )


async def test_an_async_handler_that_goes_on_is_cancelled_after_the_grace(hosting, platform):
    ends = []

    async def run(payload, ctx):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append(ctx.cancel_reason)
            raise

    platform.refuse["heartbeat"] = ENDED
    dispatch = await hosting(
        run,
        of_host={**OFTEN, "cancel_grace_secs": 0.01},
        on_failure=lambda *_: ends.append("failure"),
    )
    answer = await dispatch()
    assert (answer.status_code, answer.json()["error"]) == (
        409,
        {"type": "AttemptOutlived", "message": "the run has ended"},
    )
    assert ends == ["the run has ended"]
    assert "fail" not in platform.operations


async def test_a_thread_cannot_be_ended_and_is_left_to_itself(hosting, platform):
    release, over = threading.Event(), threading.Event()

    def run(payload, ctx):
        release.wait(60)
        over.set()

    platform.refuse["heartbeat"] = ENDED
    dispatch = await hosting(run, of_host={**OFTEN, "cancel_grace_secs": 0.01})
    assert (await dispatch()).status_code == 409
    assert not over.is_set()
    release.set()
    assert await asyncio.to_thread(over.wait, 60)


async def test_somebody_may_cancel_an_attempt(hosting, platform):
    began, failures = asyncio.Event(), []

    async def run(payload, ctx):
        began.set()
        await asyncio.Event().wait()

    dispatch = await hosting(
        run,
        of_host={"cancel_grace_secs": 0},
        on_failure=lambda payload, error, ctx: failures.append(str(error)),
    )
    executor = dispatch.host._executor
    answer = asyncio.create_task(dispatch())
    await began.wait()
    assert not executor.cancel("run_2", "drain")
    assert not executor.cancel("run_1", "drain", attempt=2)
    assert executor.cancel("run_1", "drain", attempt=1)
    assert not executor.cancel("run_1", "again")
    said = await answer
    assert (said.status_code, said.json()["error"]["type"]) == (503, "AttemptCancelled")
    assert failures == ["drain"]
    assert not executor.cancel("run_1", "too late")


async def test_a_cancelled_attempt_whose_run_is_over_is_reported_to_nobody(hosting, platform):
    began = asyncio.Event()

    async def run(payload, ctx):
        began.set()
        await ctx.wait_cancelled()
        raise ValueError("while it cleaned up")

    dispatch = await hosting(run)
    answer = asyncio.create_task(dispatch())
    await began.wait()
    assert dispatch.host._executor.cancel("run_1", "the run was canceled", outlived=True)
    assert (await answer).json()["error"]["message"] == "the run was canceled"
    assert platform.calls == []


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_handler_knows_that_its_time_is_over(hosting, kind):
    seen, over = [], threading.Event()

    async def awaits(payload, ctx):
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(ctx.cancel_reason)
            over.set()

    def plain(payload, ctx):
        ctx.wait_cancelled(60)
        seen.append(ctx.cancel_reason)
        over.set()

    dispatch = await hosting(awaits if kind == "async" else plain)
    answer = await dispatch(**{"X-Strait-Timeout-Secs": "0.05"})
    assert answer.status_code == 504
    assert await asyncio.to_thread(over.wait, 60)
    assert seen == ["timed out after 0.05 s"]


async def test_any_call_of_the_context_finds_out(hosting, platform, caplog):
    async def run(payload, ctx):
        with pytest.raises(ApiError):
            await ctx.checkpoint({})
        with pytest.raises(ApiError):
            await ctx.checkpoint({})
        return ctx.cancel_reason

    platform.refuse["checkpoint"] = (410, "run has reached a terminal state")
    assert (await (await hosting(run))()).json() == "the run has ended"
    assert len(told(caplog)) == 1


async def test_an_error_of_the_context_that_goes_through_is_no_failure_of_the_run(
    hosting, platform
):
    async def run(payload, ctx):
        await ctx.checkpoint({})

    platform.refuse["checkpoint"] = (401, "run token assignment mismatch")
    answer = await (await hosting(run))()
    assert answer.json()["error"]["message"] == "the run was dispatched again"
    assert platform.operations == ["checkpoint"]


async def test_a_platform_that_takes_no_heartbeats_ends_nobody(hosting, platform, caplog):
    async def run(payload, ctx):
        return await ctx.wait_cancelled(0.1)

    platform.refuse["heartbeat"] = (401, "invalid api key")
    assert (await (await hosting(run, of_host=OFTEN))()).json() is False
    assert platform.operations == ["heartbeat"]
    assert "heartbeats are refused: invalid api key" in caplog.text


async def test_heartbeats_go_by_themselves(hosting, platform):
    async def run(payload, ctx):
        while len(platform.calls) < 3:
            platform.heartbeat.clear()
            await platform.heartbeat.wait()

    assert (await (await hosting(run, of_host=OFTEN))()).status_code == 200
    assert set(platform.operations) == {"heartbeat"}


@pytest.mark.parametrize("of_host", [{}, {"heartbeat_secs": 0}])
async def test_quick_attempts_send_none(hosting, platform, of_host):
    async def run(payload, ctx):
        await asyncio.sleep(0.02)

    await (await hosting(run, of_host=of_host))()
    assert platform.calls == []


async def test_who_has_no_token_sends_none(hosting, platform):
    async def run(payload, ctx):
        await asyncio.sleep(0.05)

    await (await hosting(run, of_host=OFTEN))(**{"X-Run-Token": None})
    assert platform.calls == []


async def test_a_handler_that_has_ended_its_run_itself_is_told_nothing(hosting, platform, caplog):
    async def run(payload, ctx):
        await ctx.complete(1)
        platform.refuse["heartbeat"] = ENDED
        with pytest.raises(ApiError):
            await ctx.heartbeat()
        assert not await ctx.wait_cancelled(0.05)

    assert (await (await hosting(run, of_host=OFTEN))()).json() == {}
    assert told(caplog) == []


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (None, "the platform closed the connection of its dispatch"),
        (ENDED, "the run has ended"),
    ],
)
async def test_a_closed_connection_tells(hosting, platform, refused, reason):
    seen = []

    async def run(payload, ctx):
        await ctx.wait_cancelled(60)
        seen.append(ctx.cancel_reason)

    if refused:
        platform.refuse["heartbeat"] = refused
    dispatch = await hosting(run)
    messages = iter([{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}])

    async def receive():
        return next(messages)

    async def send(message):
        pass

    headers = [(b"x-run-id", b"run_1"), (b"x-run-token", b"a.b.c")]
    scope = {"type": "http", "method": "POST", "path": "/jobs/j", "headers": headers}
    await dispatch.host(scope, receive, send)
    assert seen == [reason]


async def test_nobody_is_ended_while_somebody_debugs(hosting, platform, caplog):
    began, release = asyncio.Event(), asyncio.Event()

    async def run(payload, ctx):
        began.set()
        await release.wait()
        return ctx.cancel_reason

    dispatch = await hosting(run, of_host={"cancel_grace_secs": 0})
    dispatch.host.hold_deadlines(hold=True)
    answer = asyncio.create_task(dispatch(**{"X-Strait-Timeout-Secs": "0.01"}))
    await began.wait()
    dispatch.host._executor.cancel("run_1", "drain")
    await asyncio.sleep(0.03)
    release.set()
    assert (await answer).json() == "drain"


@pytest.mark.parametrize("name", ["heartbeat_secs", "cancel_grace_secs"])
@pytest.mark.parametrize("value", [-1, float("nan")])
def test_rules_that_cannot_be_are_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be a number, 0 or more"):
        Rules(**{name: value})


@pytest.fixture(autouse=True)
def _listening(caplog):
    caplog.set_level(logging.INFO, "strait.serve")

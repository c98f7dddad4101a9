"""A handler that is told to end, as unit tests of handlers see it, and the object behind it."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time

import pytest

from strait.authoring import create_test_context
from strait.authoring.cancellation import Cancellation, outlived
from strait.errors import map_http_error
from strait.testing import run_context


def test_a_context_is_not_cancelled_until_somebody_tells():
    ctx, record = create_test_context(sync=True)
    assert (ctx.cancelled, ctx.cancel_reason, ctx.wait_cancelled(0)) == (False, "", False)
    record.cancel("the order was withdrawn")
    assert (ctx.cancelled, ctx.cancel_reason) == (True, "the order was withdrawn")
    assert ctx.wait_cancelled()


def test_a_plain_handler_that_waits_is_woken_from_another_thread():
    ctx, record = create_test_context(sync=True)
    threading.Timer(0.01, record.cancel).start()
    assert ctx.wait_cancelled(30)
    assert ctx.cancel_reason == "canceled by the test"


async def test_an_async_handler_that_waits_is_woken_from_another_thread():
    async with run_context() as ctx:
        waits = [asyncio.create_task(ctx.wait_cancelled()) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.to_thread(ctx.record.cancel, "enough")
        assert await asyncio.gather(*waits) == [True, True]
        assert await ctx.wait_cancelled(0)


async def test_an_async_wait_ends_with_its_time():
    ctx, _ = create_test_context()
    assert not await ctx.wait_cancelled(0.001)


def test_the_first_reason_stands():
    cancellation = Cancellation()
    assert cancellation.tell("first")
    assert not cancellation.tell("second")
    assert cancellation.reason == "first"


def test_a_reason_is_needed():
    with pytest.raises(ValueError, match="`reason` is empty"):
        Cancellation().tell("")


def test_who_listens_late_is_told_at_once():
    heard = []
    cancellation = Cancellation()
    cancellation.tell("over")
    cancellation.listen(lambda: heard.append(1))
    assert heard == [1]


def test_what_is_left_of_the_time():
    ctx, _ = create_test_context()
    assert (ctx.deadline, ctx.remaining_secs) == (None, None)
    ctx._session.deadline = time.time() + 50
    assert 40 < ctx.remaining_secs <= 50
    ctx._session.deadline = time.time() - 50
    assert ctx.remaining_secs == 0


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (410, "run has reached a terminal state", "the run has ended"),
        (401, "run token attempt is stale", "a later attempt of the run has begun"),
        (401, "run token assignment mismatch", "the run was dispatched again"),
        (409, "run is not active for this SDK token", "the run is executed no more"),
        (404, "run not found", "the run was deleted"),
        (401, "invalid api key", ""),
        (404, "state key not found", ""),
        (410, "gone", ""),
        (500, "run not found", ""),
    ],
)
def test_only_the_platforms_own_words_say_that_an_attempt_is_outlived(status, text, reason):
    assert outlived(map_http_error(status, text)) == reason
    assert outlived(pickle.loads(pickle.dumps(map_http_error(status, text)))) == reason

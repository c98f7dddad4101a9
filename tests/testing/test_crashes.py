"""`crash_everywhere`: what stands a crash passes, and each way not to stand one is found."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from strait.authoring import (
    EventTimeout,
    JobOptions,
    RunContext,
    SyncRunContext,
    current_step,
    define_job,
)
from strait.authoring.harness import TIMED_OUT
from strait.authoring.validation import DefinitionError
from strait.errors import NonRetryable
from strait.testing import DoubledEffect, crash_everywhere, crash_everywhere_async


class Bank:
    """A payment provider: it counts calls, and charges once for each idempotency key."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def charge(self, cents: int) -> int:
        self.calls.append(current_step().idempotency_key)
        return cents


def double(number: int) -> int:
    return 2 * number


async def wait_a_moment() -> str:
    await asyncio.sleep(0)
    return "moment"


# ------------------------------------------------------------------------------- what stands it


def test_a_handler_of_every_kind_of_effect_stands_it() -> None:
    async def handler(payload: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
        version = await ctx.version("new-prices")
        first = await ctx.step("double", double, payload["n"])
        second = await ctx.step("double", double, first)
        await ctx.sleep(3 * 86_400)
        paid = await ctx.wait_for_event("paid", timeout=60)
        with pytest.raises(EventTimeout):
            await ctx.wait_for_event("never", timeout=60)
        child = await ctx.spawn("pack", project_id="p").result()
        together = await ctx.gather(ctx.step("a", wait_a_moment), ctx.step("b", wait_a_moment))
        mapped = await ctx.map(double, [1, 2, 3], key=str)
        return {
            "version": version,
            "second": second,
            "paid": paid,
            "child": child,
            "together": together,
            "mapped": mapped,
        }

    report = crash_everywhere(
        handler,
        {"n": 2},
        events={"paid": {"cents": 450}, "never": TIMED_OUT},
        children={"pack": "packed"},
        unrecorded=True,
    )
    assert report.status == "completed"
    assert report.result == {
        "version": 1,
        "second": 8,
        "paid": {"cents": 450},
        "child": "packed",
        "together": ["moment", "moment"],
        "mapped": [2, 4, 6],
    }
    assert report.calls == {
        "step `double`": 1,
        "step `double` (2)": 1,
        "step `a`": 1,
        "step `b`": 1,
        **{f"step `double[{n}]`": 1 for n in (1, 2, 3)},
    }
    # Version, 7 steps, both ends of the sleep, the child; and once more before each step.
    assert len(report.crashes) == 1 + 7 + 2 + 1 + 7
    assert report.crashes[:3] == (
        "behind version `new-prices`",
        "before step `double` was recorded",
        "behind step `double`",
    )


def test_a_plain_handler_stands_it() -> None:
    bank = Bank()

    def handler(payload: dict[str, Any], ctx: SyncRunContext) -> int:
        ctx.sleep(60)
        return sum(ctx.map(bank.charge, payload["cents"], key=str))

    report = crash_everywhere(handler, {"cents": [1, 2]}, unrecorded=True)
    assert report.result == 3
    # One life without a crash, one for each of 4 effects, and one before each of the 2 steps, in
    # which the step that was not recorded is called twice.
    assert len(report.crashes) == 6
    assert len(bank.calls) == 2 * 7 + 2
    assert len(set(bank.calls)) == 2


async def test_it_runs_in_the_loop_of_the_test() -> None:
    ours = asyncio.get_running_loop()

    async def handler(payload: object, ctx: RunContext) -> bool:
        return await ctx.step("loop", same_loop)

    async def same_loop() -> bool:
        return asyncio.get_running_loop() is ours

    assert (await crash_everywhere_async(handler)).result is True


def test_undoing_stands_it() -> None:
    undone: list[str] = []

    async def handler(payload: object, ctx: RunContext) -> None:
        await ctx.step("reserve", double, 1, undo=lambda kept: undone.append("release"))
        await ctx.step("charge", double, 2, undo=lambda kept: undone.append("refund"))
        raise NonRetryable("the address is wrong")

    report = crash_everywhere(handler)
    assert (report.status, report.error) == ("failed", "the address is wrong")
    assert report.crashes == (
        "behind step `reserve`",
        "behind step `charge`",
        "behind step `undo:charge`",
        "behind step `undo:reserve`",
    )
    assert undone.count("refund") == undone.count("release") == 5


def test_failed_attempts_are_tried_again_as_the_job_says() -> None:
    async def handler(payload: object, ctx: RunContext) -> int:
        await ctx.step("double", double, 1)
        if ctx.attempt < 3:
            raise ConnectionError("not yet")
        return ctx.attempt

    job = define_job(
        JobOptions(
            name="Third", slug="third", run=handler, endpoint_url="http://localhost", max_attempts=3
        )
    )
    assert crash_everywhere(job).result == 3


def test_what_outlives_a_crash_records_nothing() -> None:
    """A branch that is not awaited goes on behind a crash in a real process's memory only."""

    async def slow(ctx: RunContext) -> None:
        try:
            await ctx.step("left", wait_a_moment)
        except BaseException:  # noqa: BLE001 - a handler that holds on to everything
            await ctx.step("last words", wait_a_moment)

    async def handler(payload: object, ctx: RunContext) -> str:
        left = asyncio.create_task(slow(ctx))
        await ctx.step("first", wait_a_moment)
        await left
        return "done"

    assert crash_everywhere(handler).result == "done"


# ----------------------------------------------------------------------------------- what does not


def test_a_step_with_a_name_of_its_own_each_time_is_found() -> None:
    numbers = itertools.count()

    async def handler(payload: object, ctx: RunContext) -> None:
        await ctx.step(f"charge-{next(numbers)}", double, 1)
        await ctx.step("mail", double, 2)

    with pytest.raises(DoubledEffect) as found:
        crash_everywhere(handler)
    (first, *_rest) = found.value.faults
    assert first.startswith("behind step `charge-1`: step `charge-0` was carried out never, not")


def test_arguments_that_differ_are_found_by_name() -> None:
    numbers = itertools.count()

    async def handler(payload: object, ctx: RunContext) -> None:
        await ctx.step("charge", double, next(numbers))
        await ctx.step("mail", double, 2)

    with pytest.raises(DoubledEffect, match=r"behind step `charge`: .*step `charge` at test_crash"):
        crash_everywhere(handler)


def test_what_is_reported_outside_of_a_step_is_found() -> None:
    async def handler(payload: object, ctx: RunContext) -> None:
        await ctx.report_usage(provider="openai", model="gpt", total_tokens=10)
        await ctx.step("mail", double, 2)

    with pytest.raises(DoubledEffect, match="usage reports: 2, not 1; outside of a step"):
        crash_everywhere(handler)


def test_a_result_made_outside_of_a_step_is_found_unless_it_may_differ() -> None:
    numbers = itertools.count()

    async def handler(payload: object, ctx: RunContext) -> int:
        await ctx.step("mail", double, 2)
        return next(numbers)

    with pytest.raises(DoubledEffect, match="the result is 1, and 0 without the crash"):
        crash_everywhere(handler)
    assert crash_everywhere(handler, same_result=False).status == "completed"


def test_a_handler_that_ends_otherwise_is_found() -> None:
    seen: list[int] = []

    async def handler(payload: object, ctx: RunContext) -> None:
        seen.append(1)
        await ctx.step("mail", double, 2)
        if len(seen) > 1:
            raise NonRetryable("I have been here before")

    with pytest.raises(DoubledEffect, match=r"the run failed .I have been here before., and compl"):
        crash_everywhere(handler)


# ------------------------------------------------------------------------------------- bad input


def test_what_is_not_scripted_is_named() -> None:
    async def handler(payload: object, ctx: RunContext) -> None:
        await ctx.wait_for_event("paid", timeout=60)

    with pytest.raises(LookupError, match="no event `paid` is scripted; give `events="):
        crash_everywhere(handler)


def test_a_job_without_a_handler_is_refused() -> None:
    job = define_job(JobOptions(name="Far", slug="far", endpoint_url="http://localhost"))
    with pytest.raises(DefinitionError, match="job `far` has no handler"):
        crash_everywhere(job)

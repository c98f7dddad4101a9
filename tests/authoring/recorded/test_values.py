"""What a step may be asked with and may return: what JSON has, and what it writes otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from authoring.recorded.attempts import Counter, Run
from strait.authoring import RunContext, StepFailed, StepMismatch
from strait.errors import NonRetryable


class Plain(Enum):
    """An enum that is no text by itself."""

    TEA = "tea"
    CUP = "cup"


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.mark.parametrize(
    "asked",
    [
        float("nan"),
        "half \ud800",
        {1: "x", "b": 2},
        {("a", 1): "x"},
        [{"deep": {None: 1, "x": float("inf")}}],
    ],
    ids=repr,
)
async def test_a_step_is_recorded_whatever_it_was_asked_with(run: Run, asked: object) -> None:
    charge = Counter()

    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("charge", charge, asked)

    assert await run.attempt(handler) == 1
    assert await run.attempt(handler) == 1
    for value in run.runs.kept.values():
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Decimal("4.50"), Decimal("5.40")),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
        (timedelta(days=1), timedelta(days=2)),
        (UUID(int=1), UUID(int=2)),
        ({"of": Plain.TEA}, {"of": Plain.CUP}),
        ({1: "x", "b": 2}, {1: "y", "b": 2}),
    ],
    ids=repr,
)
async def test_arguments_that_json_writes_in_another_way_are_compared(
    run: Run, before: object, after: object
) -> None:
    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("s", Counter(), before if ctx.attempt != 2 else after)

    await run.attempt(handler)
    with pytest.raises(StepMismatch):
        await run.attempt(handler)
    assert await run.attempt(handler) == 1


async def test_half_a_surrogate_pair_in_a_result_is_not_done_again(run: Run) -> None:
    charge = Counter("half \ud800")

    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("charge", charge)

    with pytest.raises(NonRetryable, match="the result of step `charge` cannot be recorded"):
        await run.attempt(handler)
    with pytest.raises(StepFailed):
        await run.attempt(handler)
    assert len(charge.calls) == 1


async def test_a_failure_whose_text_no_platform_takes_is_recorded(run: Run) -> None:
    charge = Counter(NonRetryable("half \ud800"))

    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("charge", charge)

    with pytest.raises(NonRetryable):
        await run.attempt(handler)
    with pytest.raises(StepFailed, match=r"half \?"):
        await run.attempt(handler)
    assert len(charge.calls) == 1


@dataclass
class Bill:
    """A result with fields that JSON writes in another way."""

    at: datetime
    total: Decimal
    kind: Plain


class Point(NamedTuple):
    """A result that JSON takes for a list."""

    x: int
    y: int


def bill() -> Bill:
    return Bill(datetime(2026, 1, 1, tzinfo=UTC), Decimal("4.50"), Plain.TEA)


def instant() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


def kinds() -> dict[str, Plain]:
    return {"first": Plain.TEA}


def point() -> Point:
    return Point(1, 2)


def names() -> set[str]:
    return {"b", "a"}


@pytest.mark.parametrize("function", [bill, instant, kinds, point, names])
async def test_a_result_is_what_its_annotation_says(run: Run, function: Any) -> None:
    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("s", function)

    expected = function()
    for _ in range(2):
        got = await run.attempt(handler)
        assert got == expected
        assert type(got) is type(expected)


async def test_a_set_is_a_list_without_an_annotation(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        return await ctx.step("s", Counter({"b", "a"}))

    assert await run.attempt(handler) == ["a", "b"]


async def test_a_result_without_an_annotation_says_that_one_would_do(run: Run) -> None:
    async def handler(ctx: RunContext) -> Any:
        await ctx.step("now", Counter(instant()))

    with pytest.raises(NonRetryable, match="`datetime` is no JSON; return JSON, or annotate"):
        await run.attempt(handler)

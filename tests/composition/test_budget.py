"""Cost budgets within one process."""

from __future__ import annotations

import logging
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait import CostBudgetExceededError
from strait.composition import (
    CostBudgetOptions,
    CostTracker,
    create_cost_tracker,
    with_cost_budget,
)
from strait.errors import ValidationError

from .conftest import AWAITABLES


def tracker(most: int = 100, **options: Any) -> CostTracker:
    return create_cost_tracker(CostBudgetOptions(most, **options))


def test_costs_are_counted() -> None:
    made = tracker()
    made.add(30)
    made.add(0)
    made.add(40)
    assert (made.current(), made.remaining(), made.is_exceeded()) == (70, 30, False)


@pytest.mark.parametrize("last", [70, 71])
def test_to_reach_the_budget_is_to_exceed_it(last: int) -> None:
    made = tracker()
    made.add(30)
    with pytest.raises(CostBudgetExceededError, match=f"{30 + last} of 100 micro-USD") as raised:
        made.add(last)
    error = pickle.loads(pickle.dumps(raised.value))
    assert (error.current_cost_microusd, error.max_cost_microusd) == (30 + last, 100)
    assert (made.current(), made.remaining(), made.is_exceeded()) == (30 + last, 0, True)


def test_what_was_spent_stays_spent_and_every_further_cost_raises() -> None:
    made = tracker()
    for _ in range(2):
        with pytest.raises(CostBudgetExceededError):
            made.add(150)
    assert made.current() == 300


def test_a_budget_of_nothing_is_spent_from_the_start() -> None:
    made = tracker(0)
    assert made.is_exceeded()
    with pytest.raises(CostBudgetExceededError):
        made.add(0)


@pytest.mark.parametrize("cost", [-80, 1.5, "5", None, True])
def test_a_cost_that_is_none_is_refused_and_not_counted(cost: Any) -> None:
    made = tracker()
    with pytest.raises(ValidationError, match="`cost_microusd` must be a whole number"):
        made.add(cost)
    assert made.current() == 0


@pytest.mark.parametrize(
    "options",
    [
        {"max_cost_microusd": -1},
        {"max_cost_microusd": 1.5},
        {"max_cost_microusd": 1, "warning_threshold": 1.1},
        {"max_cost_microusd": 1, "warning_threshold": -0.1},
        {"max_cost_microusd": 1, "warning_threshold": float("nan")},
    ],
)
def test_options_out_of_range_are_refused(options: Any) -> None:
    with pytest.raises(ValidationError):
        CostBudgetOptions(**options)


def test_a_warning_that_would_have_to_be_awaited_is_refused() -> None:
    async def warn(current: int, most: int) -> None:
        raise AssertionError("nobody awaits it")

    with pytest.raises(ValidationError, match="`on_warning` must be a plain function"):
        CostBudgetOptions(1, on_warning=warn)


def test_the_threshold_warns_once() -> None:
    warned: list[tuple[int, int]] = []
    made = tracker(on_warning=lambda *seen: warned.append(seen))
    made.add(79)
    assert warned == []
    made.add(1)
    made.add(10)
    assert warned == [(80, 100)]


def test_the_warning_comes_before_the_error() -> None:
    warned: list[tuple[int, int]] = []
    with pytest.raises(CostBudgetExceededError):
        tracker(on_warning=lambda *seen: warned.append(seen)).add(100)
    assert warned == [(100, 100)]


def test_a_warning_that_fails_is_logged_and_goes_no_further(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def warn(current: int, most: int) -> None:
        raise RuntimeError("no pager")

    made = tracker(on_warning=warn)
    with caplog.at_level(logging.WARNING, "strait.composition"):
        made.add(90)
    assert made.current() == 90
    assert "no pager" in caplog.text


def test_the_warning_may_ask_the_tracker() -> None:
    seen: list[int] = []
    made = tracker(on_warning=lambda *_: seen.append(made.remaining()))
    made.add(85)
    assert seen == [15]


def test_threads_lose_no_cost_and_one_of_them_warns() -> None:
    warned: list[int] = []
    made = tracker(10_000_000, warning_threshold=0.0001, on_warning=lambda *_: warned.append(1))
    barrier = threading.Barrier(4)

    def spend() -> None:
        barrier.wait()
        for _ in range(2000):
            made.add(3)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.current() == 24_000
    assert warned == [1]


@given(costs=st.lists(st.integers(0, 50)), most=st.integers(0, 200))
def test_the_tracker_raises_exactly_when_the_sum_has_reached_the_budget(
    costs: list[int], most: int
) -> None:
    made, total = tracker(most), 0
    for cost in costs:
        total += cost
        if total >= most:
            with pytest.raises(CostBudgetExceededError):
                made.add(cost)
        else:
            made.add(cost)
        assert made.current() == total
        assert made.remaining() == max(0, most - total)


async def test_a_function_gets_a_tracker_of_its_own() -> None:
    async def work(tracker: CostTracker) -> int:
        tracker.add(40)
        return tracker.remaining()

    options = CostBudgetOptions(100)
    assert await with_cost_budget(work, options) == 60
    assert await with_cost_budget(work, options) == 60


@pytest.mark.parametrize("awaitable", [*AWAITABLES, lambda answer: answer()])
async def test_a_function_may_return_anything(awaitable: Any) -> None:
    assert await with_cost_budget(lambda _: awaitable(lambda: 5), CostBudgetOptions(1)) == 5


async def test_the_error_of_the_budget_ends_the_function() -> None:
    after = []

    async def work(tracker: CostTracker) -> None:
        tracker.add(100)
        after.append("not reached")

    with pytest.raises(CostBudgetExceededError):
        await with_cost_budget(work, CostBudgetOptions(100))
    assert after == []

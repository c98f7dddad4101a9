"""Cost budgets that survive a crash."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait import (
    ApiError,
    CostBudgetExceededError,
    NotFoundError,
    StraitError,
    UnsupportedByPlatform,
)
from strait.authoring import create_test_context
from strait.composition import (
    CostBudgetOptions,
    DurableCostBudget,
    SyncDurableCostBudget,
)
from strait.errors import ValidationError

from .conftest import lost
from .states import State, SyncState, opened


async def test_a_call_is_reserved_before_and_settled_after() -> None:
    state = State()
    budget = await opened(state)
    async with budget.call(40) as call:
        assert [*state.entries["cost_budget"]["calls"].values()] == [40]
        assert (budget.current(), budget.remaining()) == (40, 60)
        call.cost(25)
    assert (state.entries["cost_budget"]["spent"], state.entries["cost_budget"]["calls"]) == (
        25,
        {},
    )
    assert (budget.current(), budget.remaining(), budget.is_exceeded()) == (25, 75, False)


async def test_the_whole_budget_can_be_reserved_and_not_more() -> None:
    budget = await opened(State())
    async with budget.call(100) as call:
        assert budget.is_exceeded()
        with pytest.raises(CostBudgetExceededError) as raised:
            await budget.call(1).__aenter__()
        call.cost(99)
    assert (raised.value.current_cost_microusd, raised.value.max_cost_microusd) == (100, 100)
    assert budget.remaining() == 1


async def test_a_call_that_does_not_fit_is_not_made() -> None:
    budget = await opened(State())
    made = []
    with pytest.raises(CostBudgetExceededError, match="0 of 100"):
        async with budget.call(101):
            made.append(1)
    assert made == []


async def test_a_call_that_does_not_say_its_cost_costs_what_was_reserved() -> None:
    budget = await opened(State())
    async with budget.call(40):
        pass
    assert budget.current() == 40


async def test_a_call_that_fails_counts_too() -> None:
    budget = await opened(State())
    with pytest.raises(KeyError):
        async with budget.call(40):
            raise KeyError("mine")
    assert budget.current() == 40


async def test_a_call_that_fails_may_say_that_it_cost_nothing() -> None:
    budget = await opened(State())

    async def refused() -> None:
        async with budget.call(40) as call:
            call.cost(0)
            raise KeyError("mine")

    with pytest.raises(KeyError):
        await refused()
    assert budget.current() == 0


async def test_a_call_may_cost_more_than_was_reserved_while_there_is_more() -> None:
    budget = await opened(State())
    async with budget.call(10) as call:
        call.cost(100)
    assert budget.remaining() == 0
    budget = await opened(State())
    with pytest.raises(CostBudgetExceededError, match="101 of 100"):
        async with budget.call(10) as call:
            call.cost(101)
    assert budget.current() == 101


async def test_calls_at_the_same_time_share_the_budget() -> None:
    budget = await opened(State())

    async def spend() -> bool:
        try:
            async with budget.call(30) as call:
                await asyncio.sleep(0)
                call.cost(30)
        except CostBudgetExceededError:
            return False
        return True

    assert sorted(await asyncio.gather(*(spend() for _ in range(5)))) == [False, False, *[True] * 3]
    assert budget.current() == 90


async def test_the_threshold_warns_once_of_what_is_reserved() -> None:
    warned: list[tuple[int, int]] = []
    budget = await opened(State(), on_warning=lambda *seen: warned.append(seen))
    for _ in range(2):
        async with budget.call(45) as call:
            call.cost(45)
    assert warned == [(90, 100)]


# ------------------------------------------------------------------------------------------ crashes


async def test_a_reservation_that_a_crash_left_counts_as_spent() -> None:
    state = State()
    crashed = await opened(state)
    await crashed.call(40).__aenter__()
    budget = await opened(state)
    assert budget.current() == 40
    async with budget.call(60) as call:
        call.cost(10)
    assert budget.current() == 50


async def test_a_call_that_is_repeated_counts_again() -> None:
    state = State()
    for attempt in (1, 2):
        budget = await opened(state)
        async with budget.call(40) as call:
            call.cost(40)
        assert budget.current() == attempt * 40
    with pytest.raises(CostBudgetExceededError):
        await (await opened(state)).call(40).__aenter__()


async def test_an_attempt_that_was_taken_over_spends_nothing_more() -> None:
    state = State()
    old = await opened(state)
    new = await opened(state)
    with pytest.raises(StraitError, match="another attempt of the run has taken"):
        await old.call(1).__aenter__()
    assert new.current() == 0


async def test_a_call_whose_settling_was_lost_stays_reserved() -> None:
    state = State()
    budget = await opened(state)

    async def work() -> None:
        async with budget.call(40) as call:
            call.cost(1)
            state.on_set = _raising
            raise KeyError("mine")

    with pytest.raises(KeyError) as raised:
        await work()
    assert raised.value.__notes__ == ["its cost could not be settled: the connection was lost"]
    state.on_set = lambda value: None
    assert (await opened(state)).current() == 40


@given(
    calls=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from("ok before after die")),
        max_size=12,
    )
)
def test_the_ledger_never_knows_of_less_than_was_paid(calls: list[tuple[int, int, str]]) -> None:
    async def play() -> None:
        state, paid = State(), 0
        budget = await opened(state, 200)
        for most, cost, fate in calls:
            try:
                async with budget.call(most) as call:
                    paid += min(most, cost)
                    if fate == "die":
                        raise asyncio.CancelledError
                    call.cost(min(most, cost))
                    if fate == "before":
                        state.on_set = _raising
            except (CostBudgetExceededError, StraitError, asyncio.CancelledError):
                state.on_set = lambda value: None
                budget = await opened(state, 200)
            assert paid <= budget.current() <= 200

    asyncio.run(play())


def _raising(value: Any) -> None:
    raise lost()


# ------------------------------------------------------------------------- platforms and bad states


async def test_a_platform_that_keeps_no_state_is_refused() -> None:
    class Forgetful(State):
        async def get(self, key: str) -> Any:
            return None

    with pytest.raises(UnsupportedByPlatform, match="does not keep a run's state"):
        await opened(Forgetful())


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_platform_without_state_is_refused(status: int) -> None:
    def fail(value: Any) -> None:
        error = NotFoundError if status == 404 else ApiError
        raise error(status, "no such route")

    state = State()
    state.on_set = fail
    with pytest.raises(UnsupportedByPlatform, match="the platform's runs have no state"):
        await opened(state)


async def test_trouble_that_passes_is_told_as_what_it_is() -> None:
    def fail(value: Any) -> None:
        raise ApiError(503, "busy")

    state = State()
    state.on_set = fail
    with pytest.raises(ApiError, match="busy"):
        await opened(state)


@pytest.mark.parametrize("value", [5, {}, {"version": 2}, {"version": 1, "owner": "x"}, [1]])
async def test_a_key_that_holds_something_else_is_not_guessed_at(value: Any) -> None:
    state = State()
    state.entries["cost_budget"] = value
    with pytest.raises(StraitError, match="holds no cost ledger"):
        await opened(state)
    assert state.entries["cost_budget"] == value


@pytest.mark.parametrize("most", [-1, 1.5, True])
async def test_a_reservation_that_is_no_cost_is_refused(most: Any) -> None:
    budget = await opened(State())
    with pytest.raises(ValidationError, match="`most_microusd` must be a whole number"):
        await budget.call(most).__aenter__()
    async with budget.call(10) as call:
        with pytest.raises(ValidationError, match="`cost_microusd` must be a whole number"):
            call.cost(most)


# --------------------------------------------------------------------------------- plain functions


def test_a_plain_function_has_the_same_budget() -> None:
    state = SyncState()
    budget = SyncDurableCostBudget.open(state, CostBudgetOptions(100))
    with budget.call(40) as call:
        call.cost(25)
    with pytest.raises(CostBudgetExceededError), budget.call(76):
        raise AssertionError("it was made")
    allotment = budget.allot("child", 50)
    budget.settle(allotment, {"result": {"strait.cost_microusd": 5}})
    assert budget.current() == 30
    with pytest.raises(KeyError), budget.call(10):
        raise KeyError("mine")
    budget.call(20).__enter__()
    assert SyncDurableCostBudget.open(state, CostBudgetOptions(100)).current() == 60


def test_threads_share_a_budget() -> None:
    budget = SyncDurableCostBudget.open(SyncState(), CostBudgetOptions(1000))

    def spend() -> None:
        for _ in range(25):
            with budget.call(10) as call:
                call.cost(3)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.current() == 300


async def test_the_harness_has_the_state_that_a_budget_needs() -> None:
    ctx, record = create_test_context("run_1")
    budget = await DurableCostBudget.open(ctx.state, CostBudgetOptions(100))
    async with budget.call(40) as call:
        call.cost(25)
    assert record.state_store["cost_budget"]["spent"] == 25
    plain, _ = create_test_context("run_2", sync=True)
    assert SyncDurableCostBudget.open(plain.state, CostBudgetOptions(100)).remaining() == 100


def test_threads_leave_a_budget_that_knows_of_all_they_spent() -> None:
    """A thread that is held after its write does not bring an older sum back."""
    held, go_on = threading.Event(), threading.Event()

    def on_warning(current: int, most: int) -> None:
        held.set()
        assert go_on.wait(10)

    options = CostBudgetOptions(1000, on_warning, warning_threshold=0.01)
    budget = SyncDurableCostBudget.open(SyncState(), options)

    def spend(amount: int) -> None:
        with budget.call(amount) as call:
            call.cost(amount)

    first = threading.Thread(target=spend, args=(10,))
    first.start()
    assert held.wait(10)
    spend(500)
    go_on.set()
    first.join()
    assert budget.current() == 510
    assert budget.report() == {"strait.cost_microusd": 510}

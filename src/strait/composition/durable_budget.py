"""Cost budgets that survive a crash: the ledger is in the run's state, which its attempts share.

    budget = await DurableCostBudget.open(ctx.state, CostBudgetOptions(1_000_000))
    async with budget.call(50_000) as call:          # set aside before the call
        answer = await model.complete(prompt)
        call.cost(answer.cost_microusd)              # settled after it

A reservation that is never settled counts as spent, and a call that is made again counts again.
A child run gets an allotment that its parent sets aside, passes in the payload, and settles when
the child has ended.

Only one attempt writes: the one that opened the budget last. Every write looks first whether it
still is; the embedded platform also refuses by itself what an older dispatch writes. Platforms
whose runs have no state, or do not keep it, are refused when the budget is opened.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from secrets import token_hex
from typing import Protocol, Self, TypeVar

from strait.composition.budget import BudgetAlarm, CostBudgetOptions, checked_cost, exceeded
from strait.composition.ledger import Child, Ledger
from strait.errors import HttpError, Json, StraitError, UnsupportedByPlatform, ValidationError

R = TypeVar("R")

_KEY = "cost_budget"
PAYLOAD_FIELD = "strait.cost_budget_microusd"
"""The field of a child's payload that holds its allotment."""
RESULT_FIELD = "strait.cost_microusd"
"""The field of a child's result that holds what it spent."""
# Answers of a platform version that has no such operation.
_NO_SUCH_OPERATION = (404, 405, 501)


class RunState(Protocol):
    """What is needed of `ctx.state` of a `RunContext`."""

    async def get(self, key: str, /) -> Json:
        """Return the value of a key, or None."""
        ...

    async def set(self, key: str, value: Json, /) -> None:
        """Write the value of a key."""
        ...


class SyncRunState(Protocol):
    """What is needed of `ctx.state` of a `SyncRunContext`."""

    def get(self, key: str, /) -> Json:
        """Return the value of a key, or None."""
        ...

    def set(self, key: str, value: Json, /) -> None:
        """Write the value of a key."""
        ...


class Call:
    """A call whose cost is set aside.

    Attributes:
        reserved: how much is set aside, in micro-USD; it counts as spent unless `cost` is called.
    """

    def __init__(self, reserved: int) -> None:
        self.reserved = reserved
        self.actual: int | None = None

    def cost(self, cost_microusd: int) -> None:
        """Say what the call cost, in micro-USD; it may be more than was set aside."""
        self.actual = checked_cost("cost_microusd", cost_microusd)

    @property
    def settled(self) -> int:
        """What it counts as."""
        return self.reserved if self.actual is None else self.actual


class Allotment:
    """What a child run may spend.

    Attributes:
        name: the name of the child.
        microusd: how much.
        settled: whether the child's spending is in the ledger already.
        payload: what the payload of the child must contain.
    """

    def __init__(self, name: str, child: Child) -> None:
        self.name = name
        self.microusd = child.allotted
        self.settled = child.spent is not None
        self.payload: dict[str, Json] = {PAYLOAD_FIELD: child.allotted}


def child_options(payload: Json) -> CostBudgetOptions:
    """Return the budget that the parent passed in a payload.

    Raises:
        ValidationError: there is none.
    """
    if not isinstance(payload, Mapping) or PAYLOAD_FIELD not in payload:
        raise ValidationError(
            f"the payload has no `{PAYLOAD_FIELD}`: the parent must add `allotment.payload` to it"
        )
    return CostBudgetOptions(payload[PAYLOAD_FIELD])


class _Budget:
    """What both budgets know without asking the platform."""

    def __init__(self, options: CostBudgetOptions, key: str) -> None:
        self._most = options.max_cost_microusd
        self._alarm = BudgetAlarm(options)
        self._key = key
        self._owner = token_hex(8)
        self._ledger = Ledger()

    def current(self) -> int:
        """Return what is spent or set aside, in micro-USD."""
        return self._ledger.committed

    def remaining(self) -> int:
        """Return what can still be set aside; never less than 0."""
        return max(0, self._most - self._ledger.committed)

    def is_exceeded(self) -> bool:
        """Tell whether nothing is left."""
        return self.remaining() == 0

    def report(self) -> dict[str, Json]:
        """Return what a child's result must contain, so that its parent can settle."""
        return {RESULT_FIELD: self.current()}

    def _opened(self, value: Json) -> Ledger:
        ledger = Ledger.from_json(value)
        ledger.take_over(self._owner)
        return ledger

    def _check_kept(self, ledger: Ledger, value: Json) -> None:
        if value != ledger.to_json():
            raise UnsupportedByPlatform("cost budget", "the platform does not keep a run's state")
        self._ledger = ledger
        self._alarm.look(ledger.committed)

    def _own(self, value: Json) -> Ledger:
        """Return the ledger as it stands; refuse to write it for another attempt."""
        ledger = Ledger.from_json(value)
        if ledger.owner != self._owner:
            raise StraitError("another attempt of the run has taken its cost budget over")
        return ledger

    def _check_spent(self) -> None:
        """Raise when calls have cost more than there was."""
        if self._ledger.committed > self._most:
            raise exceeded(self._ledger.committed, self._most)


class DurableCostBudget(_Budget):
    """A budget of a run, kept in its state; see the module. Make it with `open`."""

    def __init__(self, state: RunState, options: CostBudgetOptions, key: str) -> None:
        super().__init__(options, key)
        self._state = state
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, state: RunState, options: CostBudgetOptions, *, key: str = _KEY) -> Self:
        """Return the budget of a run; what an earlier attempt left unsettled counts as spent.

        Args:
            state: `ctx.state`.
            options: the budget; the same in every attempt, or a higher one.
            key: the key of the run's state.

        Raises:
            UnsupportedByPlatform: the platform's runs keep no state.
            StraitError: the key holds something else.
        """
        budget = cls(state, options, key)
        try:
            ledger = budget._opened(await state.get(key))
            await state.set(key, ledger.to_json())
            budget._check_kept(ledger, await state.get(key))
        except HttpError as error:
            _check_has_state(error)
            raise
        return budget

    async def _change(self, change: Callable[[Ledger], R]) -> R:
        async with self._lock:
            ledger = self._own(await self._state.get(self._key))
            result = change(ledger)
            await self._state.set(self._key, ledger.to_json())
            self._ledger = ledger
        self._alarm.look(ledger.committed)
        return result

    @asynccontextmanager
    async def call(self, most_microusd: int) -> AsyncIterator[Call]:
        """Set the most that a call can cost aside while the block makes it.

        Inside, tell with `cost` what it cost. Otherwise, and when the block fails before it does,
        all that was set aside counts as spent.

        Raises:
            CostBudgetExceededError: it does not fit into the budget, and nothing was called; or
                the call cost more than was set aside, and more than was left.
        """
        ticket = token_hex(8)
        await self._change(lambda ledger: ledger.reserve(ticket, most_microusd, self._most))
        call = Call(most_microusd)
        try:
            yield call
        except BaseException as error:
            try:
                await self._change(lambda ledger: ledger.settle(ticket, call.settled))
            except StraitError as unsettled:
                # What failed first is told; the reservation stays, and counts as spent.
                error.add_note(f"its cost could not be settled: {unsettled}")
            raise
        await self._change(lambda ledger: ledger.settle(ticket, call.settled))
        self._check_spent()

    async def allot(self, name: str, microusd: int) -> Allotment:
        """Set aside what a child run may spend; the same name again is the same allotment.

        Raises:
            CostBudgetExceededError: it does not fit into the budget.
            ValidationError: the name has another allotment.
        """
        child = await self._change(lambda ledger: ledger.allot(name, microusd, self._most))
        return Allotment(name, child)

    async def settle(self, allotment: Allotment, outcome: Json) -> None:
        """Replace an allotment by what the child spent.

        Args:
            allotment: of the child.
            outcome: how it ended, from `ctx.spawn(..., await_completion=True)`. Without a
                `report()` in its result, all of the allotment counts as spent.
        """
        spent = _reported(outcome)
        await self._change(lambda ledger: ledger.settle_child(allotment.name, spent))
        allotment.settled = True


class SyncDurableCostBudget(_Budget):
    """`DurableCostBudget` for plain functions; threads may share it."""

    def __init__(self, state: SyncRunState, options: CostBudgetOptions, key: str) -> None:
        super().__init__(options, key)
        self._state = state
        self._lock = threading.Lock()

    @classmethod
    def open(cls, state: SyncRunState, options: CostBudgetOptions, *, key: str = _KEY) -> Self:
        """See `DurableCostBudget.open`."""
        budget = cls(state, options, key)
        try:
            ledger = budget._opened(state.get(key))
            state.set(key, ledger.to_json())
            budget._check_kept(ledger, state.get(key))
        except HttpError as error:
            _check_has_state(error)
            raise
        return budget

    def _change(self, change: Callable[[Ledger], R]) -> R:
        with self._lock:
            ledger = self._own(self._state.get(self._key))
            result = change(ledger)
            self._state.set(self._key, ledger.to_json())
            # Within the lock, so that no thread puts an older ledger over a newer one.
            self._ledger = ledger
        # Outside of it, because the hook may ask the budget for more.
        self._alarm.look(ledger.committed)
        return result

    @contextmanager
    def call(self, most_microusd: int) -> Iterator[Call]:
        """See `DurableCostBudget.call`."""
        ticket = token_hex(8)
        self._change(lambda ledger: ledger.reserve(ticket, most_microusd, self._most))
        call = Call(most_microusd)
        try:
            yield call
        except BaseException as error:
            try:
                self._change(lambda ledger: ledger.settle(ticket, call.settled))
            except StraitError as unsettled:
                # What failed first is told; the reservation stays, and counts as spent.
                error.add_note(f"its cost could not be settled: {unsettled}")
            raise
        self._change(lambda ledger: ledger.settle(ticket, call.settled))
        self._check_spent()

    def allot(self, name: str, microusd: int) -> Allotment:
        """See `DurableCostBudget.allot`."""
        child = self._change(lambda ledger: ledger.allot(name, microusd, self._most))
        return Allotment(name, child)

    def settle(self, allotment: Allotment, outcome: Json) -> None:
        """See `DurableCostBudget.settle`."""
        spent = _reported(outcome)
        self._change(lambda ledger: ledger.settle_child(allotment.name, spent))
        allotment.settled = True


def _reported(outcome: Json) -> int | None:
    """Return what a child reported to have spent; None if it did not."""
    result = outcome.get("result") if isinstance(outcome, Mapping) else None
    spent = result.get(RESULT_FIELD) if isinstance(result, Mapping) else None
    return spent if type(spent) is int and spent >= 0 else None


def _check_has_state(error: HttpError) -> None:
    if error.status in _NO_SUCH_OPERATION:
        reason = f"the platform's runs have no state ({error})"
        raise UnsupportedByPlatform("cost budget", reason) from error

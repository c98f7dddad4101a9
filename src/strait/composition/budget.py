"""Cost budgets within one process: a tracker that raises when the budget is spent.

Costs are whole millionths of a US dollar. Reaching the budget counts as spending it: a tracker
with a budget of 100 raises at 100. `durable_budget` has the budget that survives a crash.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar, overload

from strait.errors import CostBudgetExceededError, ValidationError

T = TypeVar("T")
logger = logging.getLogger("strait.composition")


def checked_cost(name: str, microusd: int) -> int:
    """Return a cost.

    Raises:
        ValidationError: it is no whole number of at least 0.
    """
    if isinstance(microusd, bool) or not isinstance(microusd, int) or microusd < 0:
        raise ValidationError(
            f"`{name}` must be a whole number of micro-USD of at least 0, not {microusd!r}"
        )
    return microusd


@dataclass(frozen=True, slots=True)
class CostBudgetOptions:
    """A budget.

    Attributes:
        max_cost_microusd: how much may be spent, in millionths of a US dollar; 0 allows nothing
            and is spent from the start.
        on_warning: called once, with what is spent and the budget, when `warning_threshold` of
            it is reached. An exception of its own is logged and goes no further.
        warning_threshold: the part of the budget, from 0 to 1, that is warned of.

    Raises:
        ValidationError: a value is out of range, or `on_warning` is a coroutine function.
    """

    max_cost_microusd: int
    on_warning: Callable[[int, int], object] | None = None
    warning_threshold: float = 0.8

    def __post_init__(self) -> None:
        checked_cost("max_cost_microusd", self.max_cost_microusd)
        if not 0 <= self.warning_threshold <= 1:
            raise ValidationError(
                f"`warning_threshold` must be from 0 to 1, not {self.warning_threshold!r}"
            )
        if inspect.iscoroutinefunction(self.on_warning):
            raise ValidationError("`on_warning` must be a plain function: nothing awaits it")


class BudgetAlarm:
    """Warns of a budget once."""

    def __init__(self, options: CostBudgetOptions) -> None:
        self._options = options
        self._rung = False
        self._lock = threading.Lock()

    def look(self, current: int) -> None:
        """Warn if so much of the budget is spent and nobody was warned yet."""
        most = self._options.max_cost_microusd
        with self._lock:
            if self._rung or current < most * self._options.warning_threshold:
                return
            self._rung = True
        # Outside of the lock, because the hook may ask the tracker how much is spent.
        try:
            if self._options.on_warning is not None:
                self._options.on_warning(current, most)
        except Exception:
            logger.warning("`on_warning` of a cost budget failed", exc_info=True)


def exceeded(current: int, most: int) -> CostBudgetExceededError:
    """Return the error of a budget that is spent."""
    return CostBudgetExceededError(
        f"the cost budget is spent: {current} of {most} micro-USD", current, most
    )


class CostTracker:
    """Counts what is spent and raises when it has reached the budget; threads may share it.

    Args:
        options: the budget.
    """

    def __init__(self, options: CostBudgetOptions) -> None:
        self._most = options.max_cost_microusd
        self._alarm = BudgetAlarm(options)
        self._lock = threading.Lock()
        self._current = 0

    def add(self, cost_microusd: int) -> None:
        """Count a cost. It stays counted when this raises: what was spent is spent.

        Args:
            cost_microusd: a whole number of at least 0.

        Raises:
            CostBudgetExceededError: the budget is reached.
            ValidationError: the cost is negative or no whole number; nothing was counted.
        """
        checked_cost("cost_microusd", cost_microusd)
        with self._lock:
            self._current += cost_microusd
            current = self._current
        self._alarm.look(current)
        if current >= self._most:
            raise exceeded(current, self._most)

    def current(self) -> int:
        """Return what is spent."""
        return self._current

    def remaining(self) -> int:
        """Return what is left; never less than 0."""
        return max(0, self._most - self._current)

    def is_exceeded(self) -> bool:
        """Tell whether the budget is reached; one of 0 is from the start."""
        return self._current >= self._most


def create_cost_tracker(options: CostBudgetOptions) -> CostTracker:
    """Return a tracker of a budget of which nothing is spent."""
    return CostTracker(options)


@overload
async def with_cost_budget(
    fn: Callable[[CostTracker], Awaitable[T]], options: CostBudgetOptions
) -> T: ...
@overload
async def with_cost_budget(fn: Callable[[CostTracker], T], options: CostBudgetOptions) -> T: ...
async def with_cost_budget(
    fn: Callable[[CostTracker], object], options: CostBudgetOptions
) -> object:
    """Call a function with a tracker of its own and return what it did.

    Args:
        fn: gets the tracker and adds every cost to it; what it returns may have to be awaited.
        options: the budget.

    Raises:
        CostBudgetExceededError: the function reached the budget and let the tracker's error pass.
    """
    answer = fn(CostTracker(options))
    return await answer if inspect.isawaitable(answer) else answer

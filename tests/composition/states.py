"""The state of a run in memory, and a budget that is opened on it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from strait.composition import CostBudgetOptions, DurableCostBudget


class State:
    """The state of a run in memory; JSON goes in and comes out.

    Attributes:
        entries: what it holds.
        on_set: called with each value before it is kept; it may raise.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}
        self.on_set: Callable[[Any], None] = lambda value: None

    async def get(self, key: str) -> Any:
        return copy.deepcopy(self.entries.get(key))

    async def set(self, key: str, value: Any) -> None:
        self.on_set(value)
        self.entries[key] = json.loads(json.dumps(value))


class SyncState(State):
    def get(self, key: str) -> Any:  # type: ignore[override] # it is another protocol
        return copy.deepcopy(self.entries.get(key))

    def set(self, key: str, value: Any) -> None:  # type: ignore[override] # as above
        self.on_set(value)
        self.entries[key] = json.loads(json.dumps(value))


async def opened(state: State, most: int = 100, **options: Any) -> DurableCostBudget:
    return await DurableCostBudget.open(state, CostBudgetOptions(most, **options))

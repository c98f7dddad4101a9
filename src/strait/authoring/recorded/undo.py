"""Undoing what a run has done that fails for good: the undo of each step, the last step first."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from strait.authoring.recorded.carrying import drive
from strait.authoring.recorded.journal import Place
from strait.authoring.recorded.step import Ledger, StepOptions, Undoable, course
from strait.reserved import UNDO_STEP_PREFIX, step_key

if TYPE_CHECKING:
    from strait.authoring.flow import Call


async def undo_all(ledger: Ledger, ask: Callable[[Call], Coroutine[Any, Any, object]]) -> list[str]:
    """Undo the steps of a run, each as a step of its own, and return their names in that order.

    An undo that is on record is not done again. The first one that fails ends it.

    Args:
        ledger: what the steps of the attempt share.
        ask: makes a call to the platform.
    """
    ledger.only_recorded = False
    undone = []
    order = {key: number for number, key in enumerate(ledger.journal.in_order())}

    def recorded(item: Undoable) -> int:
        return order[step_key(item.place.name, item.place.occurrence)]

    for item in sorted(ledger.undoable, key=recorded, reverse=True):
        place = Place(
            UNDO_STEP_PREFIX + item.place.name,
            item.place.occurrence,
            item.place.at,
            f"{item.idempotency_key}-undo",
        )
        options = StepOptions(redact=item.redact, codec=item.codec)
        steps = course(ledger, place, item.undo, (item.result,), {}, options)
        call = partial(item.undo, item.result)
        await drive(steps, call, ask, is_async=inspect.iscoroutinefunction(item.undo))
        undone.append(item.place.name)
    return undone

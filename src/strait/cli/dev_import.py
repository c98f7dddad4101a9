"""An import under way: it may never end, and the save that would mend it must still be noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from strait.cli.dev_child import Child, Loaded, Order
from strait.cli.dev_watch import Watcher

# Most imports are over sooner, and what is saved meanwhile is looked for when they are. Code that
# writes modules while it is imported is left alone for as long.
_PATIENCE_SECS = 1.0
# In a storm of saves an import that takes its time is to get to its end.
_PATIENCE_IN_A_STORM_SECS = 5.0
_SLOW_SECS = 5.0


async def load(
    child: Child,
    order: Order,
    watcher: Watcher | None,
    *,
    storm: bool,
    slow: Callable[[int], None],
) -> Loaded | None:
    """Let a process import its targets; return what came of it, or None if a save came first.

    Args:
        child: the process. It is left as it is, in the midst of its import, where a save came.
        order: what it is to serve.
        watcher: tells of saves; None where none counts.
        storm: whether saves have ended several imports already, one after another.
        slow: is told, once, after how many seconds an import is not over yet.
    """
    importing = asyncio.create_task(child.load(order), name="strait-import")
    others: list[asyncio.Task[Any]] = [asyncio.create_task(_tell(slow))]
    waits: set[asyncio.Task[Any]] = {importing}
    if watcher is not None:
        saving = asyncio.create_task(_saved(watcher, storm=storm))
        others.append(saving)
        waits.add(saving)
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return importing.result() if importing.done() else None
    finally:
        for task in (importing, *others):
            task.cancel()
        await asyncio.gather(importing, *others, return_exceptions=True)


async def _tell(slow: Callable[[int], None]) -> None:
    await asyncio.sleep(_SLOW_SECS)
    slow(round(_SLOW_SECS))


async def _saved(watcher: Watcher, *, storm: bool) -> None:
    await asyncio.sleep(_PATIENCE_IN_A_STORM_SECS if storm else _PATIENCE_SECS)
    await watcher.changes()

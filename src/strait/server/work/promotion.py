"""Raising the priority of runs that wait long, so that each starts some day (`runs.md` §6.11)."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from strait.engine.runs import MAX_PRIORITY
from strait.server.unit import Unit
from strait.store import runs as run_rows

WAIT_SECS = 5 * 60
_AT_ONCE = 1_000


def promote(unit: Unit, _: str) -> None:
    """Raise the runs by one that have been queued for five minutes, those first that wait longest.

    It is done each minute while there are such runs.
    """
    scheduler = unit.platform.scheduler
    for run_id in scheduler.waiting_for(WAIT_SECS, _AT_ONCE):
        stored = run_rows.load(unit.db, run_id)
        if stored is None or stored.run.status != "queued" or stored.run.priority >= MAX_PRIORITY:
            continue
        run = replace(stored.run, priority=stored.run.priority + 1)
        run_rows.save(unit.db, stored, replace(stored.state, run=run))
        unit.after(partial(scheduler.promoted, run))
    unit.after(scheduler.promotion_done)

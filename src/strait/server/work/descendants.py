"""Canceling what a canceled run has spawned, some at a time, so that other requests have theirs.

A transaction cancels a bounded number of runs. Where more are left, a record says up to where their
parent's children were looked at; it is written with the cancellations that it follows, and a server
that starts goes on from it.
"""

from __future__ import annotations

import sqlite3
from functools import partial

from strait.clock import Timestamp
from strait.engine import runs as engine
from strait.engine.model import Run
from strait.server.unit import Unit
from strait.server.work import runs
from strait.store import records
from strait.store import runs as run_rows
from strait.store.records import Record

KIND = "canceled_parent"
# As many as are canceled in the time that another request may be kept waiting.
AT_ONCE = 200
# Those that are over already are looked at, too.
_LOOKED_AT = 2_000


def cancel(unit: Unit, run: Run) -> None:
    """Cancel the children of a run that was canceled; theirs follow by the same rule."""
    beginning = Record(
        id=run.id,
        project_id=run.project_id,
        created_at=unit.stamp,
        updated_at=unit.stamp,
        fields={"before": run.finished_at or unit.stamp, "executing": False, "after": 0},
    )
    left = _some(unit, beginning)
    if left is not None and records.get(unit.db, KIND, run.id) is None:
        records.insert(unit.db, KIND, left)
        _go_on_soon(unit, run.id)


def due(unit: Unit, run_id: str) -> None:
    """Go on with the children of a run."""
    found = records.get(unit.db, KIND, run_id)
    if found is None:
        return
    left = _some(unit, found)
    if left is None:
        records.delete(unit.db, KIND, run_id)
        return
    records.update(unit.db, KIND, left)
    _go_on_soon(unit, run_id)


def after_restart(unit: Unit) -> None:
    """Go on with what the last server had begun."""
    for record in records.everything(unit.db, KIND):
        _go_on_soon(unit, record.id)


def _go_on_soon(unit: Unit, run_id: str) -> None:
    unit.after(partial(unit.platform.timers.set, ("descendants", run_id), unit.now))


def _some(unit: Unit, place: Record) -> Record | None:
    """Cancel as many as this transaction may; return where to go on, or None at the end.

    Those that execute come last, or others of them took their slots.
    """
    after, executing = int(place.fields["after"]), bool(place.fields["executing"])
    looked_at = 0
    while unit.descendants < AT_ONCE and looked_at < _LOOKED_AT:
        limit = min(AT_ONCE - unit.descendants, _LOOKED_AT - looked_at)
        found = _children(unit.db, place.id, after, place.fields["before"], limit)
        if not found and not after and not executing:
            return None
        looked_at += len(found)
        for seq, child_id, status in found:
            after = seq
            if status in run_rows.ACTIVE and (executing or status != "executing"):
                _cancel(unit, child_id)
        if len(found) == limit:
            continue
        if executing:
            return None
        executing, after = True, 0
    return _with(place, executing=executing, after=after)


def _cancel(unit: Unit, run_id: str) -> None:
    unit.descendants += 1
    runs.apply_by_id(unit, run_id, engine.Canceled("parent run canceled"))


def _children(
    db: sqlite3.Connection, run_id: str, after: int, before: Timestamp, limit: int
) -> list[tuple[int, str, str]]:
    """Return the next children of a run that were there when it was canceled."""
    rows = db.execute(
        "SELECT seq, id, status FROM runs WHERE parent_run_id = ? AND seq > ? AND created_at <= ? "
        "ORDER BY seq LIMIT ?",
        (run_id, after, before, limit),
    )
    return rows.fetchall()


def _with(place: Record, **fields: object) -> Record:
    return Record(
        id=place.id,
        project_id=place.project_id,
        created_at=place.created_at,
        updated_at=place.updated_at,
        fields={**place.fields, **fields},
    )

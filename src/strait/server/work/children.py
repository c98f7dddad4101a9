"""Runs that a run has spawned, and a parent that waits for them."""

from __future__ import annotations

import sqlite3

from msgspec import json

from strait.engine.model import Run
from strait.fsm import is_terminal_run_status
from strait.reserved import child_outcome_key
from strait.server.unit import Unit
from strait.server.work import events, records
from strait.store import runs, triggers


def ended(unit: Unit, child: Run, result: str | None) -> None:
    """Tell a parent how its child ended, and wake it once nothing below it runs any more."""
    parent = runs.load(unit.db, child.parent_run_id)
    if parent is None or is_terminal_run_status(parent.run.status):
        return
    keep_outcome(unit, child, result)
    awaiting = [
        trigger
        for trigger in triggers.waiting_of_run(unit.db, child.parent_run_id)
        if trigger.event_key.startswith(events.AWAIT_PREFIX)
    ]
    if awaiting and not has_living_descendants(unit.db, child.parent_run_id):
        for trigger in awaiting:
            events.receive(unit, trigger, None, "system:children")


def keep_outcome(unit: Unit, child: Run, result: str | None) -> None:
    """Write how a child ended where its parent's next dispatch finds it: in the parent's state."""
    head = {"run_id": child.id, "status": child.status}
    if child.error:
        head["error"] = child.error
    text = json.encode(head).decode()
    if result is not None:
        text = f'{text[:-1]},"result":{result}}}'
    records.set_state(unit, child.parent_run_id, child_outcome_key(child.id), text)


def has_living_descendants(db: sqlite3.Connection, run_id: str) -> bool:
    """Return whether any run below a run is not over."""
    below = (
        "WITH RECURSIVE below (id, status) AS ("
        "SELECT id, status FROM runs WHERE parent_run_id = ? "
        "UNION SELECT runs.id, runs.status FROM runs JOIN below ON runs.parent_run_id = below.id"
        f") SELECT 1 FROM below WHERE {runs.UNFINISHED} LIMIT 1"
    )
    row = db.execute(below, (run_id,)).fetchone()
    return row is not None

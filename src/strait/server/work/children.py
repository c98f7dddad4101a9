"""Runs that a run has spawned, and a parent that waits for them."""

from __future__ import annotations

import sqlite3

from msgspec import json

from strait.engine.model import Run
from strait.engine.undo import UNDO
from strait.fsm import is_terminal_run_status
from strait.reserved import child_outcome_key
from strait.server.unit import Unit
from strait.server.work import events, records, suspensions
from strait.store import runs, triggers


def ended(unit: Unit, child: Run, result: str | None) -> None:
    """Tell a parent how its child ended, and wake whoever waits for that.

    A run that awaits its children awaits all below it, so that the end of a child whose own parent
    is over already is looked at by those above.
    """
    parent = runs.load(unit.db, child.parent_run_id)
    if parent is not None and _may_go_on(parent.run):
        keep_outcome(unit, child, result)
        suspensions.child_ended(unit, parent, child)
    seen = {child.id}
    while parent is not None and parent.run.id not in seen:
        if not is_terminal_run_status(parent.run.status):
            _wake_awaiting(unit, parent.run.id)
            return
        seen.add(parent.run.id)
        above = parent.run.parent_run_id
        parent = runs.load(unit.db, above) if above else None


def _may_go_on(run: Run) -> bool:
    # A dead letter that is replayed finds its children by their keys, and asks how they ended.
    return run.status == "dead_letter" or not is_terminal_run_status(run.status)


def _wake_awaiting(unit: Unit, run_id: str) -> None:
    awaiting = [
        trigger
        for trigger in triggers.waiting_of_run(unit.db, run_id)
        if trigger.event_key.startswith(events.AWAIT_PREFIX)
    ]
    if awaiting and not has_living_descendants(unit.db, run_id):
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
    """Return whether any run below a run is not over; nobody waits for what undoes a run."""
    below = (
        "WITH RECURSIVE below (id, status, triggered_by) AS ("
        "SELECT id, status, doc ->> 'triggered_by' FROM runs WHERE parent_run_id = ? "
        "UNION SELECT runs.id, runs.status, runs.doc ->> 'triggered_by' "
        "FROM runs JOIN below ON runs.parent_run_id = below.id"
        f") SELECT 1 FROM below WHERE {runs.UNFINISHED} AND triggered_by != ? LIMIT 1"
    )
    row = db.execute(below, (run_id, UNDO)).fetchone()
    return row is not None

"""Runs that were suspended until one of several things comes (`POST /sdk/v1/runs/{id}/suspend`).

Waits for events are rows of their own, which live until they are received, time out or their run
ends, whether the run waits just now or not. The instant to wake at is the run's. Which of them
and which children the run waits for at present is a note in its state, `strait.suspended`.
"""

from __future__ import annotations

import sqlite3

from msgspec import UNSET, json

from strait.engine import runs as engine
from strait.engine.model import EventTrigger, Run
from strait.fsm import is_terminal_run_status
from strait.reserved import SUSPENDED_KEY, event_state_key
from strait.server.unit import Unit
from strait.server.work import records, runs
from strait.store import runs as run_rows


def note(unit: Unit, run_id: str, event_keys: list[str], children: list[str]) -> None:
    """Keep what a run waits for from now on."""
    value = {"waits": event_keys, "children": children}
    records.set_state(unit, run_id, SUSPENDED_KEY, json.encode(value).decode())


def forget(unit: Unit, run_id: str) -> None:
    """Drop what a run was suspended for: it waits for something else, in another way."""
    records.delete_state(unit.db, run_id, SUSPENDED_KEY)


def wait_settled(unit: Unit, trigger: EventTrigger) -> None:
    """Keep what a wait has brought, and let its run go on if that is what it waits for."""
    stored = run_rows.load(unit.db, trigger.job_run_id)
    if stored is None or is_terminal_run_status(stored.run.status):
        return
    if trigger.status == "canceled":
        runs.apply(unit, stored, engine.Canceled(trigger.error))
        return
    _keep(unit, trigger)
    if stored.run.status == "waiting" and _names(
        unit.db, stored.run.id, "waits", trigger.event_key
    ):
        came = "received" if trigger.status == "received" else "did not come in time"
        runs.apply(unit, stored, engine.Woken(f"event {trigger.event_key!r} {came}"))


def child_ended(unit: Unit, parent: run_rows.Stored, child: Run) -> None:
    """Let a run go on that was suspended until this child, or another, has ended."""
    if parent.run.status == "waiting" and _names(unit.db, parent.run.id, "children", child.id):
        runs.apply(unit, parent, engine.Woken(f"child run {child.id} {child.status}"))


def _keep(unit: Unit, trigger: EventTrigger) -> None:
    value: dict[str, object] = {"event_key": trigger.event_key}
    if trigger.status == "received":
        payload = None if trigger.response_payload is UNSET else trigger.response_payload
        value |= {"payload": payload, "received_at": trigger.received_at}
    else:
        value |= {"timed_out": True, "received_at": unit.stamp}
    key = event_state_key(trigger.event_key, trigger.occurrence)
    records.set_state(unit, trigger.job_run_id, key, json.encode(value).decode())
    if trigger.status == "received":
        text = json.encode(value["payload"]).decode()
        records.checkpoint(unit, trigger.job_run_id, "event_trigger", text)


def _names(db: sqlite3.Connection, run_id: str, what: str, wanted: str) -> bool:
    """Return whether the note of a run names an event key or a child."""
    row = db.execute(
        "SELECT 1 FROM run_state, json_each(run_state.value, '$.' || ?) AS named "
        "WHERE run_id = ? AND state_key = ? AND named.value = ? LIMIT 1",
        (what, run_id, SUSPENDED_KEY, wanted),
    ).fetchone()
    return row is not None

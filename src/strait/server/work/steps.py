"""The recorded steps of runs, which hosts keep as keys of the run's state, and their undoing."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, json, structs

from strait.clock import Timestamp, from_timestamp
from strait.engine import undo
from strait.engine.admission import Request
from strait.engine.entries import Entry
from strait.engine.model import Run
from strait.engine.refusal import Refused
from strait.redaction import hidden_at
from strait.reserved import (
    STATE_PREFIX,
    STEP_PREFIX,
    SUSPENDED_KEY,
    UNDO_OF_METADATA,
    UNDO_STEP_PREFIX,
    step_key,
)
from strait.server.unit import Unit
from strait.server.work import records, runs
from strait.store import runs as run_rows

# The first text behind all keys that start with the prefix.
_BEHIND = STEP_PREFIX[:-1] + chr(ord(STEP_PREFIX[-1]) + 1)


class Recorded(Struct):
    """A record as a host writes it; what a host of another version adds is passed over."""

    name: str
    occurrence: int = 0
    status: str = "completed"
    started_at: Timestamp = ""
    finished_at: Timestamp = ""
    attempts: int = 1
    at: str = ""
    idempotency_key: str = ""
    input: Any = UNSET
    output: Raw | UnsetType = UNSET
    error: dict[str, str] | UnsetType = UNSET
    undo: bool = False
    redact: list[str] = []


class Shown(Struct, omit_defaults=True):
    """A step as the API shows it (`RunStep`)."""

    name: str
    occurrence: int
    status: str
    attempts: int
    undo: bool
    undone: bool
    duration_ms: int
    at: str
    idempotency_key: str
    started_at: Timestamp | UnsetType = UNSET
    finished_at: Timestamp | UnsetType = UNSET
    input: Any = UNSET
    output: Any = UNSET
    error: dict[str, str] | UnsetType = UNSET


_decoder = json.Decoder(Recorded)
_undo_decoder = json.Decoder(undo.Step)


def kept(unit: Unit, run: Run, key: str, value: str) -> None:
    """Tell the run's history of a step that was recorded now."""
    if not key.startswith(STEP_PREFIX):
        return
    before = records.get_state(unit.db, run.id, key)
    if before is not None and bytes(before.value) == value.encode():
        return  # the answer to it was lost, and the host sends it again
    try:
        step = _decoder.decode(value)
    except msgspec.ValidationError:
        return  # it is no record of a host of ours, and stays what it is: a key
    data = {
        "name": step.name,
        "occurrence": step.occurrence,
        "status": step.status,
        "duration_ms": _duration_ms(step),
        "attempts": step.attempts,
        "at": step.at,
    }
    level = "info" if step.status == "completed" else "error"
    entry = Entry("step", f"step {step.name} {step.status}", level, data)
    unit.record(run.id, run.project_id, (entry,))


def listed(
    db: sqlite3.Connection, run_id: str, *, after: Timestamp, limit: int
) -> list[tuple[Timestamp, Shown]]:
    """Return the steps of a run that were recorded after an instant, oldest first."""
    rows = db.execute(
        "SELECT updated_at, value FROM run_state WHERE run_id = ? AND state_key >= ? "
        "AND state_key < ? AND updated_at > ? ORDER BY updated_at LIMIT ?",
        (run_id, STEP_PREFIX, _BEHIND, after, limit),
    ).fetchall()
    # Undos are on record where they are done: in the run itself, or in its companion. One from
    # before the run was replayed knows nothing of what was recorded since.
    companion = companion_of(db, run_id)
    found = []
    for at, value in rows:
        newer = companion is not None and companion.created_at >= at
        undoing = companion.id if companion is not None and newer else run_id
        try:
            found.append((at, _shown(db, undoing, _decoder.decode(value))))
        except msgspec.ValidationError:
            continue
    return found


def without_hidden(row: records.StateValue) -> records.StateValue:
    """Return a key of a run's state without what the step that it records has hidden."""
    if not row.state_key.startswith(STEP_PREFIX):
        return row
    value = json.decode(row.value)
    paths = value.get("redact") if isinstance(value, dict) else None
    if not isinstance(paths, list) or "output" not in value:
        return row
    value["output"] = hidden_at(value["output"], map(str, paths))
    return structs.replace(row, value=Raw(json.encode(value)))


def companion_of(db: sqlite3.Connection, run_id: str) -> Run | None:
    """Return the newest run that undoes a run, or None."""
    row = db.execute(
        "SELECT id FROM runs WHERE parent_run_id = ? AND doc ->> 'triggered_by' = ? "
        "ORDER BY seq DESC LIMIT 1",
        (run_id, undo.UNDO),
    ).fetchone()
    stored = None if row is None else run_rows.load(db, row[0])
    return None if stored is None else stored.run


def begin_anew(unit: Unit, run: Run) -> None:
    """Forget what a dead letter has on record if it was undone: all of it has to be done again.

    Raises:
        Refused: 409, it is being undone, or that has failed.
    """
    companion = companion_of(unit.db, run.id)
    if companion is None:
        return
    if companion.status not in {"completed", "canceled"}:
        what = f"run {companion.id}, which undoes it, is {companion.status}"
        raise Refused(409, f"run cannot be replayed while {what}")
    unit.db.execute(
        "DELETE FROM run_state WHERE run_id = ? AND state_key >= ? AND state_key < ?",
        (run.id, STATE_PREFIX, STATE_PREFIX[:-1] + chr(ord(STATE_PREFIX[-1]) + 1)),
    )


def follow(unit: Unit, run: Run) -> None:
    """Have the steps of a run undone that failed for good: by a companion run of the same job."""
    if not undo.may_need_undo(run):
        return
    rows = unit.db.execute(
        "SELECT value FROM run_state WHERE run_id = ? AND state_key >= ? AND state_key < ?",
        (run.id, STEP_PREFIX, _BEHIND),
    )
    if not undo.left_to_undo([step for (value,) in rows if (step := _undo_step(value))]):
        return
    entry = unit.platform.jobs.for_run(unit.db, run)
    if entry is None:
        note = Entry("log", "its steps cannot be undone: the job is gone", "error", {})
        unit.record(run.id, run.project_id, (note,))
        return
    request = Request(
        triggered_by=undo.UNDO,
        created_by=f"run:{run.id}",
        parent_run_id=run.id,
        lineage_depth=run.lineage_depth,
        tags=run.tags,
        priority=run.priority,
        concurrency_key=run.concurrency_key,
        metadata={UNDO_OF_METADATA: run.id},
    )
    companion = runs.create(unit, entry.job, request, run_rows.payload(unit.db, run.id))
    unit.db.execute(
        "INSERT INTO run_state (run_id, state_key, updated_at, value) "
        "SELECT ?, state_key, updated_at, value FROM run_state "
        "WHERE run_id = ? AND substr(state_key, 1, ?) = ? AND state_key != ?",
        (companion.id, run.id, len(STATE_PREFIX), STATE_PREFIX, SUSPENDED_KEY),
    )


def _undo_step(value: str) -> undo.Step | None:
    try:
        return _undo_decoder.decode(value)
    except msgspec.ValidationError:
        return None


def _shown(db: sqlite3.Connection, undoing: str, step: Recorded) -> Shown:
    undone = step.undo and (
        records.get_state(db, undoing, step_key(UNDO_STEP_PREFIX + step.name, step.occurrence))
        is not None
    )
    output: Any = UNSET
    if not isinstance(step.output, UnsetType):
        output = hidden_at(json.decode(step.output), step.redact) if step.redact else step.output
    return Shown(
        name=step.name,
        occurrence=step.occurrence,
        status=step.status,
        attempts=step.attempts,
        undo=step.undo,
        undone=undone,
        duration_ms=_duration_ms(step),
        at=step.at,
        idempotency_key=step.idempotency_key,
        started_at=step.started_at or UNSET,
        finished_at=step.finished_at or UNSET,
        input=step.input,
        output=output,
        error=step.error,
    )


def _duration_ms(step: Recorded) -> int:
    try:
        return (from_timestamp(step.finished_at) - from_timestamp(step.started_at)) // 1_000
    except ValueError:
        return 0

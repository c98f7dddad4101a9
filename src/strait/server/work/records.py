"""What handlers write beside their run: state, checkpoints, outputs, samples, job memory."""

from __future__ import annotations

import sqlite3

from msgspec import Raw, Struct, json

from strait.clock import Timestamp
from strait.server.unit import Unit

_encode = json.Encoder().encode


class Checkpoint(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A point from which a handler can go on (`RunCheckpoint`)."""

    id: str
    run_id: str
    sequence: int
    source: str
    state: Raw
    created_at: Timestamp


class StateValue(Struct, frozen=True, kw_only=True):
    """One key of a run's state (`RunState`)."""

    run_id: str
    state_key: str
    value: Raw
    updated_at: Timestamp


def checkpoint(unit: Unit, run_id: str, source: str, state: str) -> Checkpoint:
    """Write the next checkpoint of a run; `state` is JSON text."""
    (last,) = unit.db.execute(
        "SELECT coalesce(max(sequence), 0) FROM checkpoints WHERE run_id = ?", (run_id,)
    ).fetchone()
    record = Checkpoint(
        id=unit.new_id(),
        run_id=run_id,
        sequence=last + 1,
        source=source,
        state=Raw(state.encode()),
        created_at=unit.stamp,
    )
    unit.db.execute(
        "INSERT INTO checkpoints (run_id, sequence, created_at, doc) VALUES (?, ?, ?, ?)",
        (run_id, record.sequence, record.created_at, _encode(record).decode()),
    )
    return record


def last_checkpoint(db: sqlite3.Connection, run_id: str) -> Checkpoint | None:
    """Return the newest checkpoint that a handler has made, or None.

    What a wait brought is kept as a checkpoint too, for whoever reads the run; it is no state to
    go on from.
    """
    row = db.execute(
        "SELECT doc FROM checkpoints WHERE run_id = ? AND doc ->> 'source' != 'event_trigger' "
        "ORDER BY sequence DESC LIMIT 1",
        (run_id,),
    ).fetchone()
    return None if row is None else json.decode(row[0], type=Checkpoint)


def set_state(unit: Unit, run_id: str, key: str, value: str) -> StateValue:
    """Write one key of a run's state; `value` is JSON text."""
    unit.db.execute(
        "INSERT INTO run_state (run_id, state_key, updated_at, value) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (run_id, state_key) DO UPDATE SET value = excluded.value, "
        "updated_at = excluded.updated_at",
        (run_id, key, unit.stamp, value),
    )
    return StateValue(
        run_id=run_id, state_key=key, value=Raw(value.encode()), updated_at=unit.stamp
    )


def get_state(db: sqlite3.Connection, run_id: str, key: str) -> StateValue | None:
    """Return one key of a run's state, or None."""
    row = db.execute(
        "SELECT run_id, state_key, value, updated_at FROM run_state "
        "WHERE run_id = ? AND state_key = ?",
        (run_id, key),
    ).fetchone()
    return None if row is None else _state(row)


def states(db: sqlite3.Connection, run_id: str) -> list[StateValue]:
    """Return the whole state of a run, by key."""
    rows = db.execute(
        "SELECT run_id, state_key, value, updated_at FROM run_state WHERE run_id = ? "
        "ORDER BY state_key",
        (run_id,),
    )
    return [_state(row) for row in rows]


def keys_among(db: sqlite3.Connection, run_id: str, keys: list[str]) -> set[str]:
    """Return those of several keys that a run's state has."""
    rows = db.execute(
        "SELECT state_key FROM run_state WHERE run_id = ? "
        "AND state_key IN (SELECT value FROM json_each(?))",
        (run_id, _encode(keys).decode()),
    )
    return {key for (key,) in rows}


def count_states(db: sqlite3.Connection, run_id: str, like: str) -> int:
    """Return how many numbered keys there are of the family of `like`.

    Reserved keys look like `strait.event.<n>.<digest>`; `like` is one with any number.
    """
    head, _, tail = like.rpartition(".")
    family = head.rpartition(".")[0]
    (count,) = db.execute(
        "SELECT count(*) FROM run_state WHERE run_id = ? "
        "AND state_key > ? AND state_key < ? AND state_key GLOB ?",
        (run_id, f"{family}.", f"{family}/", f"{family}.*.{tail}"),
    ).fetchone()
    return int(count)


def delete_state(db: sqlite3.Connection, run_id: str, key: str) -> None:
    """Delete one key of a run's state."""
    db.execute("DELETE FROM run_state WHERE run_id = ? AND state_key = ?", (run_id, key))


def put_output(unit: Unit, run_id: str, key: str, record: Struct) -> None:
    """Write a named output of a run over an earlier one of the same name."""
    unit.db.execute(
        "INSERT INTO run_outputs (run_id, output_key, created_at, doc) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (run_id, output_key) DO UPDATE SET doc = excluded.doc, "
        "created_at = excluded.created_at",
        (run_id, key, unit.stamp, _encode(record).decode()),
    )


def put_sample(unit: Unit, run_id: str, kind: str, record_id: str, record: Struct) -> None:
    """Write a sample that a handler reports: resources, usage, a tool call, an iteration."""
    unit.db.execute(
        "INSERT INTO run_samples (id, run_id, kind, created_at, doc) VALUES (?, ?, ?, ?, ?)",
        (record_id, run_id, kind, unit.stamp, _encode(record).decode()),
    )


def documents(
    db: sqlite3.Connection,
    table: str,
    where: str,
    parameters: tuple[object, ...],
    *,
    limit: int,
    newest_first: bool = True,
) -> list[tuple[Timestamp, bytes]]:
    """Return (created_at, JSON) of the rows of one of the tables above."""
    order = "DESC" if newest_first else "ASC"
    rows = db.execute(
        f"SELECT created_at, doc FROM {table} WHERE {where} ORDER BY created_at {order} LIMIT ?",
        (*parameters, limit),
    )
    return [(created_at, doc.encode()) for created_at, doc in rows]


def _state(row: tuple[str, str, str, str]) -> StateValue:
    return StateValue(
        run_id=row[0], state_key=row[1], value=Raw(row[2].encode()), updated_at=row[3]
    )

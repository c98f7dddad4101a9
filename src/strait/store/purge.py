"""Taking the payloads of runs away for good, and keeping the record that there were such runs.

What a purge leaves of a run is who ran when and how it ended. Everything that a payload may have
flowed into is replaced by a tombstone: of the run, of what it has started, and of the workflow run
that it was a step of. Afterwards the whole file is rewritten, so that no page keeps the old text.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from strait.clock import Timestamp
from strait.store import maintenance, migrations, scrub, workflow_runs
from strait.store.connection import StoreError, open_writer
from strait.store.runs import UNFINISHED


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be purged; all that is given must hold.

    Attributes:
        run_id: a run or a workflow run.
        ended_before: those that were over before this.
        where: a path into the payload, such as `user.id`, and the value that it has there.
        forget_keys_before: idempotency keys of runs that ended before this are taken away too; the
            keys of younger ones still answer for them.
    """

    run_id: str = ""
    ended_before: Timestamp = ""
    where: tuple[str, str] | None = None
    forget_keys_before: Timestamp = ""


class UnknownRunError(StoreError):
    """The database has no run, and no workflow run, of the id that was asked for."""


class Purged(NamedTuple):
    """How many runs, workflow runs and waiting triggers a purge has reached.

    `unfinished` are those that it left alone because they are not over.
    """

    runs: int
    workflow_runs: int
    waiting: int
    unfinished: int


def purge(path: Path, asked: Asked, now: Timestamp, *, dry_run: bool = False) -> Purged:
    """Take payloads away, or count the runs that it would reach.

    Args:
        path: the database; no server may have it.
        asked: which runs.
        now: when this is, for the tombstones.
        dry_run: change nothing.

    Raises:
        OwnedError: a server has the database.
        UnknownRunError: it has no such run.
        StoreError: it cannot be written, or has another schema than this release.
    """
    with maintenance.owned(path), closing(open_writer(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version != migrations.newest():
            raise StoreError(
                f"`{path}` has schema version {version}; run `strait db migrate` first"
            )
        db.execute("PRAGMA secure_delete=ON")
        try:
            db.execute("BEGIN IMMEDIATE")
            if asked.run_id and not _has_run(db, asked.run_id):
                raise UnknownRunError(f"`{path}` has no run or workflow run `{asked.run_id}`")
            purged = _purge(db, asked, now, dry_run=dry_run)
            db.execute("ROLLBACK" if dry_run else "COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"nothing was purged: {error}") from error
        if not dry_run:
            maintenance.rewrite(db, path)
        return purged


def _purge(db: sqlite3.Connection, asked: Asked, now: Timestamp, *, dry_run: bool) -> Purged:
    db.execute("CREATE TEMP TABLE reached (id TEXT PRIMARY KEY) WITHOUT ROWID")
    _reach_first(db, asked)
    while _reach_more(db):
        pass
    unfinished = _leave_unfinished(db)
    runs, flows = (
        int(db.execute(f"SELECT count(*) FROM {table} WHERE id IN temp.reached").fetchone()[0])
        for table in ("runs", "workflow_runs")
    )
    waiting = _drop_waiting(db, asked)
    if not dry_run:
        scrub.everything(db, now, forget_keys_before=asked.forget_keys_before)
    return Purged(runs, flows, waiting, unfinished)


# -------------------------------------------------------------------------------- which are reached


def _has_run(db: sqlite3.Connection, run_id: str) -> bool:
    query = "SELECT 1 FROM runs WHERE id = :id UNION ALL SELECT 1 FROM workflow_runs WHERE id = :id"
    return db.execute(query, {"id": run_id}).fetchone() is not None


def _reach_first(db: sqlite3.Connection, asked: Asked) -> None:
    """Note the runs that fit what was asked."""
    for table, ended, payload, place in (
        ("runs", "finished_at", "payload", "$"),
        ("workflow_runs", "doc ->> '$.finished_at'", "doc", "$.payload"),
    ):
        tests, values = ["1 = 1"], {}
        if asked.run_id:
            tests.append("id = :run_id")
            values["run_id"] = asked.run_id
        if asked.ended_before:
            tests.append(f"coalesce({ended}, '') <> '' AND {ended} < :before")
            values["before"] = asked.ended_before
        if asked.where is not None:
            tests.append(_has(payload))
            values |= _wanted(asked.where, place)
        db.execute(
            f"INSERT OR IGNORE INTO temp.reached SELECT id FROM {table} "
            f"WHERE {' AND '.join(tests)}",
            values,
        )
    if asked.where is not None and not asked.run_id and not asked.ended_before:
        _reach_receivers(db, asked.where)


def _reach_receivers(db: sqlite3.Connection, where: tuple[str, str]) -> None:
    """Note who waited for an event: what was sent to them is a payload too."""
    for place in _SENT:
        db.execute(
            "INSERT OR IGNORE INTO temp.reached SELECT coalesce(workflow_run_id, job_run_id) "
            "FROM event_triggers WHERE coalesce(workflow_run_id, job_run_id) IS NOT NULL "
            f"AND {_has('doc')}",
            _wanted(where, place),
        )


# Where a wait keeps what it was asked for with, and what it got.
_SENT = ("$.request_payload", "$.response_payload")


def _has(column: str) -> str:
    """Return the condition that JSON has a value at a path, as a text or as JSON."""
    return f"(CAST({column} ->> :path AS TEXT) = :value OR {column} -> :path = :value)"


def _wanted(where: tuple[str, str], place: str) -> dict[str, str]:
    path, value = where
    steps = (f"[{step}]" if step.isdigit() else f'."{step}"' for step in path.split("."))
    return {"path": place + "".join(steps), "value": value}


def _reach_more(db: sqlite3.Connection) -> bool:
    """Note what those have started that were noted, and the workflow runs they were steps of."""
    before = db.total_changes
    steps = "SELECT id FROM step_runs WHERE workflow_run_id IN temp.reached"
    step_ids = "SELECT workflow_step_run_id FROM runs WHERE id IN temp.reached"
    for query in (
        "SELECT id FROM runs WHERE parent_run_id IN temp.reached",
        f"SELECT id FROM runs WHERE workflow_step_run_id IN ({steps})",
        "SELECT id FROM runs WHERE doc ->> 'continuation_of' IN temp.reached",
        "SELECT id FROM runs WHERE doc ->> 'replayed_run_id' IN temp.reached",
        f"SELECT id FROM workflow_runs WHERE parent_step_run_id IN ({steps})",
        "SELECT id FROM workflow_runs WHERE doc ->> 'retry_of_run_id' IN temp.reached",
        f"SELECT workflow_run_id FROM step_runs WHERE id IN ({step_ids})",
    ):
        db.execute(f"INSERT OR IGNORE INTO temp.reached {query}")
    return db.total_changes > before


def _leave_unfinished(db: sqlite3.Connection) -> int:
    living = (
        f"SELECT id FROM runs WHERE {UNFINISHED} UNION ALL "
        f"SELECT id FROM workflow_runs WHERE {workflow_runs.UNFINISHED}"
    )
    return db.execute(f"DELETE FROM temp.reached WHERE id IN ({living})").rowcount


def _drop_waiting(db: sqlite3.Connection, asked: Asked) -> int:
    """Delete what is no run yet: triggers that wait to become one, events that nobody awaits."""
    if asked.where is None or asked.run_id or asked.ended_before:
        return 0
    places = [("debounces", "payload", "$"), ("batch_items", "payload", "$")]
    places += [("held_events", "doc", place) for place in _SENT]
    return sum(
        db.execute(
            f"DELETE FROM {table} WHERE {_has(column)}", _wanted(asked.where, place)
        ).rowcount
        for table, column, place in places
    )

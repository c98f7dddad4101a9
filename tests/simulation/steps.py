"""What must be true of recorded steps and undos in every database that a story leaves behind."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation.durable import plan
from strait.reserved import STEP_PREFIX, UNDO_STEP_PREFIX

if TYPE_CHECKING:
    from simulation.scenario import Story

Records = dict[str, dict[str, Any]]


class DurableRun(NamedTuple):
    """A run of the durable job, with its records in the order in which they were made."""

    id: str
    status: str
    undoes: str
    records: Records

    @property
    def done(self) -> list[str]:
        """The names of its steps."""
        names = [record["name"] for record in self.records.values()]
        return [name for name in names if not name.startswith(UNDO_STEP_PREFIX)]

    @property
    def undone(self) -> list[str]:
        """The names of the steps whose undos are on record."""
        names = [record["name"] for record in self.records.values()]
        prefix = UNDO_STEP_PREFIX
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

    @property
    def to_undo(self) -> list[str]:
        """The names of its steps that have an undo, the last one first."""
        return [record["name"] for record in self.records.values() if record["undo"]][::-1]


def broken(db: sqlite3.Connection, story: Story) -> list[str]:
    """Return which promises about steps were broken."""
    runs = _runs(db)
    return [
        fault
        for run in runs.values()
        for fault in (
            *_not_as_written(run, story),
            *_not_all_done(run),
            *_not_undone(run, runs, story),
        )
    ]


def _runs(db: sqlite3.Connection) -> dict[str, DurableRun]:
    rows = db.execute(
        "SELECT id, status, iif(doc ->> 'triggered_by' = 'undo', parent_run_id, '') FROM runs "
        "WHERE job_id IN (SELECT id FROM jobs WHERE doc ->> 'endpoint_url' LIKE '%/durable') "
        "ORDER BY created_at"
    )
    runs = {run: DurableRun(run, status, undoes, {}) for run, status, undoes in rows}
    values = db.execute(
        "SELECT run_id, state_key, value FROM run_state WHERE substr(state_key, 1, ?) = ? "
        "ORDER BY updated_at",
        (len(STEP_PREFIX), STEP_PREFIX),
    )
    for run, key, value in values:
        runs[run].records[key] = json.loads(value)
    return runs


def _not_as_written(run: DurableRun, story: Story) -> list[str]:
    """Check that records are what handlers wrote, and that none of them is lost."""
    books = story.handlers.durable.books
    found = []
    for key, record in run.records.items():
        # What undoes a run begins with the records of that.
        if record not in books.offered[run.id, key] + books.offered[run.undoes, key]:
            found.append(f"no handler of {run.id} wrote {record}")
    for (owner, key), value in books.kept.items():
        if owner == run.id and key.startswith(STEP_PREFIX) and run.records.get(key) != value:
            found.append(f"{run.id} has {run.records.get(key)} in place of {value}")
    return found


def _not_all_done(run: DurableRun) -> list[str]:
    if run.status != "completed" or run.undoes:
        return []
    deeds, fails = plan(run.id)
    wanted = [deed.name for deed in deeds if deed.kind == "step"]
    if fails or run.done != wanted:
        return [f"run {run.id} is completed with {run.done} of {wanted}"]
    return []


def _not_undone(run: DurableRun, runs: dict[str, DurableRun], story: Story) -> list[str]:
    """Check that what failed for good is undone once, the last step first, and nothing else is."""
    if run.undoes:
        return []
    companions = [other for other in runs.values() if other.undoes == run.id]
    to_undo = [] if run.status == "completed" else run.to_undo
    if run.id in story.handlers.durable.revived:
        # What undid it in its earlier lives has done away with what it undid.
        companions = companions[-1:] if to_undo else []
    if len(companions) != bool(to_undo):
        return [f"{run.id} is {run.status} with {run.to_undo} and has {len(companions)} undos"]
    return [
        f"{companion.id} is {companion.status} and has undone {companion.undone} of {to_undo}"
        for companion in companions
        if companion.undone != to_undo[: len(companion.undone)]
        or (companion.status == "completed" and companion.undone != to_undo)
    ]

"""A run is written over the row that was read, and over no other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from strait.engine.model import Run
from strait.engine.runs import State
from strait.store import runs
from strait.store.migrations import migrate
from strait.store.runs import StaleWrite, Stored

QUEUED = State(
    Run(
        id="run",
        job_id="job",
        project_id="project",
        status="queued",
        created_at="2026-01-01T00:00:00Z",
        attempt=1,
        triggered_by="manual",
        priority=0,
        debug_mode=False,
        lineage_depth=0,
    )
)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    migrate(made)
    runs.insert(made, [(QUEUED, None)])
    yield made
    made.close()


def now(db: sqlite3.Connection) -> Stored:
    stored = runs.load(db, "run")
    assert stored is not None
    return stored


def under(assignment: str, status: str = "executing") -> State:
    return replace(QUEUED, run=replace(QUEUED.run, status=status), assignment=assignment)


def test_what_was_changed_since_it_was_read_is_not_written_over(db: sqlite3.Connection) -> None:
    read = now(db)
    runs.save(db, read, under("1.1"))
    with pytest.raises(StaleWrite):
        runs.save(db, read, under("1.2"))
    assert now(db) == Stored(under("1.1"), read.revision + 1)


def test_what_was_read_before_it_was_undone_is_not_taken_for_what_came_instead(
    db: sqlite3.Connection,
) -> None:
    queued = now(db)
    db.execute("BEGIN")
    runs.save(db, queued, under("1.1"))
    undone = now(db)
    db.execute("ROLLBACK")
    runs.save(db, queued, under("1.2"))
    assert now(db).revision == undone.revision
    with pytest.raises(StaleWrite):
        runs.save(db, undone, under("1.1", "completed"))
    assert now(db).state == under("1.2")

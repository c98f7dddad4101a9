"""A list of runs has what it should and looks at little else: counted in steps, not in time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from strait.clock import to_timestamp
from strait.engine.model import Run
from strait.engine.runs import State
from strait.store import run_lists, runs
from strait.store.migrations import migrate
from strait.store.run_lists import FAILED, RARE, Wanted
from strait.store.runs import UNFINISHED, one_of

COUNT = 5_000
LIMIT = 10
END = "9999"
# A page of ten runs takes some hundred steps; to look at 5,000 runs takes some ten thousand.
FEW_STEPS = 4_000
STATUSES = {7: "failed", 8: "canceled", 9: "waiting", 11: "queued"}


def run(n: int) -> Run:
    rare = n % 500 == 3
    return Run(
        id=f"run-{n}",
        job_id="rare" if rare else "job",
        project_id="mine" if n % 10 else "theirs",
        status=STATUSES.get(n % 1_000, "completed"),
        created_at=to_timestamp(n * 1_000_000),
        attempt=1,
        triggered_by="cron" if rare else "manual",
        priority=0,
        debug_mode=False,
        lineage_depth=0,
        tags={"team": "rare" if rare else "common", "n": str(n)} if n % 2 else {},
        metadata={"place": "rare" if rare else "common"},
        batch_id="batch" if rare else "",
    )


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    migrate(made)
    made.execute("BEGIN")
    for n in range(COUNT):
        runs.insert(made, [(State(run(n)), None)])
    made.execute("COMMIT")
    yield made
    made.close()


def steps_of(db: sqlite3.Connection, wanted: Wanted) -> tuple[list[dict[str, Any]], str, int]:
    """Return a page, and how many steps SQLite took for it."""
    ticks = 0

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return 0

    db.set_progress_handler(tick, 10)
    try:
        rows, behind = run_lists.page(db, wanted)
    finally:
        db.set_progress_handler(None, 0)
    return [json.loads(document) for _, document in rows], behind, ticks * 10


def expected(wanted: Wanted) -> list[str]:
    def fits(made: Run) -> bool:
        return (
            made.project_id == wanted.project_id
            and made.created_at < wanted.before
            and (not wanted.statuses or made.status in wanted.statuses)
            and _has(made.tags, wanted.tag)
            and _has(made.metadata, wanted.metadata)
            and wanted.batch_id in {"", made.batch_id}
            and wanted.job_id in {"", made.job_id}
            and all(getattr(made, name) == value for name, value in wanted.fields.items())
        )

    return [made.id for made in map(run, reversed(range(COUNT))) if fits(made)][: wanted.limit]


def _has(pairs: dict[str, str], pair: tuple[str, str] | None) -> bool:
    return pair is None or (pair[0] in pairs and pair[1] in {"", pairs[pair[0]]})


def mine(**filters: Any) -> Wanted:
    return Wanted(**{"project_id": "mine", "before": END, "limit": LIMIT, **filters})


INDEXED = {
    "all": mine(),
    "deep": mine(before=to_timestamp(2_000 * 1_000_000)),
    "failed": mine(statuses=("failed",)),
    "canceled": mine(statuses=("canceled",)),
    "waiting": mine(statuses=("waiting",)),
    "queued": mine(statuses=("queued",)),
    "executing": mine(statuses=("executing",)),
    "expired": mine(statuses=("expired",)),
    "several": mine(statuses=("failed", "queued", "waiting")),
    "several, deep": mine(statuses=("failed", "waiting"), before=to_timestamp(3_000 * 1_000_000)),
    "common tag": mine(tag=("team", "common")),
    "rare tag": mine(tag=("team", "rare")),
    "no such tag": mine(tag=("nobody", "")),
    "no such value": mine(tag=("team", "nobody")),
    "batch": mine(batch_id="batch"),
    "batch and tag": mine(batch_id="batch", tag=("team", "rare")),
    "batch and status": mine(batch_id="batch", statuses=("completed", "failed")),
    "job": mine(job_id="rare"),
    "busy job": mine(job_id="job"),
    "job and batch": mine(job_id="rare", batch_id="batch"),
    "another project": mine(project_id="theirs"),
    "no project": mine(project_id="nobody's", statuses=("failed",)),
}
LOOKING = {
    "tag key": mine(tag=("n", "")),
    "tag key and status": mine(tag=("n", ""), statuses=("failed", "queued")),
    "completed": mine(statuses=("completed",)),
    "several": mine(statuses=("failed", "queued", "waiting", "completed")),
    "tag and status": mine(tag=("team", "common"), statuses=("failed",)),
    "job and status": mine(job_id="job", statuses=("failed",)),
    "job and tag": mine(job_id="rare", tag=("team", "rare")),
    "metadata": mine(metadata=("place", "rare")),
    "metadata key": mine(metadata=("place", "")),
    "triggered by": mine(fields={"triggered_by": "cron"}),
    "all at once": mine(
        statuses=("completed", "failed"),
        tag=("team", "rare"),
        metadata=("place", "rare"),
        fields={"triggered_by": "cron"},
    ),
}


@pytest.mark.parametrize("wanted", INDEXED.values(), ids=INDEXED)
def test_a_list_finds_its_runs_by_an_index(db: sqlite3.Connection, wanted: Wanted) -> None:
    page, behind, steps = steps_of(db, wanted)
    assert [made["id"] for made in page] == expected(wanted)
    assert steps < FEW_STEPS
    assert behind == ""


@pytest.mark.parametrize("wanted", LOOKING.values(), ids=LOOKING)
def test_other_filters_look_at_a_window_of_runs_and_say_where_they_stopped(
    db: sqlite3.Connection, wanted: Wanted
) -> None:
    found, before, pages = [], END, 0
    while before and len(found) < LIMIT:
        part = replace(wanted, before=before, looked_at=500, limit=LIMIT - len(found))
        page, before, steps = steps_of(db, part)
        found += [made["id"] for made in page]
        assert steps < 20 * FEW_STEPS
        pages += 1
    assert found == expected(wanted)
    assert pages <= COUNT / 500


def test_a_window_is_a_part_of_the_whole(db: sqlite3.Connection) -> None:
    nowhere = mine(metadata=("place", "nobody"))
    _, behind, steps = steps_of(db, replace(nowhere, looked_at=100))
    assert behind
    assert steps < FEW_STEPS * 2
    _, behind, steps = steps_of(db, replace(nowhere, looked_at=10 * COUNT))
    assert behind == ""
    assert steps > FEW_STEPS * 10


def test_what_is_unfinished_is_counted_without_what_is_over(db: sqlite3.Connection) -> None:
    assert run_lists.counts(db, "mine", ("queued", "executing")) == {"queued": 5, "executing": 0}


OLD = "project_id = 'p' AND created_at < 'x'"


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        (f"{OLD} AND status = ? AND {one_of(FAILED)} ORDER BY created_at DESC", "runs_failed"),
        (f"{OLD} AND status = ? AND {one_of(RARE)} ORDER BY created_at DESC", "runs_rare"),
        (f"{UNFINISHED} AND status = ? AND +project_id = 'p'", "runs_active"),
    ],
)
def test_a_partial_index_is_taken_where_its_condition_is_repeated(
    db: sqlite3.Connection, condition: str, index: str
) -> None:
    query = f"EXPLAIN QUERY PLAN SELECT id FROM runs WHERE {condition}"
    plan = [step for *_, step in db.execute(query, ("failed",))]
    assert any(f"INDEX {index}" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan

"""Random histories of runs, and a database that holds one."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from strait.clock import SECOND, to_timestamp
from strait.engine.model import Run
from strait.engine.runs import State
from strait.store import runs as run_rows
from strait.store.connection import open_writer
from strait.store.migrations import migrate

FAILED = {"failed", "crashed", "system_failed", "dead_letter"}
UNSUCCESSFUL = FAILED | {"timed_out"}
ENDED = UNSUCCESSFUL | {"completed", "canceled", "expired"}
ACTIVE = {"delayed", "queued", "executing", "waiting", "paused"}
START = 1_780_000_000 * SECOND
HOUR = 3600 * SECOND
# Histories reach over both ends of the period that is asked for.
FROM, TO = START + 10 * HOUR, START + 70 * HOUR


@dataclass(frozen=True)
class Past:
    """A run as it is in a history."""

    job: str
    status: str
    created: int
    waited: int | None
    took: int
    trigger: str
    tags: dict[str, str]
    error: str
    version: str
    costs: list[tuple[int, int]]
    project: str
    id: str = ""

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def ms(self) -> float | None:
        return None if self.waited is None or not self.ended else self.took / 1000


@dataclass
class History:
    """Runs, and the ones that a figure over the period is about."""

    all: list[Past]
    runs: list[Past] = field(default_factory=list)
    spent: list[tuple[Past, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        mine = [run for run in self.all if run.project == "p"]
        self.runs = [run for run in mine if run.ended and FROM <= run.created < TO]
        self.spent = [(run, at, cost) for run in mine for at, cost in run.costs if FROM <= at < TO]


@st.composite
def histories(draw: st.DrawFn) -> History:
    past = st.builds(
        Past,
        job=st.sampled_from(["j1", "j2", "j3"]),
        status=st.sampled_from(sorted(ENDED | ACTIVE)),
        created=st.integers(START, START + 80 * HOUR),
        waited=st.one_of(st.none(), st.integers(0, 5 * SECOND)),
        took=st.one_of(st.integers(0, 2 * SECOND), st.integers(0, 900 * SECOND)),
        trigger=st.sampled_from(["manual", "cron", "workflow"]),
        tags=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2),
        error=st.sampled_from(["", "boom", "no route to host"]),
        version=st.sampled_from(["ver_1", "ver_2"]),
        costs=st.lists(
            st.tuples(st.integers(START, START + 80 * HOUR), st.integers(0, 10**9)), max_size=3
        ),
        project=st.sampled_from(["p", "p", "p", "p", "other"]),
    )
    # No two runs share their instant; the server sees to that.
    found = draw(st.lists(past, max_size=40, unique_by=lambda run: run.created))
    return History([replace(run, id=f"run-{n}") for n, run in enumerate(found)])


def stored(history: History) -> sqlite3.Connection:
    """Write a history into a database as the server would."""
    db = open_writer(":memory:")
    migrate(db)
    db.create_function("sqrt", 1, math.sqrt)
    for job, enabled in (("j1", True), ("j2", True), ("j3", False)):
        doc = '{"enabled":true}' if enabled else '{"enabled":false}'
        db.execute(
            "INSERT INTO jobs (id, project_id, slug, created_at, doc) VALUES (?, 'p', ?, '', ?)",
            (job, f"slug-{job}", doc),
        )
    for past in history.all:
        _store(db, past)
    return db


def _store(db: sqlite3.Connection, past: Past) -> None:
    started = None if past.waited is None else past.created + past.waited
    run = Run(
        id=past.id,
        job_id=past.job,
        project_id=past.project,
        status=past.status,
        created_at=to_timestamp(past.created),
        attempt=1,
        triggered_by=past.trigger,
        priority=0,
        debug_mode=False,
        lineage_depth=0,
        tags=past.tags,
        error=past.error,
        job_version_id=past.version,
        started_at="" if started is None else to_timestamp(started),
    )
    run_rows.insert(db, [(State(run), "{}")])
    if past.ended:
        finished = to_timestamp((started or past.created) + past.took)
        db.execute("UPDATE runs SET finished_at = ? WHERE id = ?", (finished, past.id))
    for number, (at, cost) in enumerate(past.costs):
        db.execute(
            "INSERT INTO run_samples (id, run_id, kind, created_at, doc) "
            "VALUES (?, ?, 'usage', ?, ?)",
            (f"{past.id}-{number}", past.id, to_timestamp(at), f'{{"cost_microusd":{cost}}}'),
        )

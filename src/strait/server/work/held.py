"""Letting runs go that waited for the runs of other jobs (`contract/runs.md` §6.10)."""

from __future__ import annotations

from strait.clock import from_timestamp
from strait.engine import runs as engine
from strait.engine.admission import in_window
from strait.engine.model import Run
from strait.server.unit import Unit
from strait.server.work import dependencies, runs
from strait.store import dependencies as rows
from strait.store import runs as run_rows


def release(unit: Unit, job_id: str) -> None:
    """Queue the runs of a job that wait for nothing any more."""
    for run_id in rows.held_runs(unit.db, job_id):
        stored = run_rows.load(unit.db, run_id)
        if stored is not None and dependencies.are_satisfied(unit, stored.run):
            entry = unit.platform.jobs.for_run(unit.db, stored.run)
            opens_at = 0 if entry is None else in_window(entry.job, _instant(stored.run), unit.now)
            runs.apply(unit, stored, engine.Woken("its dependencies have ended", opens_at))


def _instant(run: Run) -> int:
    return from_timestamp(run.scheduled_at) if run.scheduled_at else 0

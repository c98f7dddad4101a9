"""Runs of which only the newest are kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from simulation import archives
from simulation.machine import Machine
from simulation.world import World
from strait.clock import SECOND, to_timestamp
from strait.fsm import is_terminal_run_status, is_terminal_workflow_run_status

if TYPE_CHECKING:
    from simulation.terms import Terms

_DAY = 24 * 3600
# A round comes each hour.
_ROUND_SECS = 2 * 3600
_TABLES = ("runs", "workflow_runs")


class Newest(World):
    """Those who keep so many runs, in some of the stories.

    Attributes:
        archive: where the rows go; None where everything is kept.
        newest: how many stay; 0 where that is no reason to drop any.
        quiet_since: since when nothing was to be done any more, in the end.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.archive: Path | None = None
        self.newest = 0
        self.quiet_since = 0
        self._kept: dict[str, dict[str, int]] = {table: {} for table in _TABLES}
        self._parents: dict[str, str] = {}
        if machine.seed % 2 == 0:
            self.archive = machine.database.with_name("archive")
            self.newest = machine.chance.choice((2, 5, 12))
            machine.settings = {"retain_runs": self.newest, "archive_dir": self.archive}

    def _look_at_what_is_kept(self) -> None:
        """Check that what has gone was not among the newest, and that nobody needs it."""
        platform = self.machine.platform
        if platform is None or not self.newest:
            return
        for table in _TABLES:
            # Those of steps go with their workflow run.
            own = "AND workflow_step_run_id IS NULL" if table == "runs" else ""
            rows = platform.reader.execute(f"SELECT id, seq FROM {table} WHERE true {own}")
            present: dict[str, int] = dict(rows.fetchall())
            everything = platform.reader.execute(f"SELECT seq FROM {table}")
            places = sorted((seq for (seq,) in everything), reverse=True)
            for run, seq in self._kept[table].items():
                if run not in present and sum(place > seq for place in places) < self.newest:
                    self.machine.faults.append(f"{run} is gone, one of the newest {self.newest}")
            self._kept[table] = present
        missed = [*_missed(platform.reader), *self._children_missed(platform.reader)]
        self.machine.faults += [f"{run} is gone, and {who} needs it" for who, run in missed]

    def _children_missed(self, db: sqlite3.Connection) -> list[tuple[str, str]]:
        """Return which runs are gone that another may still ask for which has started them."""
        statuses: dict[str, str] = dict(db.execute("SELECT id, status FROM runs").fetchall())
        missed = [
            (parent, child)
            for child, parent in self._parents.items()
            if child not in statuses
            if (status := statuses.get(parent, "completed")) == "dead_letter"
            or not is_terminal_run_status(status)
        ]
        rows = db.execute("SELECT id, parent_run_id FROM runs WHERE parent_run_id IS NOT NULL")
        self._parents = dict(rows.fetchall())
        return missed


def _missed(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return what living runs name that is not there, as (who, what)."""
    rows = db.execute(
        "SELECT status, id, parent_run_id FROM runs WHERE parent_run_id IS NOT NULL "
        "AND parent_run_id NOT IN (SELECT id FROM runs) UNION ALL "
        "SELECT status, id, workflow_step_run_id FROM runs WHERE workflow_step_run_id IS NOT NULL "
        "AND workflow_step_run_id NOT IN (SELECT id FROM step_runs)"
    ).fetchall()
    flows = db.execute(
        "SELECT workflow_runs.status, workflow_runs.id, step_runs.doc ->> 'job_run_id' "
        "FROM workflow_runs JOIN step_runs ON workflow_run_id = workflow_runs.id "
        "WHERE step_runs.doc ->> 'job_run_id' != '' "
        "AND step_runs.doc ->> 'job_run_id' NOT IN (SELECT id FROM runs)"
    ).fetchall()
    living = [row for row in rows if not is_terminal_run_status(row[0])]
    living += [row for row in flows if not is_terminal_workflow_run_status(row[0])]
    return [(who, what) for _, who, what in living]


def broken(story: Terms) -> list[str]:
    """Return which promises were broken, in what is left at last."""
    if story.archive is None:
        return []
    return [*archives.too_soon(story.archive), *_too_many(story)]


def _too_many(story: Terms) -> list[str]:
    """Check that nothing stays that is over for long, not one of the newest, and not needed."""
    before = to_timestamp(story.quiet_since - (_DAY + _ROUND_SECS) * SECOND)
    with closing(sqlite3.connect(story.machine.database)) as db:
        rows = db.execute(
            "SELECT id, finished_at FROM runs WHERE finished_at != '' AND finished_at < ?1 "
            "AND seq <= (SELECT max(seq) FROM runs) - ?2 AND workflow_step_run_id IS NULL "
            "AND (parent_run_id IS NULL OR parent_run_id NOT IN "
            "(SELECT id FROM runs WHERE status = 'dead_letter')) UNION ALL "
            "SELECT id, doc ->> 'finished_at' FROM workflow_runs "
            "WHERE doc ->> 'finished_at' < ?1 "
            "AND seq <= (SELECT max(seq) FROM workflow_runs) - ?2 "
            "AND NOT EXISTS (SELECT 1 FROM step_runs JOIN runs "
            "ON runs.workflow_step_run_id = step_runs.id "
            "WHERE workflow_run_id = workflow_runs.id AND finished_at >= ?1)",
            (before, story.newest),
        )
        return [f"{run} is kept, which is over since {ended}" for run, ended in rows.fetchall()]

"""Runs that are not kept any longer: archived where that is asked for, then deleted.

A round walks through the tables in small transactions, so that nobody waits long for the writer.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator

from strait.clock import SECOND, to_timestamp
from strait.server.archive import Archive
from strait.server.settings import Settings
from strait.server.unit import Unit
from strait.store import retention
from strait.store.retention import Found, Limits, Rows

logger = logging.getLogger("strait.server")

# A key answers for its run until this long after the end (`contract/runs.md` §3.2); no run goes
# before, whatever is set.
_DAY_SECS = 24 * 3600
_LOOKED_AT = 200


class Walk:
    """How far a round is: the last `seq` of each table that was looked at."""

    def __init__(self) -> None:
        self.positions = {"workflow_runs": 0, "runs": 0}

    def move(self, table: str, position: int) -> None:
        """Remember where the next transaction goes on; 0 is the beginning."""
        self.positions[table] = position


def drop_old_runs(unit: Unit) -> bool:
    """Drop a few of the runs that are too old; return whether this round may find more."""
    return _part(
        unit,
        "runs",
        retention.old_runs,
        lambda run_id: iter([(run_id, retention.rows_of_run(unit.db, run_id))]),
        retention.drop_run,
    )


def drop_old_workflow_runs(unit: Unit) -> bool:
    """Do the same for workflow runs; the runs of their steps go with them."""
    return _part(
        unit,
        "workflow_runs",
        retention.old_workflow_runs,
        lambda run_id: retention.rows_of_workflow_run(unit.db, run_id),
        retention.drop_workflow_run,
    )


def _limits(unit: Unit, settings: Settings) -> Limits:
    def ago(days: int) -> str:
        return to_timestamp(max(0, unit.now - days * _DAY_SECS * SECOND))

    return Limits(
        ended_before=ago(settings.retain_days) if settings.retain_days else "",
        newest=settings.retain_runs,
        spared_since=ago(1),
    )


def _part(
    unit: Unit,
    table: str,
    find: Callable[[sqlite3.Connection, Limits, int, int], Found],
    rows: Callable[[str], Iterator[tuple[str, Rows]]],
    drop: Callable[[sqlite3.Connection, str], None],
) -> bool:
    settings, walk = unit.platform.settings, unit.platform.walk
    if not (settings.retain_days or settings.retain_runs):
        return False
    found = find(unit.db, _limits(unit, settings), walk.positions[table], _LOOKED_AT)
    if found.ids and settings.archive_dir is not None:
        archive = Archive(settings.archive_dir, unit.platform.epoch)
        try:
            archive.write(unit.stamp, (line for run_id in found.ids for line in rows(run_id)))
        except OSError as error:
            logger.error("old runs are kept, since they cannot be archived: %s", error)
            unit.after(lambda: walk.move(table, 0))
            return False
    for run_id in found.ids:
        drop(unit.db, run_id)
    unit.after(lambda: walk.move(table, found.position if found.more else 0))
    return found.more

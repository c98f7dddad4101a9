"""Runs that are not kept: what is archived and deleted while others go on."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulation.machine import Machine
from simulation.world import World
from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.fsm import is_terminal_run_status, is_terminal_workflow_run_status

if TYPE_CHECKING:
    from simulation.calendar import Calendar

DAY = 24 * 3600
# A round comes each hour.
_ROUND_SECS = 2 * 3600
# Their rows are numbered anew once the last of them are gone.
_NUMBERED = frozenset({"runs", "workflow_runs", "event_triggers"})
Rows = dict[str, list[dict[str, Any]]]


class Archives(World):
    """Those who keep what is over for a day only, in some of the stories.

    Attributes:
        archive: where the rows go; None where everything is kept.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.archive: Path | None = None
        if machine.chance.random() < 0.4:
            self.archive = machine.database.with_name("archive")
            machine.settings = {"retain_days": 1, "archive_dir": self.archive}

    async def _days_go_by(self) -> None:
        await self.machine.clock.sleep(self.machine.chance.choice((0.3, 1.2, 2.0)) * DAY)


@contextmanager
def whole(database: Path, archive: Path | None) -> Iterator[sqlite3.Connection]:
    """Open a database with all that it has ever had."""
    with closing(sqlite3.connect(database)) as left:
        if archive is None:
            yield left
            return
        with closing(sqlite3.connect(":memory:")) as db:
            left.backup(db)
            # It only holds the place of the last of the lines that are put back.
            db.execute("DELETE FROM ledger WHERE subject = ''")
            for _, subject, rows in archived(archive):
                if not _has(db, subject):
                    _put_back(db, rows)
            yield db


def archived(archive: Path) -> list[tuple[str, str, Rows]]:
    """Return what was archived, as (day, id, rows by table), in its order."""
    found = []
    for path in sorted(archive.glob("*.gz"), key=lambda path: path.stat().st_mtime_ns):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            one = json.loads(line)
            found.append((path.name.removeprefix("runs-")[:10], one["id"], one["rows"]))
    return found


def _has(db: sqlite3.Connection, subject: str) -> bool:
    row = db.execute(
        "SELECT 1 FROM runs WHERE id = ?1 UNION ALL SELECT 1 FROM workflow_runs WHERE id = ?1",
        (subject,),
    )
    return row.fetchone() is not None


def _put_back(db: sqlite3.Connection, rows: Rows) -> None:
    for table, found in rows.items():
        for row in found:
            kept = {
                name: json.dumps(value) if _is_json(name, value) else value
                for name, value in row.items()
                if not (name == "seq" and table in _NUMBERED)
            }
            marks = ", ".join("?" * len(kept))
            sql = f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({marks})"
            db.execute(sql, list(kept.values()))


def _is_json(name: str, value: object) -> bool:
    return name in {"doc", "payload", "result", "data", "value", "labels"} and value is not None


def broken(story: Calendar) -> list[str]:
    """Return which promises were broken."""
    if story.archive is None:
        return []
    return [*too_soon(story.archive), *_too_late(story)]


def too_soon(archive: Path) -> list[str]:
    """Check that nothing goes that is not over, or is since the same day only."""
    rows = [
        (day, row["id"], row["status"], row.get("finished_at") or row["doc"].get("finished_at"))
        for day, _, found in archived(archive)
        for row in (*found.get("runs", []), *found.get("workflow_runs", []))
    ]
    return [
        f"{run} was {status}, and is archived"
        if not (is_terminal_run_status(status) or is_terminal_workflow_run_status(status))
        else f"{run} is over since {ended}, and archived on {day}"
        for day, run, status, ended in rows
        if not (ended and ended[:10] < day)
    ]


def _too_late(story: Calendar) -> list[str]:
    """Check that nothing stays that has been over for long, but for what was written last."""
    before = to_timestamp(story.quiet_since - (DAY + _ROUND_SECS) * SECOND)
    with closing(sqlite3.connect(story.machine.database)) as db:
        rows = db.execute(
            "SELECT id, finished_at FROM runs WHERE finished_at < ?1 UNION ALL "
            "SELECT id, doc ->> 'finished_at' FROM workflow_runs WHERE doc ->> 'finished_at' < ?1",
            (before,),
        )
        return [
            f"{run} is kept, which is over since {from_timestamp(ended)}"
            for run, ended in rows.fetchall()
        ]

"""Pages of runs by every filter of the API, each with the index that fits it.

A list reads what it answers with, and little else, also among a million runs: SQLite takes a
partial index only where the query repeats its condition word by word; that is chosen here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from strait.clock import Timestamp
from strait.store.runs import ACTIVE, UNFINISHED, documents, one_of

# The conditions of the partial indexes `runs_failed` and `runs_rare`.
FAILED = ("failed", "timed_out", "crashed", "system_failed", "dead_letter")
RARE = ("delayed", "waiting", "paused", "replay_staged", "canceled", "expired")
# Sorting this many is quick; where more runs are at work, the newest of all runs are among them.
_FEW = 2_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs of a project a page has.

    Attributes:
        project_id: the project.
        before: they are older than this.
        limit: how many at most.
        statuses: statuses of ours, or none for all.
        tag: a key and its value; "" is any value.
        metadata: a key and its value; "" is any value.
        batch_id: the bulk trigger that made them.
        job_id: the job that they are runs of.
        fields: further fields of their record with their values.
        environment_id: the environment of their jobs; "" is any.
        looks: the caller will look into each of them.
        looked_at: how many runs of the project are looked at where no index finds them.
    """

    project_id: str
    before: Timestamp
    limit: int
    statuses: tuple[str, ...] = ()
    tag: tuple[str, str] | None = None
    metadata: tuple[str, str] | None = None
    batch_id: str = ""
    job_id: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    environment_id: str = ""
    looks: bool = False
    looked_at: int = 2_000

    @property
    def is_plain(self) -> bool:
        """Whether the first rows that are looked at are the page."""
        unfiltered = not (self.statuses or self.tag or self.metadata or self.batch_id)
        return unfiltered and not (self.fields or self.environment_id or self.job_id)


class Page(NamedTuple):
    """A page of runs.

    Attributes:
        rows: their wire forms with their instants, newest first.
        behind: where the next page goes on when this one is short although there may be more: so
            many runs were looked at that somebody else should have a turn. "" is nowhere.
    """

    rows: list[tuple[Timestamp, bytes]]
    behind: Timestamp = ""


def page(db: sqlite3.Connection, wanted: Wanted) -> Page:
    """Return the newest of the runs that are wanted."""
    if wanted.is_plain and not wanted.looks:
        newest = "project_id = ? AND created_at < ?"
        values = (wanted.project_id, wanted.before)
        return Page(documents(db, newest, values, limit=wanted.limit))
    since = _end_of_window(db, wanted) if _looks(db, wanted) else ""
    query, parameters = found(db, wanted, since)
    rows = documents(db, f"seq IN ({query})", parameters, limit=wanted.limit)
    return Page(rows, since if len(rows) < wanted.limit else "")


def _looks(db: sqlite3.Connection, wanted: Wanted) -> bool:
    """Tell whether runs must be looked at that may not be on the page."""
    if wanted.looks or wanted.fields or wanted.metadata or wanted.environment_id:
        return True
    if wanted.batch_id:
        return False
    if wanted.job_id:
        return bool(wanted.statuses or wanted.tag)
    if wanted.tag is not None:
        return bool(wanted.statuses) or not _is_tag_indexed(db, wanted)
    return not all(_is_indexed(db, status) for status in wanted.statuses)


def _is_indexed(db: sqlite3.Connection, status: str) -> bool:
    return status in FAILED or status in RARE or (status in ACTIVE and _few(db, status))


def _end_of_window(db: sqlite3.Connection, wanted: Wanted) -> Timestamp:
    row = db.execute(
        "SELECT created_at FROM runs WHERE project_id = ? AND created_at < ? "
        "ORDER BY created_at DESC LIMIT 1 OFFSET ?",
        (wanted.project_id, wanted.before, wanted.looked_at - 1),
    ).fetchone()
    return "" if row is None else str(row[0])


def found(
    db: sqlite3.Connection, wanted: Wanted, since: Timestamp = ""
) -> tuple[str, list[object]]:
    """Return the query for the `seq` of the runs of a page, and its values."""
    parts: list[str] = []
    values: list[object] = []
    # One status after the other: each comes in order from its index, and the newest of all remain.
    for status in wanted.statuses or ("",):
        part, its_values = _of_status(db, wanted, status, since)
        parts.append(f"SELECT seq, at FROM ({part})")
        values += its_values
    query = f"SELECT seq FROM ({' UNION ALL '.join(parts)}) ORDER BY at DESC LIMIT ?"
    return query, [*values, wanted.limit]


def _of_status(
    db: sqlite3.Connection, wanted: Wanted, status: str, since: Timestamp
) -> tuple[str, list[object]]:
    source, at, where, values = _source(db, wanted, status)
    if since:
        where.append(f"{at} >= ?")
        values.append(since)
    for name, value in wanted.fields.items():
        where.append(f"runs.doc ->> '{name}' = ?")
        values.append(value)
    if wanted.environment_id:
        of_jobs = "SELECT id FROM jobs WHERE doc ->> '$.environment_id' = ?"
        where.append(f"runs.job_id IN ({of_jobs})")
        values.append(wanted.environment_id)
    if wanted.metadata is not None:
        key, value = wanted.metadata
        test = "key = ?" + (" AND value = ?" if value else "")
        where.append(f"EXISTS (SELECT 1 FROM json_each(runs.doc, '$.metadata') WHERE {test})")
        values += [key, value] if value else [key]
    query = (
        f"SELECT runs.seq AS seq, {at} AS at FROM {source} WHERE {' AND '.join(where)} "
        f"ORDER BY {at} DESC LIMIT ?"
    )
    return query, [*values, wanted.limit]


def _source(
    db: sqlite3.Connection, wanted: Wanted, status: str
) -> tuple[str, str, list[str], list[object]]:
    """Return where the runs come from, their instant there, and conditions with their values."""
    of_status = ["runs.status = ?"] if status else []
    values: list[object] = [wanted.project_id, wanted.before]
    values_of_status: list[object] = [status] if status else []
    if not wanted.batch_id and not wanted.job_id and _is_tag_indexed(db, wanted):
        where = ["tagged.project_id = ?", "tagged.created_at < ?", *_tag_tests(wanted, "tagged.")]
        source = "run_tags AS tagged CROSS JOIN runs ON runs.id = tagged.run_id"
        values += [*_tag_values(wanted), *values_of_status]
        return source, "tagged.created_at", [*where, *of_status], values
    where = ["project_id = ?", "created_at < ?"]
    if wanted.batch_id:
        where = [*_UNORDERED, "batch_id = ?"]
        values.append(wanted.batch_id)
    elif wanted.job_id:
        where = ["+project_id = ?", "created_at < ?"]
    elif status in FAILED:
        where.append(one_of(FAILED))
    elif status in RARE:
        where.append(one_of(RARE))
    elif status in ACTIVE and _few(db, status):
        where = [*_UNORDERED, UNFINISHED]
    if wanted.job_id:
        where.append("job_id = ?")
        values.append(wanted.job_id)
    if wanted.tag is not None:
        tests = " AND ".join(_tag_tests(wanted))
        where.append(f"EXISTS (SELECT 1 FROM json_each(runs.doc, '$.tags') WHERE {tests})")
        values += _tag_values(wanted)
    return "runs", "created_at", [*where, *of_status], [*values, *values_of_status]


# Unary `+` keeps SQLite from the index of the project.
_UNORDERED = ("+project_id = ?", "+created_at < ?")


def _tag_tests(wanted: Wanted, prefix: str = "") -> list[str]:
    names = ("key", "value")
    return [f"{prefix}{name} = ?" for name, _ in zip(names, _tag_values(wanted), strict=False)]


def _tag_values(wanted: Wanted) -> list[object]:
    return [text for text in wanted.tag or () if text]


def _is_tag_indexed(db: sqlite3.Connection, wanted: Wanted) -> bool:
    """Tell whether the runs of a tag come in order, or are few enough to be put in order."""
    if wanted.tag is None or wanted.tag[1]:
        return wanted.tag is not None
    (count,) = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM run_tags WHERE project_id = ? AND key = ? LIMIT ?)",
        (wanted.project_id, wanted.tag[0], _FEW + 1),
    ).fetchone()
    return int(count) <= _FEW


def counts(db: sqlite3.Connection, project_id: str, statuses: tuple[str, ...]) -> dict[str, int]:
    """Return how many runs of a project have each of some statuses that are not the end."""
    rows = db.execute(
        f"SELECT status, count(*) FROM runs WHERE {UNFINISHED} AND {one_of(statuses)} "
        "AND +project_id = ? GROUP BY status",
        (project_id,),
    )
    return dict.fromkeys(statuses, 0) | dict(rows.fetchall())


def dead_letters(db: sqlite3.Connection, project_id: str, limit: int) -> list[str]:
    """Return the ids of the oldest dead letters of a project whose jobs are still there."""
    rows = db.execute(
        f"SELECT id FROM runs WHERE project_id = ? AND status = 'dead_letter' "
        f"AND {one_of(FAILED)} AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = runs.job_id) "
        "ORDER BY created_at LIMIT ?",
        (project_id, limit),
    )
    return [run_id for (run_id,) in rows]


def _few(db: sqlite3.Connection, status: str) -> bool:
    (count,) = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM runs WHERE {UNFINISHED} AND status = ? LIMIT ?)",
        (status, _FEW + 1),
    ).fetchone()
    return int(count) <= _FEW

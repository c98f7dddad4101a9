"""Money: what was spent by project and day, and the limits that were set."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct, json

from strait.clock import Timestamp

Limit = TypeVar("Limit", bound=Struct)


class Budget(Struct, frozen=True, kw_only=True):
    """What a project may spend in a calendar month (UTC)."""

    monthly_budget_microusd: int = 0
    budget_action: str = "notify"  # reject | block | notify


class SpendingLimit(Struct, frozen=True, kw_only=True):
    """What all projects of an organization may spend in a calendar month together."""

    limit_microusd: int = 0
    action: str = "notify"  # reject | notify
    overage_enabled: bool = True


class AnomalyThresholds(Struct, frozen=True, kw_only=True):
    """How many times the mean of the last week a day may cost before somebody is told."""

    warning_threshold: float = 2.0
    critical_threshold: float = 5.0


_KINDS: dict[type[Struct], str] = {
    Budget: "budget",
    SpendingLimit: "spending_limit",
    AnomalyThresholds: "anomalies",
}


def limit(db: sqlite3.Connection, owner_id: str, kind: type[Limit]) -> Limit | None:
    """Return a limit of a project or an organization, or None where none was set."""
    row = db.execute(
        "SELECT doc FROM spend_limits WHERE owner_id = ? AND kind = ?", (owner_id, _KINDS[kind])
    ).fetchone()
    return None if row is None else json.decode(row[0], type=kind)


def set_limit(db: sqlite3.Connection, owner_id: str, limit: Struct) -> None:
    """Set a limit over an earlier one."""
    db.execute(
        "INSERT INTO spend_limits (owner_id, kind, doc) VALUES (?, ?, ?) "
        "ON CONFLICT (owner_id, kind) DO UPDATE SET doc = excluded.doc",
        (owner_id, _KINDS[type(limit)], json.encode(limit).decode()),
    )


def any_limit(db: sqlite3.Connection) -> bool:
    """Return whether anybody set a budget or a spending limit."""
    row = db.execute(
        "SELECT 1 FROM spend_limits WHERE kind IN ('budget', 'spending_limit') LIMIT 1"
    ).fetchone()
    return row is not None


def add(db: sqlite3.Connection, project_id: str, at: Timestamp, microusd: int) -> None:
    """Add what was reported at an instant."""
    db.execute(
        "INSERT INTO spend (project_id, day, microusd) VALUES (?, ?, ?) "
        "ON CONFLICT (project_id, day) DO UPDATE SET microusd = microusd + excluded.microusd",
        (project_id, at[:10], microusd),
    )


def of_month(db: sqlite3.Connection, project_ids: Sequence[str], at: Timestamp) -> int:
    """Return what projects have spent in the month of an instant."""
    month = at[:7]
    return sum(by_day(db, project_ids, f"{month}-01", f"{month}-31").values())


def by_day(
    db: sqlite3.Connection, project_ids: Sequence[str], first: str, last: str
) -> dict[tuple[str, str], int]:
    """Return what projects have spent, by (project, day), from one day to another."""
    marks = ", ".join("?" for _ in project_ids)
    rows = db.execute(
        f"SELECT project_id, day, microusd FROM spend WHERE project_id IN ({marks}) "
        "AND day BETWEEN ? AND ? ORDER BY day, project_id",
        (*project_ids, first, last),
    )
    return {(project_id, day): microusd for project_id, day, microusd in rows}


def runs_by_day(
    db: sqlite3.Connection, project_ids: Sequence[str], first: str, last: str
) -> dict[tuple[str, str], int]:
    """Return how many runs projects have made, by (project, day), from one day to another.

    Runs that were dropped since are counted.
    """
    marks = ", ".join("?" for _ in project_ids)
    rows = db.execute(
        "SELECT project_id, day, sum(count) FROM ("
        "SELECT project_id, substr(created_at, 1, 10) AS day, count(*) AS count FROM runs "
        f"WHERE project_id IN ({marks}) AND created_at >= ? AND created_at <= ? "
        "GROUP BY project_id, day "
        f"UNION ALL SELECT project_id, day, runs FROM dropped_runs WHERE project_id IN ({marks}) "
        "AND day BETWEEN ? AND ?) GROUP BY project_id, day ORDER BY day, project_id",
        (*project_ids, first, f"{last}T99", *project_ids, first, last),
    )
    return {(project_id, day): count for project_id, day, count in rows}


def run_dropped(db: sqlite3.Connection, run_id: str) -> None:
    """Count a run among those that were made and are not kept; before its row is deleted."""
    db.execute(
        "INSERT INTO dropped_runs (project_id, day, runs) "
        "SELECT project_id, substr(created_at, 1, 10), 1 FROM runs WHERE id = ? "
        "ON CONFLICT (project_id, day) DO UPDATE SET runs = runs + 1",
        (run_id,),
    )


def mean_of_job(db: sqlite3.Connection, job_id: str) -> int:
    """Return what the newest hundred runs of a job that have ended cost on average, in microusd.

    Those among them that never began, canceled or expired, say nothing of its cost.
    """
    (mean,) = db.execute(
        "SELECT avg((SELECT coalesce(sum(sample.doc ->> 'cost_microusd'), 0) "
        "FROM run_samples AS sample WHERE sample.run_id = run.id AND sample.kind = 'usage')) "
        "FROM (SELECT id, doc FROM runs WHERE job_id = ? AND finished_at != '' "
        "ORDER BY created_at DESC LIMIT 100) AS run WHERE run.doc ->> 'started_at' != ''",
        (job_id,),
    ).fetchone()
    return int(mean or 0)

"""What must be true of every database that a story leaves behind."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from strait.fsm import (
    is_terminal_run_status,
    is_terminal_workflow_run_status,
    run_can_move,
)

if TYPE_CHECKING:
    from simulation.scenario import Story


def unfinished(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the runs and workflow runs that are not over, with their statuses."""
    rows = db.execute("SELECT id, status FROM runs UNION ALL SELECT id, status FROM workflow_runs")
    return [
        (run, status)
        for run, status in rows
        if not (is_terminal_run_status(status) or is_terminal_workflow_run_status(status))
    ]


def broken(database: Path, story: Story) -> list[str]:
    """Return which promises were broken; none is what is expected."""
    with closing(sqlite3.connect(database)) as db:
        return [
            *_lost(db, story),
            *_doubled(db, story),
            *_histories(db),
            *_attempts(db),
            *_results(db, story),
            *_leftovers(db),
            *(
                f"integrity: {row[0]}"
                for row in db.execute("PRAGMA integrity_check")
                if row[0] != "ok"
            ),
        ]


def _lost(db: sqlite3.Connection, story: Story) -> list[str]:
    present = {run for (run,) in db.execute("SELECT id FROM runs")}
    flows = {run for (run,) in db.execute("SELECT id FROM workflow_runs")}
    return [
        *(
            f"run {run} was acknowledged and is lost"
            for run in story.acknowledged
            if run not in present
        ),
        *(f"workflow run {run} is lost" for run in story.workflow_runs if run not in flows),
    ]


def _doubled(db: sqlite3.Connection, story: Story) -> list[str]:
    twice = db.execute(
        "SELECT idempotency_key FROM runs WHERE idempotency_key IS NOT NULL "
        "GROUP BY job_id, idempotency_key HAVING count(*) > 1"
    )
    return [
        *(f"key {key} has more than one run" for (key,) in twice),
        *(f"key {k} was answered with {ids}" for k, ids in story.by_key.items() if len(ids) > 1),
    ]


def _histories(db: sqlite3.Connection) -> list[str]:
    """Check that every history is without gaps, each change legal, and nothing follows an end."""
    found = []
    lines: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for subject, seq, kind, data in db.execute(
        "SELECT subject, seq, type, data FROM ledger ORDER BY subject, seq"
    ):
        lines[subject].append((seq, kind, data))
    statuses = dict(db.execute("SELECT id, status FROM runs"))
    for subject, entries in lines.items():
        if [seq for seq, _, _ in entries] != list(range(1, len(entries) + 1)):
            found.append(f"the history of {subject} has gaps")
        if subject not in statuses:
            continue
        moves = [json.loads(data) for _, kind, data in entries if kind == "state_change"]
        found += [
            f"{subject} became {one['to']} and then left {other['from']}"
            for one, other in pairwise(moves)
            if one["to"] != other["from"]
        ]
        found += [
            f"{subject} went from {move['from']} to {move['to']}"
            for move in moves
            if move.get("from") and not run_can_move(move["from"], move["to"])
        ]
        ends = [move["to"] for move in moves if is_terminal_run_status(move["to"])]
        if len(ends) != 1 or ends[-1] != statuses[subject]:
            found.append(f"{subject} is {statuses[subject]} and ended as {ends}")
    return found


def _attempts(db: sqlite3.Connection) -> list[str]:
    rows = db.execute(
        "SELECT id, doc ->> 'attempt', doc ->> 'max_attempts_override', job_id FROM runs"
    )
    most = dict(db.execute("SELECT id, doc ->> 'max_attempts' FROM jobs"))
    return [
        f"run {run} had {attempt} attempts of {override or most[job]}"
        for run, attempt, override, job in rows
        if int(attempt) > int(override or most[job])
    ]


def _results(db: sqlite3.Connection, story: Story) -> list[str]:
    rows = db.execute("SELECT id, result FROM runs WHERE status = 'completed'")
    return [
        f"run {run} completed with {result}, which no handler gave"
        for run, result in rows
        if (None if result is None else json.loads(result)) not in story.handlers.given[run]
    ]


def _leftovers(db: sqlite3.Connection) -> list[str]:
    waits = db.execute("SELECT event_key FROM event_triggers WHERE status = 'waiting'")
    steps = db.execute(
        "SELECT workflow_run_id, step_ref, doc ->> 'status' FROM step_runs "
        "WHERE doc ->> 'status' IN ('pending', 'waiting', 'running')"
    )
    orphans = db.execute("SELECT id FROM approvals WHERE status = 'pending'")
    return [
        *(f"somebody still waits for {key}" for (key,) in waits),
        *(f"step {ref} of {run} is still {status}" for run, ref, status in steps),
        *(f"approval {approval} is still pending" for (approval,) in orphans),
    ]

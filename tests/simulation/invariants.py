"""What must be true of every database that a story leaves behind."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from simulation import receivers, setting, steps
from strait import dag
from strait.clock import SECOND, from_timestamp
from strait.fsm import (
    is_terminal_run_status,
    is_terminal_workflow_run_status,
    run_can_move,
    step_run_can_move,
    workflow_run_can_move,
)
from strait.reserved import child_outcome_key
from strait.store import workflows

if TYPE_CHECKING:
    from simulation.scenario import Story

# Within this time of calm, workers are back or given up.
WORKERS_BACK_SECS = 60


def unfinished(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Return what is not over, as (which, id, status): runs, and triggers that wait for others."""
    rows = db.execute(
        "SELECT 'runs', id, status FROM runs "
        "UNION ALL SELECT 'workflow-runs', id, status FROM workflow_runs "
        "UNION ALL SELECT 'debounced', job_id, 'waits' FROM debounces "
        "UNION ALL SELECT 'batched', job_id, 'waits' FROM batch_items "
        "UNION ALL SELECT 'deliveries', id, status FROM deliveries WHERE status = 'pending'"
    )
    return [
        (kind, run, status)
        for kind, run, status in rows
        if not (is_terminal_run_status(status) or is_terminal_workflow_run_status(status))
    ]


def left_to_workers(db: sqlite3.Connection, job_id: str) -> bool:
    """Return whether a job that only workers carry out has runs that are not over."""
    rows = db.execute("SELECT status FROM runs WHERE job_id = ?", (job_id,))
    return not all(is_terminal_run_status(status) for (status,) in rows)


def asked_for(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the approvals that are pending, as (workflow run, ref of the step)."""
    rows = db.execute("SELECT workflow_run_id, step_ref FROM approvals WHERE status = 'pending'")
    return rows.fetchall()


def broken(db: sqlite3.Connection, story: Story) -> list[str]:
    """Return which promises were broken; none is what is expected."""
    return [
        *_lost(db, story),
        *_doubled(db, story),
        *_refused(db, story),
        *_histories(db),
        *_outputs(db),
        *_compensations(db),
        *_throttled(db, story),
        *_ticks(db),
        *_gathered(db, story),
        *_attempts(db),
        *_limited(db),
        *_dispatched(db, story),
        *_needless_timeouts(db, story),
        *_results(db, story),
        *_leftovers(db),
        *_children(db, story),
        *_chained(db, story),
        *_told(db, story),
        *_forgotten(db, story),
        *steps.broken(db, story),
        *receivers.broken(db, story),
        *(f"integrity: {row[0]}" for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"),
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


def _refused(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that what was refused because the disk was full has changed nothing."""
    rows = db.execute(
        "SELECT id, payload ->> 'n' FROM runs WHERE doc ->> 'triggered_by' = 'manual'"
    )
    return [f"run {run} is there, and was refused" for run, n in rows if n in story.refused]


def _histories(db: sqlite3.Connection) -> list[str]:
    """Check that every history is without gaps, each change legal, and nothing follows an end."""
    found = []
    lines: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for subject, seq, kind, data in db.execute(
        "SELECT subject, seq, type, data FROM ledger ORDER BY subject, seq"
    ):
        lines[subject].append((seq, kind, data))
    runs = dict(db.execute("SELECT id, status FROM runs"))
    flows = dict(db.execute("SELECT id, status FROM workflow_runs"))
    for subject, entries in lines.items():
        if [seq for seq, _, _ in entries] != list(range(1, len(entries) + 1)):
            found.append(f"the history of {subject} has gaps")
        moves = [json.loads(data) for _, kind, data in entries if kind == "state_change"]
        if subject in runs:
            found += _illegal(subject, moves, runs[subject], _run_can_move)
            ends = [move["to"] for move in moves if is_terminal_run_status(move["to"])]
            replays = sum(move.get("from") == "dead_letter" for move in moves)
            if len(ends) != 1 + replays or not is_terminal_run_status(moves[-1]["to"]):
                found.append(f"{subject} ended as {ends}")
        elif subject in flows:
            found += _illegal(subject, moves, flows[subject], workflow_run_can_move)
            steps = [json.loads(data) for _, kind, data in entries if kind == "step"]
            found += _steps(db, subject, steps)
    return found


def _run_can_move(before: str, after: str) -> bool:
    # The table is of what a run does; somebody may put one off that is due.
    return run_can_move(before, after) or (before, after) == ("queued", "delayed")


def _illegal(
    subject: str, moves: list[dict[str, str]], last: str, can_move: Callable[[str, str], bool]
) -> list[str]:
    found = [
        f"{subject} became {one['to']} and then left {other['from']}"
        for one, other in pairwise(moves)
        if one["to"] != other["from"]
    ]
    found += [
        f"{subject} went from {move['from']} to {move['to']}"
        for move in moves
        if move.get("from")
        and move["from"] != move["to"]
        and not can_move(move["from"], move["to"])
    ]
    if moves and moves[-1]["to"] != last:
        found.append(f"{subject} is {last} and ended as {moves[-1]['to']}")
    return found


def _steps(db: sqlite3.Connection, workflow_run: str, moves: list[dict[str, str]]) -> list[str]:
    """Check the lives of the steps of a workflow run."""
    found = []
    by_step: dict[str, list[dict[str, str]]] = defaultdict(list)
    for move in moves:
        by_step[move["step_ref"]].append(move)
    rows = db.execute(
        "SELECT step_ref, doc ->> 'status' FROM step_runs WHERE workflow_run_id = ?",
        (workflow_run,),
    )
    for ref, status in rows:
        subject = f"step {ref} of {workflow_run}"
        found += _illegal(subject, _without_hold(by_step[ref]), status, step_run_can_move)
    return found


def _without_hold(moves: list[dict[str, str]]) -> list[dict[str, str]]:
    # A step that a limit holds back becomes `waiting` without a line of its own.
    return [
        {**move, "from": "pending"}
        if move["from"] == "waiting" and (not before or before["to"] == "pending")
        else move
        for before, move in zip([None, *moves], moves, strict=False)
    ]


def _outputs(db: sqlite3.Connection) -> list[str]:
    """Check that a step that was completed by a run has its result as output."""
    rows = db.execute(
        "SELECT step_runs.id, runs.status, runs.result, step_runs.doc -> 'output' "
        "FROM step_runs JOIN runs ON runs.id = step_runs.doc ->> 'job_run_id' "
        "WHERE step_runs.doc ->> 'status' = 'completed'"
    )
    return [
        f"step {step} completed with {output} by a run that is {status} with {result}"
        for step, status, result, output in rows
        if status != "completed" or _json(result) != _json(output)
    ]


def _json(text: str | None) -> object:
    return None if text is None else json.loads(text)


def _compensations(db: sqlite3.Connection) -> list[str]:
    """Check that no step is undone before one that depends on it, and each after the other."""
    found = []
    for run, snapshot in db.execute("SELECT id, snapshot_id FROM workflow_runs"):
        rows = db.execute(
            "SELECT data ->> 'step_ref', message LIKE '%is being undone' FROM ledger "
            "WHERE subject = ? AND type = 'compensation' ORDER BY seq",
            (run,),
        ).fetchall()
        begun = [ref for ref, begins in rows if begins]
        ended = [ref for ref, begins in rows if not begins]
        if ended != begun[: len(ended)] or any(a[1] == b[1] for a, b in pairwise(rows)):
            found.append(f"{run} was undone as {rows}")
        definitions = workflows.snapshot_steps(db, snapshot)
        depends_on = [(step.step_ref, step.depends_on) for step in definitions]
        found += [
            f"{run}: {first} was undone before {later}, which depends on it"
            for first, later in combinations(begun, 2)
            if later in dag.descendants(depends_on, first)
        ]
    return found


def _throttled(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that no window of time has seen more starts than the throttle lets through."""
    if story.was_set_back:
        return []  # the same minutes came twice
    starts: dict[str, list[int]] = defaultdict(list)
    rows = db.execute(
        "SELECT used.value, ledger.at FROM runs, json_each(runs.doc, '$.metadata') AS used "
        "JOIN ledger ON ledger.subject = runs.id "
        "WHERE used.key LIKE '_throttle.%' AND ledger.type = 'state_change' "
        "AND ledger.data ->> 'to' = 'executing'"
    )
    for key, at in rows:
        starts[key].append(from_timestamp(at))
    limit, period = setting.THROTTLE["limit"], setting.THROTTLE["period_secs"] * SECOND
    found = []
    for key, instants in starts.items():
        instants.sort()
        for first, beyond in zip(instants, instants[limit:], strict=False):
            if beyond - first < period - SECOND // 1_000:  # lines of one moment differ by little
                found.append(f"more than {limit} starts under {key!r} within {beyond - first} us")
    return found


def _ticks(db: sqlite3.Connection) -> list[str]:
    """Check that no tick has started anything twice."""
    rows = db.execute(
        "SELECT idempotency_key FROM runs WHERE doc ->> 'triggered_by' = 'cron' "
        "UNION ALL SELECT doc ->> '$.tags.cron_fire_key' FROM workflow_runs "
        "WHERE doc ->> 'triggered_by' = 'cron'"
    )
    fired = Counter(key for (key,) in rows)
    return [f"tick {key} was answered {count} times" for key, count in fired.items() if count > 1]


def _gathered(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that what was taken of a batch is in one run, and that debounces keep the last."""
    payloads: dict[str, list[int]] = {}
    for kind in ("debounced", "batched"):
        rows = db.execute("SELECT payload FROM runs WHERE job_id = ?", (story.jobs[kind],))
        found = [json.loads(payload) for (payload,) in rows]
        payloads[kind] = [item["n"] for one in found for item in one.get("items", [one])]
    faults = [
        f"trigger {number} of the {kind} job is in {count} runs"
        for kind, numbers in payloads.items()
        for number, count in Counter(numbers).items()
        if count > 1
    ]
    lost = set(story.taken["batched"]) - set(payloads["batched"])
    if lost:
        faults.append(f"triggers {sorted(lost)} are in no batch")
    last = [number for number in story.sent["debounced"] if number in story.taken["debounced"]][-1:]
    later = [number for number in story.sent["debounced"] if number >= (last or [0])[0]]
    if last and not set(later) & set(payloads["debounced"]):
        faults.append(f"no run has the last debounced trigger {last} or {later}")
    return faults


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


def newest_line(db: sqlite3.Connection) -> int:
    """Return the number of the newest line of all histories."""
    (newest,) = db.execute("SELECT max(id) FROM ledger").fetchone()
    return int(newest)


def _limited(db: sqlite3.Connection) -> list[str]:
    """Check that no more runs of a job, and of a key, executed together than may."""
    rows = db.execute(
        "SELECT id, doc ->> 'max_concurrency', doc ->> 'max_concurrency_per_key' FROM jobs"
    )
    limits = {job: (most or 0, per_key or 0) for job, most, per_key in rows}
    moves = db.execute(
        "SELECT runs.id, job_id, doc ->> 'concurrency_key', data ->> 'to', at FROM ledger "
        "JOIN runs ON runs.id = subject WHERE type = 'state_change' ORDER BY ledger.id"
    )
    executing: dict[tuple[str, str], set[str]] = defaultdict(set)
    found = []
    for run, job, key, to in _without_late_results(moves.fetchall()):
        for which, most in zip(("", key), limits[job], strict=True):
            together = executing[job, which] if which is not None else set()
            together.discard(run)
            if to == "executing":
                together.add(run)
                if most and len(together) > most:
                    found.append(f"{len(together)} runs of {job} {which!r} executed, of {most}")
    return found


def _without_late_results(moves: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leave out what executes for no time: a worker is back with a result of what it had."""
    return [
        (run, job, key, to)
        for (run, job, key, to, at), after in zip(moves, [*moves[1:], ("",) * 5], strict=True)
        if not (to == "executing" and (run, at) == (after[0], after[4]))
    ]


def _dispatched(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that nothing was done for a run that was not on the disk."""
    present = {run for (run,) in db.execute("SELECT id FROM runs")}
    gone = sorted(story.handlers.dispatched - present)
    return [f"run {run} was dispatched and is not there" for run in gone]


def _needless_timeouts(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that what handlers answered in good health counted; no attempt ran out of time."""
    rows = db.execute(
        "SELECT subject, data ->> 'to', data ->> 'error' FROM ledger "
        "JOIN runs ON runs.id = subject "
        "WHERE ledger.id > ? AND type = 'state_change' ORDER BY ledger.id",
        (story.calm_after,),
    )
    begun: set[str] = set()
    found = []
    for run, to, error in rows:
        if to == "executing":
            begun.add(run)
        elif error == "execution timed out" and run in begun:
            found.append(f"run {run} timed out, whose handler was in good health")
    return found


def _forgotten(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that nothing waits for a worker that is gone, or that has told its result in vain."""
    rows = db.execute(
        "SELECT subject FROM ledger JOIN runs ON runs.id = subject "
        "WHERE job_id = ? AND type = 'state_change' AND ledger.id > ? "
        "AND data ->> 'error' = 'execution timed out'",
        (story.jobs["worked"], story.workers_back_after),
    )
    return [f"run {run} timed out, and no worker had it" for (run,) in rows]


def _results(db: sqlite3.Connection, story: Story) -> list[str]:
    rows = db.execute("SELECT id, result FROM runs WHERE status = 'completed'")
    return [
        f"run {run} completed with {result}, which no handler gave"
        for run, result in rows
        if (None if result is None else json.loads(result)) not in story.handlers.given[run]
    ]


def _chained(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that each end of a run has started the job that follows it, once."""
    ends = db.execute(
        "SELECT subject, count(*) FROM ledger JOIN runs ON runs.id = subject "
        "WHERE type = 'state_change' AND data ->> 'to' IN (SELECT value FROM json_each(?)) "
        "AND job_id = ? AND doc ->> 'triggered_by' != 'undo' GROUP BY subject",
        (json.dumps(setting.CHAINED_ENDS), story.jobs["plain"]),
    )
    followers = Counter(
        parent
        for (parent,) in db.execute(
            "SELECT parent_run_id FROM runs WHERE job_id = ? AND parent_run_id IS NOT NULL",
            (story.jobs["chained"],),
        )
    )
    wanted = Counter(dict(ends.fetchall()))
    return [
        f"run {run} has ended {wanted[run]} times, and is followed by {followers[run]} runs"
        for run in wanted | followers
        if wanted[run] != followers[run]
    ]


def _children(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that what parents were told of their children is how those ended, one time or other."""
    endings: dict[str, set[str]] = defaultdict(set)
    rows = db.execute("SELECT subject, data ->> 'to' FROM ledger WHERE type = 'state_change'")
    for run, to in rows:
        if is_terminal_run_status(to):
            endings[run].add(to)
    told = db.execute(
        "SELECT run_id, value ->> 'run_id', value ->> 'status', value -> 'result' FROM run_state "
        "WHERE substr(state_key, 1, ?) = ?",
        (len(child_outcome_key("")), child_outcome_key("")),
    )
    return [
        f"run {parent} was told that {child} is {status} with {result}"
        for parent, child, status, result in told
        if status not in endings[child]
        or (status == "completed" and _json(result) not in story.handlers.given[child])
    ]


def _told(db: sqlite3.Connection, story: Story) -> list[str]:
    """Check that no task of a worker is open, and what it was relieved of is on record."""
    rows = db.execute("SELECT id, run_id, status FROM worker_tasks").fetchall()
    return [
        *(
            f"the task {task} of run {run} is still {status}"
            for task, run, status in rows
            if status in {"assigned", "accepted"}
        ),
        *(
            f"a worker was told that its result of run {run} has arrived, and {task} is {status}"
            for task, run, status in rows
            if task in story.crew.taken and status not in {"completed", "failed"}
        ),
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

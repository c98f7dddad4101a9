"""What workers tell of their tasks, and what becomes of those that they leave behind.

All of it is decided by what is on disk, within the transaction of whoever calls it. A run takes
what is told under the assignment that it was dispatched under last, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine import outcomes
from strait.engine import runs as engine
from strait.engine.entries import Entry
from strait.server.answers import LONGEST_PAUSE_SECS, fitting
from strait.server.unit import Unit
from strait.server.work import runs
from strait.server.workers.fleet import Cancel, Task, WorkerId
from strait.server.workers.registration import MAX_ERROR_BYTES, MAX_LOG_BYTES, Told
from strait.store import ledger
from strait.store import runs as run_rows
from strait.store import workers as rows
from strait.store.workers import TaskRow

logger = logging.getLogger("strait.server")

LEFT = "worker disconnected before reporting result"
# So often an attempt is given to another worker for nothing; a run that takes each of its workers
# down with it must come to an end like any other that fails.
_FREE_LOSSES = 2
# Tasks of which nothing more is heard, and those whose worker may come back with them.
_OVER = frozenset({"completed", "failed"})
_AWAY = frozenset({"lost", "released"})
_LEVELS = {"debug": "debug", "warn": "warn", "warning": "warn", "error": "error"}


def take_in(unit: Unit, worker_id: WorkerId, told: Told) -> None:
    """Let a run take what came of its task; what was told under another assignment is ignored."""
    row = rows.task(unit.db, told.assignment)
    if row is None or not _is_of(row, worker_id, told):
        logger.warning(
            "worker %s told of run %s under assignment %r, which it was not given",
            worker_id.id,
            told.run_id,
            told.assignment,
        )
        return
    if row.status in _OVER:
        return  # it was told before, on a stream that broke
    outcome = outcome_of(told)
    stored = _still_with(unit, row)
    if stored is not None and _is_queued_by_loss(unit, row, stored):
        stored = _taken_back(unit, row, stored)
    ended_well = isinstance(outcome, outcomes.Succeeded)
    rows.finish(
        unit.db,
        row.id,
        "completed" if ended_well else "failed",
        unit.stamp,
        error=None if isinstance(outcome, outcomes.Succeeded) else outcome.error,
        duration_ms=told.duration_ms,
    )
    if stored is None:
        return
    entry = unit.platform.jobs.for_run(unit.db, stored.run)
    if entry is not None:
        chance = unit.platform.outside.chance()
        outcome = fitting(outcome, entry.job)
        runs.apply(unit, stored, engine.Answered(row.id, outcome, entry.job, chance))


def outcome_of(told: Told) -> outcomes.Succeeded | outcomes.Erred:
    """Return what a told result means for its run."""
    if told.status == "success":
        if not told.output:
            return outcomes.Succeeded(None)
        try:
            msgspec.json.decode(told.output, type=msgspec.Raw)
            return outcomes.Succeeded(told.output.decode())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return outcomes.Erred("worker returned invalid output_json", "unknown")
    error = told.error or "worker reported failure"
    error = error.encode()[:MAX_ERROR_BYTES].decode(errors="ignore")
    error_class = outcomes.class_of_message(error)
    pause_secs = _pause_secs(told.output)
    if pause_secs is None:
        return outcomes.Erred(error, error_class or "unknown")
    return outcomes.Erred(error, error_class or "rate_limited", pause_secs)


class _Failure(msgspec.Struct):
    retry_after_ms: float


_failure_decoder = msgspec.json.Decoder(_Failure)


def _pause_secs(output: bytes) -> float | None:
    """Return when a handler asked to be called again, which our workers say with a failure."""
    try:
        asked_ms = _failure_decoder.decode(output).retry_after_ms
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return min(max(0, asked_ms) / 1000, LONGEST_PAUSE_SECS)


def accepted(unit: Unit, task: Task) -> None:
    """Write that a worker has begun with a task."""
    rows.accepted(unit.db, task.assignment, unit.stamp)


def log(unit: Unit, task: Task, level: str, message: str) -> None:
    """Write a line that a worker logged into the history of its run, while that is with it."""
    stored = run_rows.load(unit.db, task.run_id)
    if stored is None or stored.state.assignment != task.assignment:
        return
    if stored.run.status not in {"executing", "waiting"}:
        return
    text = message.encode()[:MAX_LOG_BYTES].decode(errors="ignore")
    entry = Entry("log", text, _LEVELS.get(level.lower(), "info"))
    unit.record(task.run_id, stored.run.project_id, [entry])


def lose(unit: Unit, row: TaskRow, reason: str = LEFT, status: str = "lost") -> None:
    """Give up a task whose worker is gone: its run is queued again, as the same attempt.

    Args:
        unit: the transaction.
        row: the task.
        reason: what happened, for the run's history.
        status: `lost` where the worker may have been taken down by it, which counts; `released`
            where it was leaving; `failed` where it has let go of it, or was made to: what it tells
            of it later is not heard.
    """
    stored = _still_with(unit, row)
    rows.finish(unit.db, row.id, status, unit.stamp, error=reason)
    if stored is None:
        return
    entry = unit.platform.jobs.for_run(unit.db, stored.run)
    event: engine.Event = engine.Recovered(reason)
    times_lost = rows.times_lost(unit.db, row.run_id, row.attempt) if status == "lost" else 0
    if entry is not None and times_lost > _FREE_LOSSES:
        outcome = outcomes.Erred(reason, "connection")
        event = engine.Answered(row.id, outcome, entry.job, unit.platform.outside.chance())
    runs.apply(unit, stored, event)


def lose_all(unit: Unit, worker_id: WorkerId, reason: str = LEFT, status: str = "lost") -> None:
    """Give up all tasks of a worker that is gone, as `lose` does."""
    for row in rows.open_tasks_of(unit.db, worker_id.project_id, worker_id.id):
        lose(unit, row, reason, status)


@dataclass(slots=True)
class Reconciled:
    """What a worker that connects still has, and what it may let go of."""

    kept: list[Task] = field(default_factory=list)
    canceled: list[Cancel] = field(default_factory=list)


def reconcile(unit: Unit, worker_id: WorkerId, in_flight: Sequence[Told]) -> Reconciled:
    """Compare what a worker says it has with what it was given.

    What goes on with it goes on; what it has finished meanwhile is taken in; what it does not know
    any more is queued again. What has moved on without it, it is told to end.
    """
    found = Reconciled()
    reported = {told.assignment: told for told in in_flight}
    for row in rows.open_tasks_of(unit.db, worker_id.project_id, worker_id.id):
        if row.id not in reported:
            lose(unit, row)
    for told in in_flight:
        match told.status:
            case "success" | "failed":
                take_in(unit, worker_id, told)
            case "abandoned":
                given_up = rows.task(unit.db, told.assignment)
                if given_up is not None and _is_of(given_up, worker_id, told):
                    _release(unit, given_up)
            case _:
                _go_on(unit, worker_id, told, found)
    return found


def _release(unit: Unit, row: TaskRow) -> None:
    if row.status not in _OVER:
        lose(unit, row, "its worker has given it up", "failed")


def _go_on(unit: Unit, worker_id: WorkerId, told: Told, found: Reconciled) -> None:
    row = rows.task(unit.db, told.assignment)
    stored = None
    if row is not None and _is_of(row, worker_id, told):
        stored = _still_with(unit, row)
        if stored is not None and _is_queued_by_loss(unit, row, stored):
            stored = _with_its_slot(unit, row, stored)
    if row is None or stored is None or stored.run.status not in {"executing", "waiting"}:
        found.canceled.append(Cancel(told.run_id, "the run has moved on"))
        return
    if row.status in _AWAY:
        rows.found_again(unit.db, row.id)
    found.kept.append(Task(row.id, row.run_id, row.attempt))


def _is_of(row: TaskRow, worker_id: WorkerId, told: Told) -> bool:
    given = (row.project_id, row.worker_id, row.run_id, row.attempt)
    return given == (*worker_id, told.run_id, told.attempt)


def _still_with(unit: Unit, row: TaskRow) -> run_rows.Stored | None:
    """Return the run of a task if it was not dispatched anew since."""
    stored = run_rows.load(unit.db, row.run_id)
    if stored is None or (stored.state.assignment, stored.run.attempt) != (row.id, row.attempt):
        return None
    return stored


def _is_queued_by_loss(unit: Unit, row: TaskRow, stored: run_rows.Stored) -> bool:
    """Return whether a run is queued because its worker was away, and nothing has come since.

    One that was woken, resumed or started over meanwhile is to be carried out anew.
    """
    if row.status not in _AWAY or stored.run.status != "queued":
        return False
    return ledger.changed_at(unit.db, row.run_id) == row.finished_at


def _taken_back(unit: Unit, row: TaskRow, stored: run_rows.Stored) -> run_rows.Stored | None:
    """Return a run that executes with its worker again, which is back."""
    entry = unit.platform.jobs.for_run(unit.db, stored.run)
    if entry is None:
        return None
    timeout = engine.timeout_secs(stored.run, entry.job)
    message = "its worker is back, and still has it"
    runs.apply(unit, stored, engine.Dispatched(row.id, timeout, message))
    return run_rows.load(unit.db, row.run_id)


def _with_its_slot(unit: Unit, row: TaskRow, stored: run_rows.Stored) -> run_rows.Stored | None:
    """Take a run back that goes on, unless others have all that may execute of its job or key."""
    scheduler, run = unit.platform.scheduler, stored.run
    if not scheduler.take_back(run):
        return None
    unit.if_undone(lambda: scheduler.not_taken(run.id))
    return _taken_back(unit, row, stored)


# --------------------------------------------------------------------------------------- restarts


def after_restart(unit: Unit) -> set[str]:
    """Keep the tasks of all workers for a while, as they go on with them; return their runs.

    Whoever was with the last server comes back to this one, and tells what it has.
    """
    rows.all_offline(unit.db)
    platform = unit.platform
    kept: set[str] = set()
    for row in rows.open_tasks(unit.db):
        stored = run_rows.load(unit.db, row.run_id)
        is_with_it = (
            stored is not None
            and stored.state.assignment == row.id
            and stored.run.status == "executing"
        )
        if stored is None or not is_with_it:
            rows.finish(unit.db, row.id, "lost", unit.stamp, error=LEFT)
            continue
        kept.add(row.run_id)
        state = _with_time_left(stored.state, unit.now, platform.settings.worker_lease_secs)
        if state is not stored.state:
            run_rows.save(unit.db, stored, state)
        _keep(unit, row, state)
    return kept


def _keep(unit: Unit, row: TaskRow, state: engine.State) -> None:
    worker_id = WorkerId(row.project_id, row.worker_id)
    task = Task(row.id, row.run_id, row.attempt)
    workers, scheduler = unit.platform.workers, unit.platform.scheduler

    def keep() -> None:
        scheduler.resume(state)
        workers.await_return(worker_id, task)

    unit.after(keep)


def _with_time_left(state: engine.State, now: int, lease_secs: float) -> engine.State:
    """Leave a run whose deadline passed while no server ran the time to be told of."""
    earliest = now + round((lease_secs + 1) * SECOND)
    if from_timestamp(state.deadline_at) >= earliest:
        return state
    return replace(state, deadline_at=to_timestamp(earliest))

"""Dropping what is kept for a time only, a little at a time."""

from __future__ import annotations

from collections.abc import Callable

from strait.clock import SECOND, to_timestamp
from strait.engine.throttles import LONGEST_PERIOD_SECS
from strait.server.unit import Unit
from strait.server.work import audit, retention
from strait.store import audit as audit_rows
from strait.store import deliveries, meta, throttles, triggers, workers

# Answers to requests with an idempotency key are promised for this long (`contract/runs.md` §3.2).
KEEP_ANSWERS_SECS = 24 * 3600
# As long as the platform keeps the runs that they tell of (`contract/workflows.md` §3.18).
KEEP_DELIVERIES_SECS = 30 * 24 * 3600
# Each process of a worker has an id of its own, so that they pile up.
KEEP_WORKERS_SECS = 7 * 24 * 3600
_EVERY_SECS = 3600
# After a start; a server that never lives for an hour, such as that of a developer, cleans up too.
_FIRST_SECS = 60
_AT_ONCE = 1_000
# Between two parts of a round, so that most of the writer's time is left to requests.
_PAUSE_SECS = 0.05


def watch(unit: Unit) -> None:
    """Have the first rounds come soon after the start."""
    for subject in _ROUNDS:
        _watch(unit, subject, unit.now + _FIRST_SECS * SECOND)


def clean(unit: Unit, subject: str) -> None:
    """Drop what is too old; where there is much, go on soon in a transaction of its own."""
    more = _ROUNDS[subject](unit)
    _watch(unit, subject, unit.now + round((_PAUSE_SECS if more else _EVERY_SECS) * SECOND))


def _watch(unit: Unit, subject: str, instant: int) -> None:
    timers = unit.platform.timers
    unit.after(lambda: timers.set(("housekeeping", subject), instant))


def _answers(unit: Unit) -> bool:
    before = to_timestamp(unit.now - KEEP_ANSWERS_SECS * SECOND)
    return meta.forget_answers(unit.db, before, limit=_AT_ONCE) == _AT_ONCE


def _audit_events(unit: Unit) -> bool:
    pruned = [audit.prune(unit, project_id) for project_id in audit_rows.projects(unit.db)]
    return any(pruned)


def _deliveries(unit: Unit) -> bool:
    before = to_timestamp(unit.now - KEEP_DELIVERIES_SECS * SECOND)
    return deliveries.forget(unit.db, before, limit=_AT_ONCE) == _AT_ONCE


def _throttle_starts(unit: Unit) -> bool:
    before = to_timestamp(unit.now - LONGEST_PERIOD_SECS * SECOND)
    return throttles.forget_old(unit.db, before, limit=_AT_ONCE) == _AT_ONCE


def _held_events(unit: Unit) -> bool:
    return triggers.forget_held(unit.db, unit.stamp, limit=_AT_ONCE) == _AT_ONCE


def _workers(unit: Unit) -> bool:
    before = to_timestamp(unit.now - KEEP_WORKERS_SECS * SECOND)
    return workers.forget(unit.db, before, limit=_AT_ONCE) == _AT_ONCE


_ROUNDS: dict[str, Callable[[Unit], bool]] = {
    "answers": _answers,
    "audit": _audit_events,
    "throttles": _throttle_starts,
    "held_events": _held_events,
    "deliveries": _deliveries,
    "workers": _workers,
    "runs": retention.drop_old_runs,
    "workflow_runs": retention.drop_old_workflow_runs,
}

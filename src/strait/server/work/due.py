"""What happens when an instant has come: one function per kind of timer."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from strait.engine import runs as engine
from strait.server.unit import Unit
from strait.server.work import (
    api_keys,
    buffers,
    canaries,
    deliveries,
    descendants,
    events,
    housekeeping,
    log_drains,
    promotion,
    runs,
    schedules,
    workflows,
)
from strait.store import runs as run_rows

# How soon the deadline of an attempt in a debugger is looked at again.
_UNTIMED_SECS = 5.0


def handle(unit: Unit, key: Hashable) -> None:
    """Do what is due under a timer's key, a pair of its kind and an id."""
    if not isinstance(key, tuple):
        raise TypeError(f"a timer's key is a pair, not {key!r}")
    kind, subject = key
    _KINDS[kind](unit, subject)


def _run_due(unit: Unit, run_id: str) -> None:
    stored = run_rows.load(unit.db, run_id)
    if stored is None:
        return
    entry = unit.platform.jobs.for_run(unit.db, stored.run)
    if entry is None:
        return
    development = unit.platform.development
    if (
        development is not None
        and stored.run.status == "executing"
        and development.is_untimed(stored.state.assignment)
    ):
        # Whoever looks at it in a debugger takes the time that it takes.
        unit.after(lambda: unit.platform.retry_later(run_id, _UNTIMED_SECS))
        return
    event = engine.due_event(stored.state, entry.job, unit.now, unit.platform.outside.chance())
    if event is None or runs.apply(unit, stored, event) is None:
        scheduler, state = unit.platform.scheduler, stored.state
        unit.after(lambda: scheduler.look_again(state))


def _heartbeats_due(unit: Unit, _: str) -> None:
    for run_id, assignment in unit.platform.dispatcher.beating():
        run_rows.beat(unit.db, run_id, assignment, unit.stamp)


def _throttles_due(unit: Unit, _: str) -> None:
    unit.after(unit.platform.scheduler.throttles_due)


def _worker_due(unit: Unit, subject: str) -> None:
    unit.platform.workers.due(unit, subject)


_KINDS: dict[str, Callable[[Unit, str], None]] = {
    "run": _run_due,
    "worker": _worker_due,
    "trigger": events.expire,
    "heartbeats": _heartbeats_due,
    "promotion": promotion.promote,
    "throttles": _throttles_due,
    "canary": canaries.due,
    "debounce": buffers.debounce_due,
    "batch": buffers.batch_due,
    "workflow_run": workflows.run_due,
    "approval": workflows.approval_due,
    "approval_half": workflows.approval_half_due,
    "job_cron": schedules.job_due,
    "workflow_cron": schedules.workflow_due,
    "deliveries": deliveries.due,
    "key_rotation": api_keys.rotation_due,
    "log_drain": log_drains.due,
    "housekeeping": housekeeping.clean,
    "descendants": descendants.due,
}

"""What follows inside the database from a change, worked off before the commit."""

from __future__ import annotations

from strait.engine.model import Run
from strait.engine.undo import UNDO
from strait.server.unit import ChildWorkflowEnded, KeyHandedOver, RunEnded, TriggerSettled, Unit
from strait.server.work import (
    announce,
    api_keys,
    chains,
    children,
    descendants,
    events,
    held,
    steps,
    workflows,
)
from strait.store import dependencies as dependency_rows
from strait.store import triggers


def settle(unit: Unit) -> None:
    """Work off the signals of a unit, and those that they cause."""
    while unit.signals:
        match unit.signals.popleft():
            case RunEnded() as signal:
                _run_ended(unit, signal)
            case KeyHandedOver(delivery=delivery):
                api_keys.handed_over(unit, delivery)
            case ChildWorkflowEnded(effect=effect):
                workflows.child_ended(unit, effect)
            case TriggerSettled(trigger=trigger):
                if trigger.source_type == "job_run":
                    events.wake_run(unit, trigger)
                else:
                    workflows.trigger_settled(unit, trigger)


def _run_ended(unit: Unit, signal: RunEnded) -> None:
    run = signal.run
    announce.run_ended(unit, run, signal.result)
    figures = unit.platform.figures
    unit.after(lambda: figures.run_ended(run.status))
    for trigger in triggers.waiting_of_run(unit.db, run.id):
        events.close_quietly(unit, trigger, "canceled", f"run {run.status}")
    if run.status == "canceled":
        descendants.cancel(unit, run)
    if run.workflow_step_run_id:
        workflows.job_ended(unit, run, signal.result)
    if run.created_by == "system:workflow-compensation":
        workflows.compensation_ended(unit, run)
    if run.parent_run_id:
        children.ended(unit, run, signal.result)
    chains.follow(unit, run, signal.result)
    steps.follow(unit, run)
    if run.triggered_by != UNDO:
        _release_dependents(unit, run)


def _release_dependents(unit: Unit, ended: Run) -> None:
    """Queue the runs that waited for a run that is over now, and for nothing else."""
    entry = unit.platform.jobs.get(unit.db, ended.job_id)
    if entry is not None and not entry.awaited:
        return
    for job_id in dependency_rows.on_job(unit.db, ended.job_id):
        held.release(unit, job_id)

"""What happened, told to whoever wants to hear of it: webhooks, chat channels, addresses of waits.

Everything here only writes to the outbox, in the transaction in which the thing happened.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from msgspec import Raw, json

from strait.clock import SECOND, from_timestamp
from strait.engine.model import Approval, EventTrigger, Json, Run, StepRun, WorkflowRun
from strait.engine.workflows.effects import StatusChanged
from strait.engine.workflows.state import Steps, Transition
from strait.server.unit import Unit
from strait.server.work import deliveries
from strait.store import deliveries as delivery_rows
from strait.store.records import Record

# Which type of event the end of a run is (`contract/runs.md` §9.3).
RUN_EVENTS = {
    "completed": "run.completed",
    "failed": "run.failed",
    "crashed": "run.failed",
    "system_failed": "run.failed",
    "dead_letter": "run.failed",
    "timed_out": "run.timed_out",
    "canceled": "run.canceled",
    "expired": "run.canceled",
}
# …and the end of a workflow run (`contract/workflows.md` §2.8).
WORKFLOW_EVENTS = {
    "completed": "workflow.completed",
    "failed": "workflow.failed",
    "timed_out": "workflow.failed",
    "canceled": "workflow.failed",
    "compensated": "workflow.failed",
    "compensation_failed": "workflow.failed",
}
# What chat rooms are told of runs: what went wrong.
_LOUD = frozenset({"run.failed", "run.timed_out"})
_APPROVAL_EVENTS = {
    "pending": "approval.requested",
    "approved": "approval.completed",
    "rejected": "approval.completed",
    "timed_out": "approval.expired",
}
# Which switch of a step's `stage_notifications` asks for which event (`workflows.md` §1.2, §3.17).
_STAGES = {"completed": "on_complete", "failed": "on_failure", "skipped": "on_skipped"}


def run_ended(unit: Unit, run: Run, result: str | None) -> None:
    """Tell of the end of a run."""
    event_type = RUN_EVENTS.get(run.status, "")
    listeners = unit.platform.audience.of(unit.db, run.project_id)
    subscribed = listeners.subscribed(event_type)
    channels = listeners.channels if event_type in _LOUD else ()
    hook = _webhook_url(unit, run)
    if not (subscribed or channels or hook):
        return
    facts = {
        "run_id": run.id,
        "job_id": run.job_id,
        "project_id": run.project_id,
        "status": run.status,
        "attempt": run.attempt,
        "result": Raw(b"null" if result is None else result.encode()),
        "error": run.error,
        "timestamp": unit.stamp,
    }
    body = json.encode({"type": event_type, **facts}).decode()
    about = {"project_id": run.project_id, "run_id": run.id, "job_id": run.job_id}
    for one in subscribed:
        url = one.fields["webhook_url"]
        deliveries.post(unit, "webhook", one.id, url, event_type, body, **about)
    if hook:
        plain = json.encode(facts).decode()
        deliveries.post(unit, "job", run.job_id, hook, event_type, plain, **about)
    if channels:
        _tell_channels(unit, event_type, facts, **about)


def _webhook_url(unit: Unit, run: Run) -> str:
    entry = unit.platform.jobs.get(unit.db, run.job_id)
    return "" if entry is None else entry.job.webhook_url


def workflow_moved(unit: Unit, run: WorkflowRun, change: StatusChanged) -> None:
    """Tell of the end of a workflow run, whatever has ended it."""
    event_type = WORKFLOW_EVENTS.get(change.to_status)
    if event_type is None:
        return
    facts = {
        "type": "workflow_status_change",
        "workflow_run_id": run.id,
        "workflow_id": run.workflow_id,
        "project_id": run.project_id,
        "from": change.from_status,
        "to": change.to_status,
        "reason": change.reason,
        "timestamp": unit.stamp,
    }
    body = json.encode(facts).decode()
    about = {"project_id": run.project_id, "subject_id": run.id}
    for one in unit.platform.audience.of(unit.db, run.project_id).subscribed(event_type):
        url = one.fields["webhook_url"]
        deliveries.post(unit, "webhook", one.id, url, event_type, body, **about)
    if event_type == "workflow.failed" and change.to_status != "canceled":
        _tell_channels(unit, event_type, facts, **about)


# --------------------------------------------------------------------------------------- channels


def approval_moved(unit: Unit, run: WorkflowRun, ref: str, approval: Approval) -> None:
    """Tell that an approval is asked for, or what became of it (`contract/workflows.md` §2.8)."""
    event_type = _APPROVAL_EVENTS.get(approval.status)
    if event_type is None or not has_channels(unit, run.project_id):
        return
    facts: dict[str, Any] = {
        "approval_id": approval.id,
        "workflow_run_id": run.id,
        "workflow_id": run.workflow_id,
        "step_ref": ref,
    }
    match approval.status:
        case "pending":
            facts["approvers"] = approval.approvers
            facts["requested_at"] = approval.requested_at
            facts["expires_at"] = approval.expires_at or None
        case "approved":
            facts["decision"] = "approved"
            facts["approved_by"] = approval.approved_by
            facts["approved_at"] = approval.approved_at
        case "rejected":
            facts["decision"] = "rejected"
            facts["rejected_by"] = approval.approved_by
            facts["rejected_at"] = unit.stamp
            facts["reason"] = approval.error
        case _:
            facts["step_run_id"] = approval.workflow_step_run_id
            facts["expired_at"] = approval.expires_at
    _tell_channels(unit, event_type, facts, project_id=run.project_id, subject_id=approval.id)


def approval_is_late(unit: Unit, run: WorkflowRun, approval: Approval) -> None:
    """Tell, once to each channel, that half of the time for an approval is over."""
    left = from_timestamp(approval.expires_at) - unit.now
    facts = {
        "approval_id": approval.id,
        "workflow_run_id": run.id,
        "workflow_id": run.workflow_id,
        "step_run_id": approval.workflow_step_run_id,
        "time_remaining_secs": max(0, left // SECOND),
    }
    event_type = "approval.reminder"
    body = json.encode(facts).decode()
    for channel in unit.platform.audience.of(unit.db, run.project_id).channels:
        # A server that has just started may find that the last one has told already; of an earlier
        # attempt of the step it may have told as well.
        asked_at = approval.requested_at
        if not delivery_rows.was_made(unit.db, channel.id, event_type, approval.id, asked_at):
            about = {"project_id": run.project_id, "subject_id": approval.id}
            _tell(unit, channel, event_type, body, **about)


def steps_moved(unit: Unit, transition: Transition) -> None:
    """Tell of the ends of steps whose definitions ask for it (`stage_notifications`)."""
    asking = Steps.of(transition.state.steps).notifying
    if not asking or not has_channels(unit, transition.run.project_id):
        return
    ended = {
        entry.data["step_ref"]
        for entry in transition.entries
        if entry.type == "step" and entry.data and entry.data["from"] != entry.data["to"]
    }
    for definition in asking:
        if definition.step_ref in ended:
            step = transition.state.step_runs[definition.step_ref]
            _step_moved(unit, transition.run, step, definition.stage_notifications)


def _step_moved(unit: Unit, run: WorkflowRun, step: StepRun, asked: Json) -> None:
    switch = _STAGES.get(step.status, "")
    if not isinstance(asked, dict) or asked.get(switch) is not True:
        return
    facts = {
        "workflow_id": run.workflow_id,
        "workflow_run_id": run.id,
        "step_ref": step.step_ref,
        "step_run_id": step.id,
        "status": step.status,
        "triggered_at": unit.stamp,
    }
    about = {"project_id": run.project_id, "subject_id": step.id}
    _tell_channels(unit, f"step.{step.status}", facts, **about)


def has_channels(unit: Unit, project_id: str) -> bool:
    """Return whether a project has a channel that is switched on."""
    return bool(unit.platform.audience.of(unit.db, project_id).channels)


def _tell_channels(unit: Unit, event_type: str, facts: dict[str, Any], **about: str) -> None:
    body = json.encode(facts).decode()
    for channel in unit.platform.audience.of(unit.db, about["project_id"]).channels:
        _tell(unit, channel, event_type, body, **about)


def _tell(unit: Unit, channel: Record, event_type: str, body: str, **about: str) -> None:
    # Its URL is a secret: what may be shown of it was kept beside.
    shown = channel.fields["address"]
    deliveries.post(unit, "channel", channel.id, shown, event_type, body, **about)


# ------------------------------------------------------------------------------------------ waits


def wait_opened(unit: Unit, trigger: EventTrigger) -> None:
    """Tell the address that a wait names who waits for which event (`contract/runs.md` §9.1)."""
    if trigger.notify_status != "pending":
        return
    facts = {
        "event_key": trigger.event_key,
        "trigger_id": trigger.id,
        "project_id": trigger.project_id,
        "expires_at": trigger.expires_at,
        "callback_url": f"/v1/events/{quote(trigger.event_key, safe=':')}/send",
    }
    deliveries.post(
        unit,
        "notice",
        trigger.id,
        trigger.notify_url,
        "event.waiting",
        json.encode(facts).decode(),
        project_id=trigger.project_id,
        run_id=trigger.job_run_id,
    )

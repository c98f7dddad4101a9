"""Carrying out decisions over workflow runs: load, decide, save, and do what was asked for."""

from __future__ import annotations

import logging
from functools import partial

from msgspec import UNSET, UnsetType, json

from strait.clock import Timestamp, from_timestamp, to_timestamp
from strait.engine import runs as run_engine
from strait.engine.admission import Request
from strait.engine.model import Approval, EventTrigger, Json, Run, Tags, Workflow, WorkflowRun
from strait.engine.refusal import Refused
from strait.engine.workflows import effects as asked
from strait.engine.workflows import events as happened
from strait.engine.workflows.decide import decide
from strait.engine.workflows.instants import bounded
from strait.engine.workflows.starting import event_key_in_use
from strait.engine.workflows.state import Transition
from strait.server.errors import not_found
from strait.server.unit import ChildWorkflowEnded, Unit
from strait.server.work import announce, events, runs, workflow_starts
from strait.store import runs as run_rows
from strait.store import spend, triggers, workflow_runs
from strait.store.workflow_runs import Stored

logger = logging.getLogger("strait.server")

COMPENSATION_METADATA = "_workflow_compensation_"
"""How the metadata begin that tell what a run undoes."""

_COMPENSATED_RUN = f"{COMPENSATION_METADATA}workflow_run_id"
_COMPENSATED_STEP = f"{COMPENSATION_METADATA}step_ref"


def load(unit: Unit, project_id: str, run_id: str) -> Stored:
    """Return a workflow run of a project.

    Raises:
        ApiError: 404.
    """
    stored = workflow_runs.load(unit.db, run_id)
    if stored is None or stored.run.project_id != project_id:
        raise not_found("workflow run")
    return stored


def advance(unit: Unit, stored: Stored, event: happened.Event) -> Transition:
    """Let a workflow run take an event, save what it becomes, and do what follows.

    Raises:
        Refused: the event is a request, and the run is in no state for it.
    """
    state = unit.platform.workflow_runs.state(unit.db, stored)
    transition = decide(state, event, unit.now, unit.new_id, partial(spend.mean_of_job, unit.db))
    if transition is None:  # it does not concern the run, or not any more
        return Transition(state, (), (), (), ())
    save(unit, stored, transition)
    perform(unit, transition)
    return transition


def advance_by_id(unit: Unit, run_id: str, event: happened.Event) -> None:
    """Let a workflow run take an event; one that is gone, or past it, takes none."""
    stored = unit.platform.workflow_runs.load(unit.db, run_id)
    if stored is not None:
        advance(unit, stored, event)


def save(unit: Unit, stored: Stored, transition: Transition) -> None:
    """Write what a workflow run has become."""
    run = transition.run
    if run != stored.run:
        stored = workflow_runs.save(unit.db, stored, run)
        _watch_run(unit, run, ended=transition.ended)
    _keep_parts(unit, transition)
    unit.platform.workflow_runs.put(stored, transition.state)


def begin(unit: Unit, transition: Transition, snapshot_id: str, labels: Tags) -> None:
    """Write a new workflow run."""
    run = transition.run
    stored = workflow_runs.insert(unit.db, run, snapshot_id, labels)
    _watch_run(unit, run, ended=transition.ended)
    _keep_parts(unit, transition, first=True)
    unit.platform.workflow_runs.put(stored, transition.state)


def _keep_parts(unit: Unit, transition: Transition, *, first: bool = False) -> None:
    """Write the steps, approvals and history of a transition, and watch what is due of them."""
    run = transition.run
    workflow_runs.put_steps(unit.db, transition.steps, first=first)
    if transition.approvals:
        workflow_runs.put_approvals(unit.db, transition.approvals)
    unit.record(run.id, run.project_id, transition.entries, first=first)
    for ref, approval in transition.approvals:
        _watch_approval(unit, approval)
        announce.approval_moved(unit, run, ref, approval)
    announce.steps_moved(unit, transition)


def perform(unit: Unit, transition: Transition) -> None:
    """Do what a transition asks for, then tell the steps that could not be started."""
    run, failed = transition.run, []
    for effect in transition.effects:
        if isinstance(effect, _BEGINNINGS):
            error = _begin_step(unit, run, effect)
            if error:
                failed.append(happened.StartFailed(effect.ref, error))
        elif isinstance(effect, asked.StartCompensation | asked.CancelCompensation):
            _compensate(unit, run, effect)
        else:
            _perform(unit, run, effect)
    # Only now: such a failure may cancel steps which the effects above have yet to start.
    for event in failed:
        advance_by_id(unit, run.id, event)


_BEGINNINGS = (asked.StartJob, asked.StartChild, asked.OpenTrigger)


def _begin_step(
    unit: Unit,
    run: WorkflowRun,
    effect: asked.StartJob | asked.StartChild | asked.OpenTrigger,
) -> str:
    """Let a step begin; return why it cannot, or ""."""
    match effect:
        case asked.StartJob():
            return _start_job(unit, run, effect)
        case asked.StartChild():
            return workflow_starts.start_child(unit, run, effect)
        case asked.OpenTrigger(trigger=trigger):
            return _open(unit, trigger)


def _perform(unit: Unit, run: WorkflowRun, effect: asked.Effect) -> None:
    match effect:
        case asked.SettleTriggers():
            _settle(unit, effect)
        case asked.CancelJob(job_run_id=job_run_id, error=error):
            _request(unit, job_run_id, run_engine.Canceled(error))
        case asked.PauseJob(job_run_id=job_run_id):
            _request(unit, job_run_id, run_engine.Paused())
        case asked.ResumeJob(job_run_id=job_run_id):
            _request(unit, job_run_id, run_engine.Resumed())
        case asked.CancelChild(step_run_id=step_run_id, error=error):
            _cancel_child(unit, step_run_id, error)
        case asked.EmitEvent(event_key=key, payload=payload):
            _emit(unit, run.project_id, key, payload)
        case asked.ParentStepEnded():
            unit.signal(ChildWorkflowEnded(effect))
        case asked.StatusChanged():
            announce.workflow_moved(unit, run, effect)
        case _:
            pass


def _cancel_child(unit: Unit, step_run_id: str, error: str) -> None:
    child = workflow_runs.child_of(unit.db, step_run_id)
    if child is not None and child.run.status in workflow_runs.ACTIVE:
        advance(unit, child, happened.Cancel(error, error))


# ------------------------------------------------------------------------------------------- jobs


def _start_job(unit: Unit, run: WorkflowRun, effect: asked.StartJob) -> str:
    entry = unit.platform.jobs.get(unit.db, effect.job_id)
    if entry is None or entry.job.project_id != run.project_id:
        return f"job {effect.job_id} not found"
    step = effect.definition
    own = step.retry_max_attempts > 0  # then the step's retries replace those of the job
    request = Request(
        triggered_by="workflow",
        created_by="system:workflow",
        tags=run.tags,
        metadata=run.trace_context,
        workflow_step_run_id=effect.step_run_id,
        timeout_secs_override=bounded(step.timeout_secs_override),
        max_attempts_override=step.retry_max_attempts if own else 0,
        retry_backoff=step.retry_backoff if own else "",
        retry_initial_delay_secs=bounded(step.retry_initial_delay_secs) if own else 0,
        retry_max_delay_secs=bounded(step.retry_max_delay_secs) if own else 0,
    )
    runs.create(unit, entry.job, request, _text(effect.payload), run_id=effect.job_run_id)
    return ""


def job_ended(unit: Unit, run: Run, result: str | None) -> None:
    """Tell a workflow step that its job run is over."""
    place = workflow_runs.place_of_step(unit.db, run.workflow_step_run_id)
    if place is None:
        return
    workflow_run_id, ref = place
    output: Json | UnsetType = UNSET if result is None else json.decode(result)
    event = happened.JobEnded(ref, run.id, run.status, output, run.error)
    advance_by_id(unit, workflow_run_id, event)


def _request(unit: Unit, run_id: str, event: run_engine.Event) -> None:
    """Let a job run take an event if it is in a state for it."""
    stored = run_rows.load(unit.db, run_id)
    if stored is None:
        return
    try:
        runs.apply(unit, stored, event)
    except Refused:
        return  # it is over, or was never held; there is nothing to be done with it


def _text(payload: Json | UnsetType) -> str | None:
    return None if payload is UNSET else json.encode(payload, order="sorted").decode()


# ------------------------------------------------------------------------------------------ waits


def _open(unit: Unit, trigger: EventTrigger) -> str:
    try:
        events.open_wait(unit, trigger)
    except Refused:
        return event_key_in_use(trigger.event_key)
    return ""


def _settle(unit: Unit, effect: asked.SettleTriggers) -> None:
    for trigger in triggers.waiting_of_step(unit.db, effect.step_run_id):
        events.close_quietly(unit, trigger, effect.status, effect.error, payload=effect.payload)


def _emit(unit: Unit, project_id: str, key: str, payload: Json | UnsetType) -> None:
    trigger = triggers.newest(unit.db, project_id, key)
    if trigger is not None and trigger.status == "waiting":
        events.receive(unit, trigger, payload, "system:workflow")


def trigger_settled(unit: Unit, trigger: EventTrigger) -> None:
    """Tell a workflow step that its wait is over."""
    place = workflow_runs.place_of_step(unit.db, trigger.workflow_step_run_id)
    if place is None:
        return
    _, ref = place
    event: happened.Event
    match trigger.status, trigger.trigger_type:
        case "received", "sleep":
            event = happened.SleepElapsed(ref)
        case "received", _:
            event = happened.EventReceived(ref, trigger.response_payload, trigger.sent_by)
        case "timed_out", _:
            event = happened.EventTimedOut(ref)
        case _:
            event = happened.EventCanceled(ref, trigger.error)
    advance_by_id(unit, trigger.workflow_run_id, event)


# --------------------------------------------------------------------------------------- children


def child_ended(unit: Unit, effect: asked.ParentStepEnded) -> None:
    """Tell a sub-workflow step that the run which it has started is over."""
    place = workflow_runs.place_of_step(unit.db, effect.parent_step_run_id)
    awaited = workflow_runs.child_of(unit.db, effect.parent_step_run_id)
    # A step that is done again waits for its new run; its former one may have been opened again.
    if place is None or awaited is None or awaited.run.id != effect.workflow_run_id:
        return
    _, ref = place
    event = happened.ChildEnded(
        ref, effect.workflow_id, effect.status, effect.outputs, effect.error
    )
    advance_by_id(unit, effect.parent_workflow_run_id, event)


def fire(unit: Unit, workflow: Workflow, tick: Timestamp) -> None:
    """Start a workflow for a tick of its schedule."""
    workflow_starts.fire(unit, workflow, tick)


# ----------------------------------------------------------------------------------- compensation


def _compensate(
    unit: Unit, run: WorkflowRun, effect: asked.StartCompensation | asked.CancelCompensation
) -> None:
    if isinstance(effect, asked.StartCompensation):
        _start_compensation(unit, run, effect)
    else:
        _cancel_compensation(unit, run.id, effect.error)


def _start_compensation(unit: Unit, run: WorkflowRun, effect: asked.StartCompensation) -> None:
    entry = unit.platform.jobs.get(unit.db, effect.job_id)
    if entry is None:
        event = happened.CompensationEnded(effect.ref, "failed", f"job {effect.job_id} not found")
        advance_by_id(unit, run.id, event)
        return
    request = Request(
        triggered_by="workflow",
        created_by="system:workflow-compensation",
        tags=run.tags,
        metadata={_COMPENSATED_RUN: run.id, _COMPENSATED_STEP: effect.ref},
        timeout_secs_override=bounded(effect.timeout_secs),
    )
    runs.create(unit, entry.job, request, _text(effect.payload))


def _cancel_compensation(unit: Unit, workflow_run_id: str, error: str) -> None:
    living = "doc ->> '$.metadata." + _COMPENSATED_RUN + "' = ? AND finished_at = ''"
    for run_id in run_rows.ids(unit.db, living, (workflow_run_id,)):
        _request(unit, run_id, run_engine.Canceled(error))


def compensation_ended(unit: Unit, run: Run) -> None:
    """Tell a workflow run that a job which undoes a step is over, if the run was one."""
    workflow_run_id = run.metadata.get(_COMPENSATED_RUN)
    if workflow_run_id:
        event = happened.CompensationEnded(
            run.metadata.get(_COMPENSATED_STEP, ""), run.status, run.error
        )
        advance_by_id(unit, workflow_run_id, event)


# ------------------------------------------------------------------------------------------- time


def run_due(unit: Unit, workflow_run_id: str) -> None:
    """Let a workflow run end whose time is up."""
    stored = workflow_runs.load(unit.db, workflow_run_id)
    if stored is None or stored.run.status not in workflow_runs.ACTIVE:
        return
    if stored.run.expires_at and stored.run.expires_at <= unit.stamp:
        advance(unit, stored, happened.TimedOut())


def approval_due(unit: Unit, approval_id: str) -> None:
    """Let an approval end whose time is up."""
    found = workflow_runs.approval(unit.db, approval_id)
    if found is None:
        return
    ref, approval = found
    if approval.status == "pending" and approval.expires_at and approval.expires_at <= unit.stamp:
        advance_by_id(unit, approval.workflow_run_id, happened.ApprovalTimedOut(ref))


def approval_half_due(unit: Unit, approval_id: str) -> None:
    """Remind of an approval that is still asked for when half of its time is over."""
    found = workflow_runs.approval(unit.db, approval_id)
    if found is None or found[1].status != "pending":
        return
    stored = workflow_runs.load(unit.db, found[1].workflow_run_id)
    if stored is not None:
        announce.approval_is_late(unit, stored.run, found[1])


def after_restart(unit: Unit) -> None:
    """Watch what is due of workflow runs that are not over, and see to those that stand still."""
    for run_id in workflow_runs.active_ids(unit.db):
        stored = workflow_runs.load(unit.db, run_id)
        if stored is not None:
            _watch_run(unit, stored.run, ended=False)
    for approval in workflow_runs.open_approvals(unit.db):
        _watch_approval(unit, approval)
    for run_id in workflow_runs.stalled_ids(unit.db):
        # A step and what it starts are one commit, so there is none unless something is broken.
        logger.error("workflow run %s stood still, and is looked at again", run_id)
        advance_by_id(unit, run_id, happened.Recheck())


def _watch_run(unit: Unit, run: WorkflowRun, *, ended: bool) -> None:
    _watch(unit, ("workflow_run", run.id), "" if ended else run.expires_at)
    witness = unit.platform.witness
    if witness is not None:
        unit.after(partial(witness, run))


def _watch_approval(unit: Unit, approval: Approval) -> None:
    expires_at = approval.expires_at if approval.status == "pending" else ""
    half = ""
    if expires_at:
        half = to_timestamp(
            (from_timestamp(approval.requested_at) + from_timestamp(expires_at)) // 2
        )
    _watch(unit, ("approval", approval.id), expires_at)
    _watch(unit, ("approval_half", approval.id), half)


def _watch(unit: Unit, key: tuple[str, str], instant: str) -> None:
    timers = unit.platform.timers
    if instant:
        unit.after(partial(timers.set, key, from_timestamp(instant)))
    else:
        unit.after(partial(timers.cancel, key))

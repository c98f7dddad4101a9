"""How a step begins, by its type (`contract/workflows.md` §3.5, §3.9 to §3.13)."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import UNSET, UnsetType

from strait.clock import Timestamp
from strait.engine.model import Approval, EventTrigger, Json, StepDefinition, StepRun
from strait.engine.workflows import cost_gates
from strait.engine.workflows.draft import Draft
from strait.engine.workflows.effects import OpenTrigger, StartChild, StartJob
from strait.engine.workflows.instants import in_secs
from strait.engine.workflows.payloads import merge_payload
from strait.templating import TemplateError, render, render_key

MAX_WAIT_SECS = 30 * 24 * 3600
DEFAULT_EVENT_TIMEOUT_SECS = 3600
DEFAULT_SLEEP_SECS = 60
DEFAULT_NESTING_DEPTH = 10
MAX_EVENT_KEY_CHARS = 512
NEVER: Timestamp = "9999-12-31T23:59:59.999999Z"
"""The `expires_at` of a wait without a limit."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class StepStartError(Exception):
    """A step cannot begin; the text becomes its error."""


def start_step(draft: Draft, ref: str) -> None:
    """Begin a step that may begin.

    Raises:
        StepStartError: its payload or its event key cannot be made.
    """
    try:
        _STARTERS[draft.steps[ref].step_type](draft, draft.steps[ref])
    except TemplateError as error:
        raise StepStartError(str(error)) from error


def nesting_too_deep(depth: int, limit: int, ref: str) -> str:
    """Return the error of a sub-workflow that has `depth` ancestors already."""
    return f"sub-workflow nesting depth {depth} exceeds max allowed {limit} for step {ref}"


def event_key_in_use(event_key: str) -> str:
    """Return the error of a step whose event key somebody waits for already."""
    return (
        f'event key "{event_key}" already in use — use a unique key pattern like '
        f'"{event_key}:{{{{id}}}}", where `id` stands in the payload of the trigger'
    )


def approval_id(step_run_id: str) -> str:
    """Return the id of the approval that a step waits for."""
    return f"approval:{step_run_id}"


# ----------------------------------------------------------------------------------------- types


def _start_job(draft: Draft, step: StepDefinition) -> None:
    if cost_gates.must_ask(draft, step):
        cost_gates.ask(draft, _wait(draft, step, f"step `{step.step_ref}` may cost much"), step)
        return
    payload = _payload(draft, step)
    job_run_id = draft.new_id()
    started = draft.move_step(
        step.step_ref,
        "running",
        f"step `{step.step_ref}` started a run of its job",
        started_at=draft.stamp,
        job_run_id=job_run_id,
    )
    draft.effects.append(
        StartJob(step.step_ref, started.id, job_run_id, step.job_id, payload, step)
    )


def _start_child(draft: Draft, step: StepDefinition) -> None:
    payload = _payload(draft, step)
    started = draft.move_step(
        step.step_ref,
        "running",
        f"step `{step.step_ref}` started its workflow",
        started_at=draft.stamp,
    )
    draft.effects.append(
        StartChild(
            step.step_ref,
            started.id,
            step.sub_workflow_id,
            payload,
            step.max_nesting_depth or DEFAULT_NESTING_DEPTH,
        )
    )


def _start_approval(draft: Draft, step: StepDefinition) -> None:
    timeout_secs = step.approval_timeout_secs
    waiting = _wait(draft, step, f"step `{step.step_ref}` waits for an approval")
    draft.put_approval(
        step.step_ref,
        Approval(
            id=approval_id(waiting.id),
            workflow_run_id=draft.run.id,
            workflow_step_run_id=waiting.id,
            status="pending",
            requested_at=draft.stamp,
            approvers=step.approval_approvers,
            expires_at=in_secs(draft.now, timeout_secs),
        ),
    )
    key = f"approval:{draft.run.id}:{step.step_ref}"
    _open(draft, waiting, "evt:approval", key, timeout_secs, "event")


def _start_event(draft: Draft, step: StepDefinition) -> None:
    key = _event_key(draft, step)
    timeout_secs = _bounded(step.event_timeout_secs, DEFAULT_EVENT_TIMEOUT_SECS)
    waiting = _wait(draft, step, f"step `{step.step_ref}` waits for event `{key}`")
    _open(draft, waiting, "evt", key, timeout_secs, "event", notify_url=step.event_notify_url)


def _start_sleep(draft: Draft, step: StepDefinition) -> None:
    secs = _bounded(step.sleep_duration_secs, DEFAULT_SLEEP_SECS)
    waiting = _wait(draft, step, f"step `{step.step_ref}` sleeps for {secs} s")
    _open(draft, waiting, "slp", f"sleep:{draft.run.id}:{step.step_ref}", secs, "sleep")


_STARTERS: dict[str, Callable[[Draft, StepDefinition], None]] = {
    "job": _start_job,
    "sub_workflow": _start_child,
    "approval": _start_approval,
    "wait_for_event": _start_event,
    "sleep": _start_sleep,
}


# ----------------------------------------------------------------------------------------- parts


def _payload(draft: Draft, step: StepDefinition) -> Json | UnsetType:
    trigger = draft.run.payload
    own = step.payload if step.payload is UNSET else render(step.payload, trigger)
    return merge_payload(trigger, own, _parent_outputs(draft, step))


def _parent_outputs(draft: Draft, step: StepDefinition) -> dict[str, Json] | None:
    if not step.depends_on:
        return None
    outputs = {dep: draft.step_runs[dep].output for dep in step.depends_on}
    return {dep: output for dep, output in outputs.items() if output is not UNSET}


def _event_key(draft: Draft, step: StepDefinition) -> str:
    ref, key = step.step_ref, render_key(step.event_key, draft.run.payload)
    if not key:
        raise StepStartError(f"event_key is empty for step {ref}")
    if len(key) > MAX_EVENT_KEY_CHARS:
        raise StepStartError(f"event_key exceeds {MAX_EVENT_KEY_CHARS} characters for step {ref}")
    if _CONTROL.search(key):
        raise StepStartError(f"event_key contains invalid control characters for step {ref}")
    return key


def _wait(draft: Draft, step: StepDefinition, message: str) -> StepRun:
    ref = step.step_ref
    # A step waits for those before it and for what comes to it under the same status; the
    # instant at which it began tells one from the other.
    if draft.step_runs[ref].status == "pending":
        return draft.move_step(ref, "waiting", message, started_at=draft.stamp)
    waiting = draft.change_step(ref, started_at=draft.stamp)
    draft.note_step(ref, message)
    return waiting


def _open(
    draft: Draft,
    waiting: StepRun,
    prefix: str,
    event_key: str,
    timeout_secs: int,
    trigger_type: str,
    *,
    notify_url: str = "",
) -> None:
    # The rows of earlier attempts stay, so a later one needs an id of its own.
    suffix = f":{waiting.attempt}" if waiting.attempt > 1 else ""
    trigger = EventTrigger(
        id=f"{prefix}:{waiting.id}{suffix}",
        event_key=event_key,
        project_id=draft.run.project_id,
        source_type="workflow_step",
        status="waiting",
        timeout_secs=timeout_secs,
        requested_at=draft.stamp,
        expires_at=in_secs(draft.now, timeout_secs) or NEVER,
        workflow_run_id=draft.run.id,
        workflow_step_run_id=waiting.id,
        notify_url=notify_url,
        notify_status="pending" if notify_url else "",
        trigger_type=trigger_type,
    )
    draft.effects.append(OpenTrigger(waiting.step_ref, trigger))


def _bounded(secs: int, default: int) -> int:
    return min(secs if secs > 0 else default, MAX_WAIT_SECS)

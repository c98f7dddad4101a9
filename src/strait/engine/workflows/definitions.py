"""Workflow definitions: from a request's steps to records, and what may be wrong with them.

The texts are those of the platform (`contract/workflows.md` §1.4). Beside its rules there is one
more reading: an approval step that says `"approval_approvers": []` means anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from msgspec import UNSET, Raw, UnsetType, json

from strait import dag
from strait.cron import CronError, validate_timezone, validate_workflow_cron
from strait.engine.model import Json, StepDefinition
from strait.engine.refusal import Refused

MAX_STEPS = 1_000
MAX_EVENT_KEY_CHARS = 512
MAX_SLEEP_SECS = 30 * 24 * 3600
MAX_CONCURRENCY_KEY_CHARS = 128
STEP_TYPES = frozenset({"job", "approval", "sub_workflow", "wait_for_event", "sleep"})
FAILURE_POLICIES = ("fail_workflow", "skip_dependents", "continue")
RETRY_BACKOFFS = ("exponential", "fixed")
COST_GATE_ACTIONS = ("approve", "fail")
STAGE_SWITCHES = ("on_complete", "on_failure", "on_skipped")
RESOURCE_CLASSES = ("small", "medium", "large")


class StepRequest(Protocol):
    """A step as a request has it; None is absent."""

    step_ref: str
    step_type: str | None
    job_id: str | None
    depends_on: list[str] | None
    condition: Raw | UnsetType
    on_failure: str | None
    payload: Raw | UnsetType
    approval_timeout_secs: int | None
    approval_approvers: list[str] | None
    retry_max_attempts: int | None
    retry_backoff: str | None
    retry_initial_delay_secs: int | None
    retry_max_delay_secs: int | None
    timeout_secs_override: int | None
    output_transform: str | None
    sub_workflow_id: str | None
    max_nesting_depth: int | None
    event_key: str | None
    event_timeout_secs: int | None
    event_notify_url: str | None
    event_emit_key: str | None
    sleep_duration_secs: int | None
    concurrency_key: str | None
    cost_gate_threshold_microusd: int | None
    cost_gate_timeout_secs: int | None
    cost_gate_default_action: str | None
    resource_class: str | None
    expected_duration_secs: int | None
    stage_notifications: Raw | UnsetType
    compensation_job_id: str | None
    compensation_timeout_secs: int | None


def step_definition(
    request: StepRequest, step_id: str, workflow_id: str, created_at: str
) -> StepDefinition:
    """Return the record of a step, with the defaults of the platform for what is absent."""
    stage_notifications = _value(request.stage_notifications)
    return StepDefinition(
        id=step_id,
        workflow_id=workflow_id,
        step_ref=request.step_ref,
        created_at=created_at,
        depends_on=tuple(request.depends_on or ()),
        on_failure=request.on_failure or "fail_workflow",
        step_type=request.step_type or "job",
        retry_backoff=request.retry_backoff or "exponential",
        resource_class=request.resource_class or "small",
        job_id=request.job_id or "",
        condition=_value(request.condition),
        payload=_value(request.payload),
        approval_timeout_secs=request.approval_timeout_secs or 0,
        approval_approvers=tuple(request.approval_approvers or ()),
        retry_max_attempts=request.retry_max_attempts or 0,
        retry_initial_delay_secs=request.retry_initial_delay_secs or 0,
        retry_max_delay_secs=request.retry_max_delay_secs or 0,
        timeout_secs_override=request.timeout_secs_override or 0,
        output_transform=request.output_transform or "",
        sub_workflow_id=request.sub_workflow_id or "",
        max_nesting_depth=request.max_nesting_depth or 0,
        event_key=request.event_key or "",
        event_timeout_secs=request.event_timeout_secs or 0,
        event_notify_url=request.event_notify_url or "",
        event_emit_key=request.event_emit_key or "",
        sleep_duration_secs=request.sleep_duration_secs or 0,
        concurrency_key=request.concurrency_key or "",
        cost_gate_threshold_microusd=request.cost_gate_threshold_microusd or 0,
        cost_gate_timeout_secs=request.cost_gate_timeout_secs or 0,
        cost_gate_default_action=request.cost_gate_default_action or "",
        expected_duration_secs=request.expected_duration_secs or 0,
        stage_notifications=None if stage_notifications is UNSET else stage_notifications,
        compensation_job_id=request.compensation_job_id or "",
        compensation_timeout_secs=request.compensation_timeout_secs or 0,
    )


def _value(raw: Raw | UnsetType) -> Json | UnsetType:
    return UNSET if raw is UNSET else json.decode(raw)


# ------------------------------------------------------------------------------------ validation


def check_steps(steps: Sequence[StepRequest], check_url: Callable[[str], None]) -> None:
    """Check the steps of a request, in the order in which the platform does.

    Args:
        steps: the steps.
        check_url: raises ValueError for an `event_notify_url` that may not be called.

    Raises:
        Refused: 400, the first thing that is wrong.
    """
    if len(steps) > MAX_STEPS:
        raise Refused(400, f"workflow cannot have more than {MAX_STEPS} steps")
    _check_refs(steps)
    known = {step.step_ref for step in steps}
    for step in steps:
        if fault := _step_fault(step, known, check_url):
            raise Refused(400, fault)
    try:
        dag.topological_order([(step.step_ref, step.depends_on or ()) for step in steps])
    except dag.DagError as error:
        raise Refused(400, "workflow has circular dependencies") from error


def _check_refs(steps: Sequence[StepRequest]) -> None:
    seen: set[str] = set()
    for step in steps:
        if not step.step_ref:
            raise Refused(400, "each step requires step_ref")
        if step.step_ref in seen:
            raise Refused(400, f"duplicate step_ref: {step.step_ref}")
        seen.add(step.step_ref)


def _step_fault(step: StepRequest, known: set[str], check_url: Callable[[str], None]) -> str:
    type_fault = _TYPE_FAULTS.get(step.step_type or "job")
    if type_fault is None:
        return f'step {step.step_ref} has invalid step_type "{step.step_type}"'
    return (
        type_fault(step)
        or _choice_fault(step)
        or _url_fault(step, check_url)
        or _limits_fault(step)
        or _cost_gate_fault(step)
        or _notifications_fault(step)
        or _deps_fault(step, known)
    )


def _choice_fault(step: StepRequest) -> str:
    """The platform takes any word here and then does something that nobody asked for."""
    for name, value, known in (
        ("on_failure", step.on_failure, FAILURE_POLICIES),
        ("retry_backoff", step.retry_backoff, RETRY_BACKOFFS),
    ):
        if value and value not in known:
            return f"{name} must be one of {', '.join(known)}"
    return ""


def _job_fault(step: StepRequest) -> str:
    return "" if step.job_id else "job steps require job_id"


def _approval_fault(step: StepRequest) -> str:
    if step.approval_approvers is None:
        return "approval steps require approval_approvers"
    if (step.approval_timeout_secs or 0) < 0:
        return "approval_timeout_secs must be >= 0"
    return ""


def _sub_workflow_fault(step: StepRequest) -> str:
    if not step.sub_workflow_id:
        return "sub_workflow steps require sub_workflow_id"
    if step.job_id:
        return "sub_workflow steps must not have job_id"
    if (step.max_nesting_depth or 0) < 0:
        return "max_nesting_depth must be >= 0"
    return ""


def _event_fault(step: StepRequest) -> str:
    if not step.event_key:
        return "wait_for_event steps require event_key"
    if len(step.event_key) > MAX_EVENT_KEY_CHARS:
        return f"event_key must be at most {MAX_EVENT_KEY_CHARS} characters"
    return ""


def _sleep_fault(step: StepRequest) -> str:
    secs = step.sleep_duration_secs or 0
    if secs <= 0:
        return "sleep steps require sleep_duration_secs > 0"
    if secs > MAX_SLEEP_SECS:
        return f"sleep_duration_secs must be <= {MAX_SLEEP_SECS}"
    return ""


_TYPE_FAULTS: dict[str, Callable[[StepRequest], str]] = {
    "job": _job_fault,
    "approval": _approval_fault,
    "sub_workflow": _sub_workflow_fault,
    "wait_for_event": _event_fault,
    "sleep": _sleep_fault,
}


def _url_fault(step: StepRequest, check_url: Callable[[str], None]) -> str:
    if not step.event_notify_url:
        return ""
    try:
        check_url(step.event_notify_url)
    except ValueError as error:
        return f"step {step.step_ref} has invalid event_notify_url: {error}"
    return ""


def _limits_fault(step: StepRequest) -> str:
    if (step.timeout_secs_override or 0) < 0:
        return "timeout_secs_override must be >= 0"
    if len(step.concurrency_key or "") > MAX_CONCURRENCY_KEY_CHARS:
        return f"concurrency_key must be at most {MAX_CONCURRENCY_KEY_CHARS} characters"
    if step.resource_class and step.resource_class not in RESOURCE_CLASSES:
        return f"resource_class must be one of {', '.join(RESOURCE_CLASSES)}"
    return ""


def _cost_gate_fault(step: StepRequest) -> str:
    threshold = step.cost_gate_threshold_microusd or 0
    if threshold < 0:
        return "cost_gate_threshold_microusd must be >= 0"
    if threshold and (step.step_type or "job") != "job":
        return f"step {step.step_ref} has a cost gate and no job; only job steps cost anything"
    if (step.cost_gate_timeout_secs or 0) < 0:
        return "cost_gate_timeout_secs must be >= 0"
    if (step.cost_gate_default_action or "fail") not in COST_GATE_ACTIONS:
        return f"cost_gate_default_action must be one of {', '.join(COST_GATE_ACTIONS)}"
    return ""


def _notifications_fault(step: StepRequest) -> str:
    """The platform takes anything here; what is no switch would tell nobody, and not say so."""
    switches = _value(step.stage_notifications)
    if switches is UNSET or switches is None:
        return ""
    if not isinstance(switches, dict):
        return "stage_notifications must be an object"
    for name, value in switches.items():
        if name not in STAGE_SWITCHES:
            known = ", ".join(STAGE_SWITCHES)
            return f"stage_notifications has {known}, and no {name}"
        if not isinstance(value, bool):
            return f"stage_notifications.{name} must be true or false"
    return ""


def _deps_fault(step: StepRequest, known: set[str]) -> str:
    for dep in step.depends_on or ():
        if not dep:
            return "depends_on cannot contain empty values"
        if dep == step.step_ref:
            return "step cannot depend on itself"
        if dep not in known:
            return f'step "{step.step_ref}" depends on unknown step "{dep}"'
    return ""


def check_settings(max_parallel_steps: int, cron: str, cron_timezone: str) -> None:
    """Check the settings of a workflow itself.

    Raises:
        Refused: 400, the first thing that is wrong.
    """
    if max_parallel_steps < 0:
        raise Refused(400, "max_parallel_steps must be >= 0")
    try:
        validate_timezone(cron_timezone)
    except CronError as error:
        raise Refused(400, "invalid cron_timezone") from error
    if not cron:
        return
    try:
        validate_workflow_cron(cron)
    except CronError as error:
        raise Refused(400, "invalid cron expression") from error


def check_references(
    steps: Sequence[StepRequest],
    project_id: str,
    job_projects: Mapping[str, str],
    workflow_projects: Mapping[str, str],
) -> None:
    """Check that what steps refer to exists in the project of their workflow.

    Args:
        steps: the steps.
        project_id: the project of the workflow.
        job_projects: `{job_id: project_id}` of the jobs that exist.
        workflow_projects: the same of the workflows.

    Raises:
        Refused: 400, the first reference that is wrong.
    """
    for step in steps:
        ref = step.step_ref
        for job_id in filter(None, (step.job_id, step.compensation_job_id)):
            _check_reference(ref, "job", job_id, project_id, job_projects)
        if step.sub_workflow_id:
            _check_reference(
                ref, "sub_workflow", step.sub_workflow_id, project_id, workflow_projects
            )


def _check_reference(
    ref: str, kind: str, target: str, project_id: str, projects: Mapping[str, str]
) -> None:
    if target not in projects:
        raise Refused(400, f"step {ref} references unknown {kind} {target}")
    if projects[target] != project_id:
        raise Refused(400, f"step {ref} references {kind} outside workflow project")


def check_kept_refs(old: Sequence[StepDefinition], new: Sequence[StepRequest]) -> None:
    """Check that a change of the steps of a workflow removes none.

    Raises:
        Refused: 400, with the first ref that is missing.
    """
    kept = {step.step_ref for step in new}
    for step in old:
        if step.step_ref not in kept:
            raise Refused(
                400,
                f'removing step_ref "{step.step_ref}" is not supported; '
                "disable it with step overrides instead",
            )


# ------------------------------------------------------------------------------------------ graph

_HasDeps = TypeVar("_HasDeps", StepDefinition, StepRequest)


def dag_fault(steps: Sequence[_HasDeps]) -> str:
    """Return what keeps steps from being run, as dry-run, plan and trigger say it, or ""."""
    if not steps:
        return "workflow must have at least one step"
    try:
        dag.topological_order([(step.step_ref, step.depends_on or ()) for step in steps])
    except dag.DagError as error:
        return _in_platform_words(error)
    return ""


def _in_platform_words(error: dag.DagError) -> str:
    if error.duplicates:
        return f'duplicate step_ref: "{error.duplicates[0]}"'
    if error.self_dependent:
        return f'step "{error.self_dependent[0]}" depends on itself'
    if error.missing:
        step, dep = error.missing[0]
        return f'step "{step}" depends on unknown step "{dep}"'
    involved = sorted({ref for cycle in error.cycles for ref in cycle})
    return f"cycle detected involving steps: [{' '.join(involved)}]"

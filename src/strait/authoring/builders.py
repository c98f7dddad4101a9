"""The functions that make steps from keywords; they hold names and defaults, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strait.authoring.steps import (
    ApprovalStep,
    BaseStepOptions,
    CostGateAction,
    JobStep,
    OnFailureAction,
    ResourceClass,
    RetryBackoff,
    SleepStep,
    SubWorkflowStep,
    WaitForEventStep,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from strait.authoring.definitions import Definition
    from strait.errors import Json


def job_step(
    ref: str,
    job_id: str | Definition,
    *,
    depends_on: list[str] | None = None,
    on_failure: OnFailureAction | str | None = None,
    payload: Json | None = None,
    condition: Mapping[str, Json] | None = None,
    retry_max_attempts: int | None = None,
    retry_backoff: RetryBackoff | str | None = None,
    retry_initial_delay_secs: int | None = None,
    retry_max_delay_secs: int | None = None,
    timeout_secs_override: int | None = None,
    output_transform: str | None = None,
    concurrency_key: str | None = None,
    resource_class: ResourceClass | str | None = None,
    event_emit_key: str | None = None,
    expected_duration_secs: int | None = None,
    compensation_job_id: str | Definition | None = None,
    compensation_timeout_secs: int | None = None,
    cost_gate_threshold_microusd: int | None = None,
    cost_gate_timeout_secs: int | None = None,
    cost_gate_default_action: CostGateAction | str | None = None,
) -> JobStep:
    """Make a step that runs a job.

    Args:
        ref: the name of the step in its workflow.
        job_id: the job: its slug, its id or its definition.
        depends_on: see `BaseStepOptions`, as for all that follow.
        on_failure: see there.
        payload: see there.
        condition: see there.
        retry_max_attempts: see there.
        retry_backoff: see there.
        retry_initial_delay_secs: see there.
        retry_max_delay_secs: see there.
        timeout_secs_override: see there.
        output_transform: see there.
        concurrency_key: see there.
        resource_class: see there.
        event_emit_key: see there.
        expected_duration_secs: see there.
        compensation_job_id: see there.
        compensation_timeout_secs: see there.
        cost_gate_threshold_microusd: see `JobStep`, as for all that follow.
        cost_gate_timeout_secs: see there.
        cost_gate_default_action: see there.
    """
    options = BaseStepOptions(
        depends_on=[] if depends_on is None else depends_on,
        condition=condition,
        on_failure=on_failure,
        payload=payload,
        retry_max_attempts=retry_max_attempts,
        retry_backoff=retry_backoff,
        retry_initial_delay_secs=retry_initial_delay_secs,
        retry_max_delay_secs=retry_max_delay_secs,
        timeout_secs_override=timeout_secs_override,
        output_transform=output_transform,
        concurrency_key=concurrency_key,
        resource_class=resource_class,
        event_emit_key=event_emit_key,
        expected_duration_secs=expected_duration_secs,
        compensation_job_id=compensation_job_id,
        compensation_timeout_secs=compensation_timeout_secs,
    )
    return JobStep(
        ref,
        job_id,
        options,
        cost_gate_threshold_microusd=cost_gate_threshold_microusd,
        cost_gate_timeout_secs=cost_gate_timeout_secs,
        cost_gate_default_action=cost_gate_default_action,
    )


def ai_step(
    ref: str,
    job_id: str | Definition,
    *,
    depends_on: list[str] | None = None,
    on_failure: OnFailureAction | str | None = None,
    payload: Json | None = None,
    condition: Mapping[str, Json] | None = None,
    retry_max_attempts: int | None = None,
    retry_backoff: RetryBackoff | str | None = None,
    retry_initial_delay_secs: int | None = None,
    retry_max_delay_secs: int | None = None,
    timeout_secs_override: int | None = None,
    output_transform: str | None = None,
    concurrency_key: str | None = None,
    resource_class: ResourceClass | str | None = None,
    cost_gate_threshold_microusd: int | None = None,
    cost_gate_timeout_secs: int | None = None,
    cost_gate_default_action: CostGateAction | str | None = None,
) -> JobStep:
    """Make a job step with defaults for work on language models.

    Unless told otherwise: 5 attempts with exponential backoff from 2 s to 120 s, 600 s an
    attempt, and the `large` resource class. The arguments are those of `job_step`.
    """
    return job_step(
        ref,
        job_id,
        depends_on=depends_on,
        on_failure=on_failure,
        payload=payload,
        condition=condition,
        retry_max_attempts=5 if retry_max_attempts is None else retry_max_attempts,
        retry_backoff=RetryBackoff.EXPONENTIAL if retry_backoff is None else retry_backoff,
        retry_initial_delay_secs=(
            2 if retry_initial_delay_secs is None else retry_initial_delay_secs
        ),
        retry_max_delay_secs=120 if retry_max_delay_secs is None else retry_max_delay_secs,
        timeout_secs_override=600 if timeout_secs_override is None else timeout_secs_override,
        output_transform=output_transform,
        concurrency_key=concurrency_key,
        resource_class=ResourceClass.LARGE if resource_class is None else resource_class,
        cost_gate_threshold_microusd=cost_gate_threshold_microusd,
        cost_gate_timeout_secs=cost_gate_timeout_secs,
        cost_gate_default_action=cost_gate_default_action,
    )


def approval_step(
    ref: str,
    *,
    approval_timeout_secs: int | None = None,
    approvers: list[str] | None = None,
    depends_on: list[str] | None = None,
    on_failure: OnFailureAction | str | None = None,
    condition: Mapping[str, Json] | None = None,
) -> ApprovalStep:
    """Make a step that waits for an approval; without `approvers` anybody may give it.

    Args:
        ref: the name of the step in its workflow.
        approval_timeout_secs: seconds until the step fails; None waits as long as the run may.
        approvers: who may approve, as the platform names actors.
        depends_on: see `BaseStepOptions`.
        on_failure: see there.
        condition: see there.
    """
    options = _options(depends_on, on_failure, condition)
    return ApprovalStep(ref, approval_timeout_secs, [] if approvers is None else approvers, options)


def sub_workflow_step(
    ref: str,
    sub_workflow_id: str | Definition,
    *,
    max_nesting_depth: int | None = None,
    depends_on: list[str] | None = None,
    on_failure: OnFailureAction | str | None = None,
    payload: Json | None = None,
    condition: Mapping[str, Json] | None = None,
) -> SubWorkflowStep:
    """Make a step that runs another workflow and waits for it.

    Args:
        ref: the name of the step in its workflow.
        sub_workflow_id: the workflow: its slug, its id or its definition.
        max_nesting_depth: how deep workflows may be in one another.
        depends_on: see `BaseStepOptions`.
        on_failure: see there.
        payload: see there.
        condition: see there.
    """
    options = _options(depends_on, on_failure, condition, payload)
    return SubWorkflowStep(ref, sub_workflow_id, max_nesting_depth, options)


def wait_for_event_step(
    ref: str,
    event_key: str,
    *,
    event_timeout_secs: int | None = None,
    event_notify_url: str | None = None,
    depends_on: list[str] | None = None,
    on_failure: OnFailureAction | str | None = None,
    condition: Mapping[str, Json] | None = None,
) -> WaitForEventStep:
    """Make a step that waits until an event is sent.

    Args:
        ref: the name of the step in its workflow.
        event_key: the event's key; `{{name}}` in it stands for values of the run's payload.
        event_timeout_secs: seconds until the step fails; the platform's default is an hour.
        event_notify_url: a URL that is told that the step waits.
        depends_on: see `BaseStepOptions`.
        on_failure: see there.
        condition: see there.
    """
    options = _options(depends_on, on_failure, condition)
    return WaitForEventStep(ref, event_key, event_timeout_secs, event_notify_url, options)


def sleep_step(
    ref: str,
    duration_secs: int,
    *,
    depends_on: list[str] | None = None,
    on_failure: OnFailureAction | str | None = None,
    condition: Mapping[str, Json] | None = None,
) -> SleepStep:
    """Make a step that waits for a time.

    Args:
        ref: the name of the step in its workflow.
        duration_secs: seconds, from 1 to 2,592,000 (30 days).
        depends_on: see `BaseStepOptions`.
        on_failure: see there.
        condition: see there.
    """
    return SleepStep(ref, duration_secs, _options(depends_on, on_failure, condition))


def _options(
    depends_on: list[str] | None,
    on_failure: OnFailureAction | str | None,
    condition: Mapping[str, Json] | None,
    payload: Json | None = None,
) -> BaseStepOptions:
    return BaseStepOptions(
        depends_on=[] if depends_on is None else depends_on,
        on_failure=on_failure,
        condition=condition,
        payload=payload,
    )

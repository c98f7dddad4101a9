"""The records that the engine decides over, in the wire names of the API.

A record is frozen: a decision returns a changed copy (`msgspec.structs.replace`). Fields that the
API leaves out when they are empty have the empty value as their default, and fields that it always
sends have none, so that plain encoding (`omit_defaults`) gives the wire form. JSON that may be
`null` and may be absent is `UNSET` when absent. Instants are `Timestamp` strings of fixed width
(see `strait.clock`), which sort like the instants.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

from strait.clock import Timestamp

Json: TypeAlias = Any
Tags: TypeAlias = dict[str, str]


class Record(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A row of the store that the API shows as JSON."""


class Job(Record, frozen=True):
    """A job: where its runs are dispatched to, and under which limits (`GET /v1/jobs/{id}`)."""

    id: str
    project_id: str
    name: str
    slug: str
    created_at: Timestamp
    updated_at: Timestamp
    endpoint_url: str
    max_attempts: int
    timeout_secs: int
    enabled: bool
    paused: bool
    version: int
    group_id: str = ""
    description: str = ""
    cron: str = ""
    payload_schema: Json = None
    tags: Tags = field(default_factory=dict)
    fallback_endpoint_url: str = ""
    max_concurrency: int = 0
    max_concurrency_per_key: int = 0
    execution_window_cron: str = ""
    timezone: str = ""
    rate_limit_max: int = 0
    rate_limit_window_secs: int = 0
    rate_limit_keys: list[dict[str, Json]] = field(default_factory=list)
    dedup_window_secs: int = 0
    paused_at: Timestamp = ""
    pause_reason: str = ""
    webhook_url: str = ""
    run_ttl_secs: int = 0
    retry_strategy: str = ""
    retry_delays_secs: list[int] = field(default_factory=list)
    retry_priority_boost: int = 0
    dlq_alert_threshold: int = 0
    queue_depth_alert_threshold: int = 0
    poison_pill_threshold: int = 0
    environment_id: str = ""
    default_run_metadata: Tags = field(default_factory=dict)
    version_id: str = ""
    version_policy: str = ""
    backwards_compatible: bool = False
    cron_overlap_policy: str = ""
    result_schema: Json = None
    debounce_window_secs: int = 0
    batch_window_secs: int = 0
    batch_max_size: int = 0
    execution_mode: str = ""
    queue: str = ""
    throttles: list[dict[str, str]] = field(default_factory=list)
    cron_catchup: str = ""
    on_complete_trigger_workflow: str = ""
    on_complete_trigger_job: str = ""
    on_complete_payload_mapping: Json = None
    on_failure_trigger_job: str = ""
    on_failure_trigger_workflow: str = ""
    on_failure_payload_mapping: Json = None
    created_by: str = ""
    updated_by: str = ""


class Run(Record, frozen=True):
    """A run of a job (`GET /v1/runs/{id}`) without its payload and result.

    Those two can be large and are never looked into, so the store keeps their bytes beside the
    record and puts them back when it writes the wire form.
    """

    id: str
    job_id: str
    project_id: str
    status: str
    created_at: Timestamp
    attempt: int
    triggered_by: str
    priority: int
    debug_mode: bool
    lineage_depth: int
    tags: Tags = field(default_factory=dict)
    metadata: Tags = field(default_factory=dict)
    error: str = ""
    error_class: str = ""
    scheduled_at: Timestamp = ""
    started_at: Timestamp = ""
    finished_at: Timestamp = ""
    heartbeat_at: Timestamp = ""
    next_retry_at: Timestamp = ""
    expires_at: Timestamp = ""
    parent_run_id: str = ""
    idempotency_key: str = ""
    job_version: int = 0
    job_version_id: str = ""
    workflow_step_run_id: str = ""
    max_attempts_override: int = 0
    timeout_secs_override: int = 0
    retry_backoff: str = ""
    retry_initial_delay_secs: int = 0
    retry_max_delay_secs: int = 0
    continuation_of: str = ""
    created_by: str = ""
    batch_id: str = ""
    concurrency_key: str = ""
    execution_mode: str = ""
    queue_name: str = ""
    is_rollback: bool = False
    replayed_run_id: str = ""


class StepDefinition(Record, frozen=True):
    """A step of a workflow as it was defined (`WorkflowStep`)."""

    id: str
    workflow_id: str
    step_ref: str
    created_at: Timestamp
    depends_on: tuple[str, ...]
    on_failure: str
    step_type: str
    retry_backoff: str
    resource_class: str
    job_id: str = ""
    condition: Json | UnsetType = UNSET
    payload: Json | UnsetType = UNSET
    approval_timeout_secs: int = 0
    approval_approvers: tuple[str, ...] = ()
    retry_max_attempts: int = 0
    retry_initial_delay_secs: int = 0
    retry_max_delay_secs: int = 0
    timeout_secs_override: int = 0
    output_transform: str = ""
    sub_workflow_id: str = ""
    max_nesting_depth: int = 0
    event_key: str = ""
    event_timeout_secs: int = 0
    event_notify_url: str = ""
    event_emit_key: str = ""
    sleep_duration_secs: int = 0
    concurrency_key: str = ""
    cost_gate_threshold_microusd: int = 0
    cost_gate_timeout_secs: int = 0
    cost_gate_default_action: str = ""
    expected_duration_secs: int = 0
    stage_notifications: Json = None
    compensation_job_id: str = ""
    compensation_timeout_secs: int = 0


class Workflow(Record, frozen=True):
    """A workflow definition without its steps (`GET /v1/workflows`)."""

    id: str
    project_id: str
    name: str
    slug: str
    enabled: bool
    version: int
    created_at: Timestamp
    updated_at: Timestamp
    description: str = ""
    tags: Tags = field(default_factory=dict)
    timeout_secs: int = 0
    max_concurrent_runs: int = 0
    max_parallel_steps: int = 0
    cron: str = ""
    cron_timezone: str = ""
    cron_catchup: str = ""
    skip_if_running: bool = False
    version_id: str = ""
    version_policy: str = ""
    backwards_compatible: bool = False
    created_by: str = ""
    updated_by: str = ""


class WorkflowRun(Record, frozen=True):
    """A run of a workflow (`GET /v1/workflow-runs/{id}`)."""

    id: str
    workflow_id: str
    project_id: str
    status: str
    triggered_by: str
    workflow_version: int
    created_at: Timestamp
    tags: Tags = field(default_factory=dict)
    max_parallel_steps: int = 0
    payload: Json | UnsetType = UNSET
    error: str = ""
    started_at: Timestamp = ""
    finished_at: Timestamp = ""
    expires_at: Timestamp = ""
    retry_of_run_id: str = ""
    parent_workflow_run_id: str = ""
    parent_step_run_id: str = ""
    workflow_version_id: str = ""
    workflow_snapshot_id: str = ""
    created_by: str = ""
    expected_completion_at: Timestamp = ""
    trace_context: Tags = field(default_factory=dict)


class StepRun(Record, frozen=True):
    """A step of a workflow run (`WorkflowStepRun`)."""

    id: str
    workflow_run_id: str
    workflow_step_id: str
    step_ref: str
    status: str
    attempt: int
    deps_completed: int
    deps_required: int
    created_at: Timestamp
    job_run_id: str = ""
    output: Json | UnsetType = UNSET
    error: str = ""
    started_at: Timestamp = ""
    finished_at: Timestamp = ""


class Approval(Record, frozen=True):
    """An approval that a step waits for (`WorkflowStepApproval`)."""

    id: str
    workflow_run_id: str
    workflow_step_run_id: str
    status: str
    requested_at: Timestamp
    approvers: tuple[str, ...]
    approved_by: str = ""
    approved_at: Timestamp = ""
    expires_at: Timestamp = ""
    error: str = ""
    person: str = ""


class EventTrigger(Record, frozen=True):
    """A wait for an event, by a workflow step or by a job run (`EventTrigger`)."""

    id: str
    event_key: str
    project_id: str
    source_type: str  # workflow_step | job_run
    status: str  # waiting | received | timed_out | canceled | held
    timeout_secs: int
    requested_at: Timestamp
    expires_at: Timestamp
    environment_id: str = ""
    workflow_run_id: str = ""
    workflow_step_run_id: str = ""
    job_run_id: str = ""
    request_payload: Json | UnsetType = UNSET
    response_payload: Json | UnsetType = UNSET
    received_at: Timestamp = ""
    error: str = ""
    notify_url: str = ""
    notify_status: str = ""
    trigger_type: str = ""  # event | sleep
    sent_by: str = ""
    occurrence: int = 0  # which wait of its run for the key it is, where the run was suspended
    resumes: bool = False  # the run goes on when the event did not come in time

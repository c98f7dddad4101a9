"""What the decorators take by keyword: the fields of the options, with the same types.

The options themselves say what each means; a test holds both in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from strait.authoring.jobs import Handler
from strait.authoring.recorded.values import BlobStore, Codec
from strait.errors import Json


class JobKeywords(TypedDict, total=False):
    """See `JobOptions`."""

    name: str
    slug: str
    endpoint_url: str
    project_id: str
    description: str
    group_id: str
    tags: dict[str, str] | None
    environment_id: str
    cron: str
    timezone: str
    execution_window_cron: str
    max_concurrency: int | None
    rate_limit_max: int | None
    rate_limit_window_secs: int | None
    max_attempts: int | None
    retry_strategy: str
    retry_delays_secs: list[int] | None
    timeout_secs: int | None
    run_ttl_secs: int | None
    dedup_window_secs: int | None
    webhook_url: str
    webhook_secret: str
    fallback_endpoint_url: str
    on_success: Handler | None
    on_failure: Handler | None
    on_start: Handler | None
    payload_schema: Json | None
    result_schema: Json | None
    enabled: bool | None
    execution_mode: str
    queue_name: str
    endpoint_signing_secret: str
    max_concurrency_per_key: int | None
    retry_priority_boost: int | None
    poison_pill_threshold: int | None
    version_policy: str
    default_run_metadata: dict[str, str] | None
    cron_overlap_policy: str
    cron_catchup: str
    throttles: list[dict[str, str]] | None
    debounce_window_secs: int | None
    batch_window_secs: int | None
    batch_max_size: int | None
    on_complete_trigger_workflow: str
    on_complete_trigger_job: str
    on_complete_payload_mapping: Mapping[str, str] | None
    on_failure_trigger_job: str
    on_failure_trigger_workflow: str
    on_failure_payload_mapping: Mapping[str, str] | None
    codec: Codec | None
    blobs: BlobStore | None
    isolation: str


class AgentKeywords(TypedDict, total=False):
    """See `AgentOptions`."""

    name: str
    slug: str
    endpoint_url: str
    project_id: str
    description: str
    tags: dict[str, str] | None
    max_iterations: int | None
    max_cost_microusd: int | None
    auto_checkpoint: bool
    timeout_secs: int | None
    max_attempts: int | None
    retry_strategy: str
    on_success: Handler | None
    on_failure: Handler | None
    on_start: Handler | None


class WorkflowKeywords(TypedDict, total=False):
    """See `WorkflowOptions`."""

    name: str
    slug: str
    project_id: str
    description: str
    tags: dict[str, str] | None
    environment_id: str
    max_concurrent_runs: int | None
    max_parallel_steps: int | None
    timeout_secs: int | None
    max_attempts: int | None
    retry_strategy: str
    cron: str
    timezone: str
    webhook_url: str
    webhook_secret: str
    on_success: Handler | None
    on_failure: Handler | None
    enabled: bool | None
    cron_catchup: str
    skip_if_running: bool | None
    version_policy: str

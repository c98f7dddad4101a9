"""What a project consists of: a declaration for each kind of thing, in the order of creation.

Only what behaves differently is code, in `shelves`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A kind of thing.

    Attributes:
        section: its section in the file.
        key: the field that things are known by, in the API and in the file.
        fields: the fields that are copied as they are, named as requests name them.
        refs: fields with the id of something else, and what the file calls them; there it is
            the key of the thing.
        targets: the section that each of `refs` leads to.
        nested: entries of the file that are more than fields; `shelves` reads and writes them.
        secret: the nested entry whose values are secrets; `null` in the file is "to be set".
        embedded_only: fields that the hosted platform ignores.
        changes: whether the platform can change one.
    """

    section: str
    key: str
    fields: tuple[str, ...]
    refs: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    nested: tuple[str, ...] = ()
    secret: str = ""
    embedded_only: frozenset[str] = field(default_factory=frozenset)
    changes: bool = True


ENVIRONMENTS = Kind(
    "environments",
    "slug",
    ("name", "slug"),
    refs={"parent_id": "parent"},
    targets={"parent_id": "environments"},
    nested=("variables",),
    secret="variables",  # noqa: S106 - the name of an entry
)
THROTTLES = Kind("throttles", "name", ("name", "limit", "period_secs", "max_concurrency"))
JOB_GROUPS = Kind("job_groups", "slug", ("name", "slug", "description"))
JOBS = Kind(
    "jobs",
    "slug",
    (
        *("name", "slug", "description", "tags", "enabled", "cron", "timezone"),
        *("cron_overlap_policy", "cron_catchup", "execution_window_cron"),
        *("execution_mode", "queue_name", "endpoint_url", "fallback_endpoint_url"),
        *("payload_schema", "result_schema", "default_run_metadata"),
        *("max_attempts", "retry_strategy", "retry_delays_secs", "retry_priority_boost"),
        *("timeout_secs", "run_ttl_secs", "poison_pill_threshold"),
        *("max_concurrency", "max_concurrency_per_key", "throttles"),
        *("rate_limit_max", "rate_limit_window_secs", "dedup_window_secs"),
        *("debounce_window_secs", "batch_window_secs", "batch_max_size", "version_policy"),
        *("on_complete_trigger_workflow", "on_complete_trigger_job"),
        *("on_complete_payload_mapping", "on_failure_trigger_job"),
        *("on_failure_trigger_workflow", "on_failure_payload_mapping"),
    ),
    refs={"group_id": "group", "environment_id": "environment"},
    targets={"group_id": "job_groups", "environment_id": "environments"},
    nested=("depends_on", "paused"),
    embedded_only=frozenset({"throttles", "cron_catchup"}),
)
WORKFLOWS = Kind(
    "workflows",
    "slug",
    (
        *("name", "slug", "description", "tags", "enabled", "cron", "cron_timezone"),
        *("cron_catchup", "skip_if_running", "timeout_secs", "max_concurrent_runs"),
        *("max_parallel_steps", "version_policy"),
    ),
    nested=("steps",),
    embedded_only=frozenset({"cron_catchup"}),
)
EVENT_SOURCES = Kind(
    "event_sources",
    "name",
    ("name", "description", "schema", "enabled", "signature_header", "signature_algorithm"),
    nested=("subscriptions", "signing"),
    secret="signing",  # noqa: S106 - the name of an entry
)
# Nothing but address and events tells one subscription from another; `shelves` makes it the key.
WEBHOOKS = Kind("webhooks", "key", ("webhook_url", "event_types", "active"), changes=False)
CHANNELS = Kind(
    "notification_channels",
    "name",
    ("name", "channel_type", "enabled"),
    nested=("config",),
    secret="config",  # noqa: S106 - the name of an entry
)
LOG_DRAINS = Kind(
    "log_drains",
    "name",
    ("name", "drain_type", "endpoint_url", "auth_type", "level_filter", "enabled"),
    nested=("auth_config",),
    secret="auth_config",  # noqa: S106 - the name of an entry
)
ROLES = Kind(
    "roles",
    "name",
    ("name", "description", "permissions"),
    refs={"parent_role_id": "parent"},
    targets={"parent_role_id": "roles"},
)
KINDS = (
    *(ENVIRONMENTS, THROTTLES, JOB_GROUPS, JOBS, WORKFLOWS, EVENT_SOURCES),
    *(WEBHOOKS, CHANNELS, LOG_DRAINS, ROLES),
)

# Fields of a step that hold an id: what the file calls them, and the section that they lead to.
STEP_REFS = {
    "job_id": ("job", "jobs"),
    "sub_workflow_id": ("workflow", "workflows"),
    "compensation_job_id": ("compensation_job", "jobs"),
}
STEP_READ_ONLY = frozenset({"id", "workflow_id", "created_at"})

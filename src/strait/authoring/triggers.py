"""What starts runs: the inputs of triggers, and their wire form.

What a platform would silently ignore is refused here, because the caller meant something by it:
a dry run that is ignored is a real run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from strait.authoring.definitions import TPayload
from strait.authoring.typed import as_json_payload
from strait.authoring.validation import Checks

if TYPE_CHECKING:
    from strait.errors import Json


@dataclass(slots=True)
class TriggerJobInput(Generic[TPayload]):
    """One trigger of a job.

    Attributes:
        payload: what the handler gets; a model or a dataclass is sent as its JSON.
        job_id: the job's id; by default the one that `register` found.
        idempotency_key: triggers with the same key are the same run.
        priority: 0 to 10; higher is sooner.
        dry_run: only say what would happen.
        metadata: not taken at a trigger by any platform; use `tags`, or the job's
            `default_run_metadata`.
        scheduled_at: RFC 3339 time of the start, at most 30 days ahead.
        tags: at most 20, laid over the job's.
        ttl_secs: seconds that the run may wait for its first dispatch.
        concurrency_key: runs with one key share the job's `max_concurrency_per_key`.
        debounce_key: what is debounced together.
        batch_key: what is batched together.
    """

    payload: TPayload
    job_id: str = ""
    idempotency_key: str = ""
    priority: int | None = None
    dry_run: bool | None = None
    metadata: dict[str, str] | None = None
    scheduled_at: str = ""
    tags: dict[str, str] | None = None
    ttl_secs: int | None = None
    concurrency_key: str = ""
    debounce_key: str = ""
    batch_key: str = ""


@dataclass(slots=True)
class TriggerWorkflowInput(Generic[TPayload]):
    """One trigger of a workflow.

    Attributes:
        payload: what the steps get.
        workflow_id: the workflow's id; by default the one that `register` found.
        idempotency_key: triggers with the same key are the same run.
        priority: not taken by any platform; runs of jobs have priorities.
        dry_run: not possible with a trigger; use `client.workflows.dry_run`.
        metadata: not taken at a trigger by any platform; use `labels` or `tags`.
        step_overrides: `{step: enabled}`, or the platform's list of
            `{"step_ref": ..., "enabled": ...}`.
        labels: labels of the run.
        tags: at most 20, laid over the workflow's.
    """

    payload: TPayload
    workflow_id: str = ""
    idempotency_key: str = ""
    priority: int | None = None
    dry_run: bool | None = None
    metadata: dict[str, str] | None = None
    step_overrides: Mapping[str, Json] | list[dict[str, Json]] | None = None
    labels: dict[str, str] | None = None
    tags: dict[str, str] | None = None


def trigger_body(slug: str, input: TriggerJobInput[TPayload]) -> dict[str, Json]:
    """Return the body of a trigger; the idempotency key is a header.

    Raises:
        DefinitionError: the input asks for what no platform does.
    """
    _check_trigger(Checks(f"trigger of job `{slug}`"), input)
    return {
        **_batchable(input),
        **_given(
            dry_run=input.dry_run,
            debounce_key=input.debounce_key,
            batch_key=input.batch_key,
        ),
    }


def batch_item(slug: str, input: TriggerJobInput[TPayload]) -> dict[str, Json]:
    """Return one item of a batch trigger; the idempotency key is part of it.

    Raises:
        DefinitionError: the input asks for what no platform does in a batch.
    """
    checks = Checks(f"batch trigger of job `{slug}`")
    _check_trigger(checks, input)
    for name in ("dry_run", "debounce_key", "batch_key", "job_id"):
        if getattr(input, name):
            raise checks.refuse(f"`{name}` is not possible in a batch; trigger it by itself")
    return {**_batchable(input), **_given(idempotency_key=input.idempotency_key)}


def workflow_trigger_body(slug: str, input: TriggerWorkflowInput[TPayload]) -> dict[str, Json]:
    """Return the body of a workflow's trigger; the idempotency key is a header.

    Raises:
        DefinitionError: the input asks for what no platform does.
    """
    checks = Checks(f"trigger of workflow `{slug}`")
    checks.text("idempotency_key", input.idempotency_key, longest=256, shortest=0)
    refused = {
        "priority": "runs of jobs have priorities, workflows have none",
        "metadata": "use `labels` or `tags`",
        "dry_run": "use `client.workflows.dry_run`; a trigger would really run",
    }
    for name, instead in refused.items():
        if getattr(input, name):
            raise checks.refuse(f"`{name}` is nothing that a platform takes here: {instead}")
    checks.json("payload", as_json_payload(input.payload))
    checks.texts("tags", input.tags)
    return _given(
        payload=as_json_payload(input.payload),
        labels=input.labels,
        tags=input.tags,
        step_overrides=_overrides(checks, input.step_overrides),
    )


def _overrides(
    checks: Checks, given: Mapping[str, Json] | list[dict[str, Json]] | None
) -> list[dict[str, Json]] | None:
    """Return overrides as the platform's list; `{step: enabled}` is the short form of it."""
    if not isinstance(given, Mapping):
        return given
    overrides = []
    for ref, value in given.items():
        enabled = value.get("enabled") if isinstance(value, Mapping) else value
        if not isinstance(enabled, bool):
            raise checks.refuse(f"`step_overrides[{ref!r}]` must be true or false, not {value!r}")
        overrides.append({"step_ref": ref, "enabled": enabled})
    return overrides


def _check_trigger(checks: Checks, input: TriggerJobInput[TPayload]) -> None:
    checks.number("priority", input.priority, most=10)
    checks.number("ttl_secs", input.ttl_secs, most=2_592_000)
    checks.json("payload", as_json_payload(input.payload))
    checks.texts("tags", input.tags)
    for name in ("idempotency_key", "concurrency_key", "debounce_key", "batch_key"):
        checks.text(name, getattr(input, name), longest=256, shortest=0)
    if input.metadata:
        raise checks.refuse(
            "`metadata` is nothing that a platform takes at a trigger: "
            "use `tags`, or `default_run_metadata` of the job"
        )


def _batchable(input: TriggerJobInput[TPayload]) -> dict[str, Json]:
    """Return what a single trigger and an item of a batch have in common."""
    return _given(
        payload=as_json_payload(input.payload),
        priority=input.priority,
        scheduled_at=input.scheduled_at,
        tags=input.tags,
        ttl_secs=input.ttl_secs,
        concurrency_key=input.concurrency_key,
    )


def _given(**fields: Json) -> dict[str, Json]:
    """Return the fields that were given; an empty payload was, an empty text was not."""
    return {name: value for name, value in fields.items() if value is not None and value != ""}

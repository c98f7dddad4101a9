"""Letting triggers of a job in, whoever sends them (`contract/runs.md` §3.4 and §3.5)."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Raw, UnsetType, json

from strait.clock import SECOND, Timestamp, to_timestamp
from strait.engine import admission
from strait.engine.model import Job, Run
from strait.server import checks
from strait.server.errors import ApiError
from strait.server.unit import Unit
from strait.server.work import buffers, runs
from strait.store import runs as run_rows

RETRY_AFTER_SECS = 5


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of a trigger.

    Attributes:
        run: the run that it made or that stands for it; None while it waits for others.
        is_new: whether the run was made now.
        fire_at: when it becomes a run if no later trigger replaces it; empty if it is not
            debounced.
        batched: whether the run is that of a batch which this trigger completed.
    """

    run: Run | None = None
    is_new: bool = False
    fire_at: Timestamp = ""
    batched: bool = False


def admit(
    unit: Unit,
    job: Job,
    request: admission.Request,
    payload: str,
    *,
    debounce_key: str = "",
    batch_key: str = "",
) -> Admitted:
    """Let a checked trigger in: as a run at once, or later together with others.

    Raises:
        ApiError: 429, the job has made too many runs lately.
    """
    same = _same_lately(unit, job, payload)
    if same is not None:
        return Admitted(same)
    check_rate(unit, job, 1)
    if job.debounce_window_secs:
        return Admitted(fire_at=buffers.debounce(unit, job, debounce_key, request, payload))
    if job.batch_window_secs:
        run = buffers.collect(unit, job, batch_key, request, payload)
        return Admitted(run, is_new=run is not None, batched=run is not None)
    return Admitted(runs.create(unit, job, request, payload), is_new=True)


def _same_lately(unit: Unit, job: Job, payload: str) -> Run | None:
    """Return the run that the same payload has made within the job's deduplication window."""
    if not job.dedup_window_secs:
        return None
    since = to_timestamp(unit.now - job.dedup_window_secs * SECOND)
    return run_rows.same_payload(unit.db, job.id, payload, since)


def check_open(job: Job) -> None:
    """Check that a job takes triggers.

    Raises:
        ApiError: it is disabled (400) or paused (409).
    """
    if not job.enabled:
        raise ApiError(400, "job is disabled")
    if job.paused:
        raise ApiError(409, "job is paused -- resume it before triggering new runs")


def check_rate(unit: Unit, job: Job, more: int) -> None:
    """Check how many runs of a job were made lately.

    Raises:
        ApiError: 429 with `Retry-After`; 400, so many never fit.
    """
    if not job.rate_limit_max or not job.rate_limit_window_secs:
        return
    if more > job.rate_limit_max:
        most = job.rate_limit_max
        raise ApiError(
            400, f"the job's rate_limit_max lets {most} runs through at once, not {more}"
        )
    since = to_timestamp(unit.now - job.rate_limit_window_secs * SECOND)
    lately = run_rows.created_since(unit.db, job.id, since, job.rate_limit_max + 1)
    if lately + more > job.rate_limit_max:
        raise ApiError(
            429,
            "job rate limit exceeded",
            details=[f"retry_after_seconds={RETRY_AFTER_SECS}"],
            headers={"Retry-After": str(RETRY_AFTER_SECS)},
        )


def check_payload(job: Job, raw: Raw | UnsetType, payload: str, where: str = "") -> None:
    """Check a payload against the job's schema.

    Args:
        job: the job.
        raw: the payload as it came; one that is absent is looked at as null.
        payload: the same as canonical JSON text.
        where: what to say after `payload validation failed`.

    Raises:
        ApiError: 400, it does not fit.
    """
    if job.payload_schema is None:
        return
    value = None if isinstance(raw, UnsetType) else json.decode(payload)
    problem = checks.mismatch(value, job.payload_schema)
    if problem:
        raise ApiError(400, f"payload validation failed{where}: {problem}")

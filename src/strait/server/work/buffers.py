"""Triggers that become one run together: debounced and batched (`contract/runs.md` §3.5)."""

from __future__ import annotations

from functools import partial

from msgspec import json
from msgspec.structs import replace

from strait.clock import SECOND, Timestamp, from_timestamp, to_timestamp
from strait.engine.admission import Request
from strait.engine.model import Job, Run
from strait.server.unit import Unit
from strait.server.work import runs
from strait.store import buffers, jobs
from strait.store.buffers import Buffered

# Job ids have no such character, keys may have any.
_SEPARATOR = "\x00"


def debounce(unit: Unit, job: Job, key: str, request: Request, payload: str) -> Timestamp:
    """Let a trigger wait for a later one that replaces it; return when it fires if none comes."""
    fire_at = to_timestamp(unit.now + job.debounce_window_secs * SECOND)
    trigger = _buffered(replace(request, triggered_by="debounce"), payload)
    buffers.put_debounced(unit.db, job.id, key, fire_at, trigger)
    _watch(unit, "debounce", job.id, key, fire_at)
    return fire_at


def collect(unit: Unit, job: Job, key: str, request: Request, payload: str) -> Run | None:
    """Add a trigger to its batch; return the run of the batch when that is full now."""
    fire_at = to_timestamp(unit.now + job.batch_window_secs * SECOND)
    trigger = _buffered(replace(request, triggered_by="batch"), payload)
    count = buffers.add_to_batch(unit.db, job.id, key, fire_at, trigger)
    if job.batch_max_size and count >= job.batch_max_size:
        return _flush(unit, job, key)
    if count == 1:
        _watch(unit, "batch", job.id, key, fire_at)
    return None


def debounce_due(unit: Unit, subject: str) -> None:
    """Make the run of a trigger that no later one has replaced."""
    job_id, _, key = subject.partition(_SEPARATOR)
    found = buffers.debounced(unit.db, job_id, key)
    if found is None:
        return
    if found[0] > unit.stamp:
        # A later one has replaced it, or the clock was set back since the timer rang.
        _watch(unit, "debounce", job_id, key, found[0])
        return
    buffers.drop_debounced(unit.db, job_id, key)
    job = jobs.get(unit.db, job_id)
    if job is not None and job.enabled and not job.paused:
        request = json.decode(found[1].request, type=Request)
        runs.create(unit, job, request, found[1].payload)


def batch_due(unit: Unit, subject: str) -> None:
    """Make the run of a batch whose oldest item has waited long enough."""
    job_id, _, key = subject.partition(_SEPARATOR)
    fire_at, items = buffers.batch(unit.db, job_id, key)
    if not items:
        return
    if fire_at > unit.stamp:
        _watch(unit, "batch", job_id, key, fire_at)
        return
    job = jobs.get(unit.db, job_id)
    if job is None:
        buffers.drop_batch(unit.db, job_id, key)
    else:
        # The run of a job that starts none now is held like others that were made before.
        _flush(unit, job, key)


def after_restart(unit: Unit) -> None:
    """Watch all that waits."""
    for kind, job_id, key, fire_at in buffers.everything(unit.db):
        _watch(unit, kind, job_id, key, fire_at)


def _flush(unit: Unit, job: Job, key: str) -> Run:
    _, items = buffers.batch(unit.db, job.id, key)
    buffers.drop_batch(unit.db, job.id, key)
    request = json.decode(items[0].request, type=Request)
    payload = f'{{"items":[{",".join(item.payload for item in items)}]}}'
    return runs.create(unit, job, request, payload)


def _buffered(request: Request, payload: str) -> Buffered:
    return Buffered(json.encode(request).decode(), payload)


def _watch(unit: Unit, kind: str, job_id: str, key: str, fire_at: Timestamp) -> None:
    timer = (kind, f"{job_id}{_SEPARATOR}{key}")
    unit.after(partial(unit.platform.timers.set, timer, from_timestamp(fire_at)))

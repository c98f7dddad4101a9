"""What a handler keeps beside its run: checkpoints, state, outputs, memory, samples."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType, json

from strait.clock import Timestamp
from strait.engine.entries import Entry
from strait.engine.model import Run
from strait.reserved import HOST_PREFIXES, STATE_PREFIX
from strait.server import checks, idempotency
from strait.server._generated import bodies
from strait.server.errors import ApiError, invalid, not_found
from strait.server.http import NO_CONTENT, Call, Reply, encode, raw, reply
from strait.server.registry import Registry
from strait.server.routes.sdk import active
from strait.server.unit import Unit
from strait.server.work import budgets, records, steps
from strait.server.work.handlers import speaking

registry = Registry()

MAX_STATE_KEY = 256
MAX_STATE_BYTES = 65_536
MAX_MEMORY_BYTES = 1024 * 1024
MAX_JOB_MEMORY_BYTES = 10 * 1024 * 1024
MAX_MEMORY_TTL_SECS = 10 * 366 * 24 * 3600
_WARN_PERCENT, _ERROR_PERCENT = 80.0, 90.0


class Output(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A named output (`RunOutput`)."""

    id: str
    run_id: str
    output_key: str
    value: Raw
    created_at: Timestamp
    schema: Raw | UnsetType = UNSET


class Memory(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A value that outlives the runs of its job (`JobMemory`)."""

    id: str
    job_id: str
    project_id: str
    memory_key: str
    value: Raw
    size_bytes: int
    created_at: Timestamp
    updated_at: Timestamp
    ttl_expires_at: Timestamp = ""


# -------------------------------------------------------------------------- checkpoints, outputs


@registry.write("sdk-checkpoint")
def checkpoint(call: Call, unit: Unit) -> Reply:
    """Keep a point from which a later attempt can go on."""
    run = active(call, unit).run
    body = call.body(bodies.SDKCheckpointRequest)
    record = records.checkpoint(unit, run.id, body.source or "sdk", _required(body.state, "state"))
    return reply(record, 201)


@registry.write("sdk-output")
def output(call: Call, unit: Unit) -> Reply:
    """Keep a named output of the run."""
    run = active(call, unit).run
    body = call.body(bodies.SDKOutputRequest)
    text = _required(body.value, "value")
    against = checks.json_value(body.schema)
    if against is not None:
        checks.check_refs(against, "schema")
        checks.schema(json.decode(text), against, "output schema")
    record = Output(
        id=unit.new_id(),
        run_id=run.id,
        output_key=body.output_key,
        value=Raw(text.encode()),
        created_at=unit.stamp,
        schema=body.schema if against is not None else UNSET,
    )
    records.put_output(unit, run.id, body.output_key, record)
    return reply(record, 201)


# ---------------------------------------------------------------------------------------- state


@registry.write("sdk-set-state")
def set_state(call: Call, unit: Unit) -> Reply:
    """Write one key of the run's state."""
    run = active(call, unit).run
    body = call.body(bodies.SDKSetStateRequest)
    if len(body.key) > MAX_STATE_KEY:
        raise ApiError(400, f"state key must be at most {MAX_STATE_KEY} characters")
    if body.key.startswith(STATE_PREFIX) and not body.key.startswith(HOST_PREFIXES):
        raise ApiError(400, f"state keys that start with {STATE_PREFIX!r} are reserved")
    text = _required(body.value, "value")
    if len(text.encode()) > MAX_STATE_BYTES:
        raise ApiError(400, f"state value must be at most {MAX_STATE_BYTES} bytes")
    if body.key.startswith(STATE_PREFIX):
        unit.tick()  # so that no two steps have the same instant, which lists go on behind
        steps.kept(unit, run, body.key, text)
    return reply(records.set_state(unit, run.id, body.key, text), 201)


@registry.write("sdk-list-state")
def list_state(call: Call, unit: Unit) -> Reply:
    """Show the whole state of the run."""
    stored = speaking(call, unit.db, unit.platform.token_key)
    return reply(records.states(unit.db, stored.run.id))


@registry.write("sdk-get-state")
def get_state(call: Call, unit: Unit) -> Reply:
    """Show one key of the run's state."""
    stored = speaking(call, unit.db, unit.platform.token_key)
    found = records.get_state(unit.db, stored.run.id, call.params["key"])
    if found is None:
        raise not_found("state key")
    return reply(found)


@registry.write("sdk-delete-state")
def delete_state(call: Call, unit: Unit) -> Reply:
    """Delete one key of the run's state."""
    run = active(call, unit).run
    key = call.params["key"]
    if key.startswith(STATE_PREFIX):
        raise ApiError(400, f"state keys that start with {STATE_PREFIX!r} are reserved")
    records.delete_state(unit.db, run.id, key)
    return NO_CONTENT


# ---------------------------------------------------------------------------------------- memory


@registry.write("sdk-set-memory")
def set_memory(call: Call, unit: Unit) -> Reply:
    """Keep a value for later runs of the same job."""
    run = active(call, unit).run
    key = call.params["key"]
    if len(key) > MAX_STATE_KEY:
        raise ApiError(400, f"memory key must be at most {MAX_STATE_KEY} characters")
    body = call.body(bodies.SDKSetMemoryRequest)
    if not 0 <= (body.ttl_secs or 0) <= MAX_MEMORY_TTL_SECS:
        raise ApiError(400, f"ttl_secs must be between 0 and {MAX_MEMORY_TTL_SECS}")
    text = _required(body.value, "value")
    size = len(text.encode())
    if size > MAX_MEMORY_BYTES:
        raise ApiError(400, f"memory value must be at most {MAX_MEMORY_BYTES} bytes")
    # What is over makes room, and is gone from the disk.
    unit.db.execute(
        "DELETE FROM job_memory WHERE job_id = ? AND expires_at != '' AND expires_at <= ?",
        (run.job_id, unit.stamp),
    )
    (others,) = unit.db.execute(
        "SELECT coalesce(sum(size_bytes), 0) FROM job_memory WHERE job_id = ? AND memory_key != ?",
        (run.job_id, key),
    ).fetchone()
    if others + size > MAX_JOB_MEMORY_BYTES:
        raise ApiError(400, f"memory of a job must be at most {MAX_JOB_MEMORY_BYTES} bytes")
    before = _memory(unit.db, run.job_id, key, unit.stamp)
    record = Memory(
        id=before.id if before else unit.new_id(),
        job_id=run.job_id,
        project_id=run.project_id,
        memory_key=key,
        value=Raw(text.encode()),
        size_bytes=size,
        created_at=before.created_at if before else unit.stamp,
        updated_at=unit.stamp,
        ttl_expires_at=unit.in_secs(body.ttl_secs) if body.ttl_secs else "",
    )
    unit.db.execute(
        "INSERT OR REPLACE INTO job_memory (job_id, memory_key, expires_at, size_bytes, doc) "
        "VALUES (?, ?, ?, ?, ?)",
        (run.job_id, key, record.ttl_expires_at, size, json.encode(record).decode()),
    )
    return reply(record, 201)


@registry.write("sdk-get-memory")
def get_memory(call: Call, unit: Unit) -> Reply:
    """Show a value that an earlier run of the job has kept."""
    stored = speaking(call, unit.db, unit.platform.token_key)
    found = _memory(unit.db, stored.run.job_id, call.params["key"], unit.stamp)
    if found is None:
        raise not_found("memory key")
    return reply(found)


@registry.write("sdk-list-memory")
def list_memory(call: Call, unit: Unit) -> Reply:
    """Show all values that runs of the job have kept."""
    stored = speaking(call, unit.db, unit.platform.token_key)
    rows = unit.db.execute(
        "SELECT doc FROM job_memory WHERE job_id = ? AND (expires_at = '' OR expires_at > ?) "
        "ORDER BY memory_key",
        (stored.run.job_id, unit.stamp),
    )
    return raw(b"[" + b",".join(doc.encode() for (doc,) in rows) + b"]")


@registry.write("sdk-delete-memory")
def delete_memory(call: Call, unit: Unit) -> Reply:
    """Drop a value that runs of the job have kept."""
    run = active(call, unit).run
    unit.db.execute(
        "DELETE FROM job_memory WHERE job_id = ? AND memory_key = ?",
        (run.job_id, call.params["key"]),
    )
    return NO_CONTENT


def _memory(db: sqlite3.Connection, job_id: str, key: str, now: Timestamp) -> Memory | None:
    row = db.execute(
        "SELECT doc FROM job_memory WHERE job_id = ? AND memory_key = ? "
        "AND (expires_at = '' OR expires_at > ?)",
        (job_id, key, now),
    ).fetchone()
    return None if row is None else json.decode(row[0], type=Memory)


# --------------------------------------------------------------------------------------- samples


@registry.write("sdk-stream-chunk")
def stream_chunk(call: Call, unit: Unit) -> Reply:
    """Hand a piece of output to whoever listens; it is kept in memory for a while, not stored."""
    run = active(call, unit).run
    body = call.body(bodies.SDKStreamChunkRequest)
    frame: dict[str, object] = {
        "type": "stream_chunk",
        "chunk": checks.json_value(body.chunk) if isinstance(body.chunk, Raw) else body.chunk or "",
        "stream_id": body.stream_id or "default",
        "done": bool(body.done),
        "timestamp": unit.stamp,
    }
    chunks = unit.platform.chunks
    unit.after(lambda: chunks.publish(run.id, encode(frame)))
    return reply({"status": "ok"})


@registry.write("sdk-resources")
def resources(call: Call, unit: Unit) -> Reply:
    """Note what the handler uses of its machine."""
    run = active(call, unit).run
    body = call.body(bodies.SDKResourcesRequest)
    data = {
        "memory_mb": body.memory_mb or 0,
        "memory_percent": body.memory_percent or 0,
        "cpu_percent": body.cpu_percent or 0,
    }
    if data["memory_mb"] < 0:
        raise ApiError(400, "memory_mb must not be negative")
    for name in ("memory_percent", "cpu_percent"):
        if not 0 <= data[name] <= 100:
            raise ApiError(400, f"{name} must be between 0 and 100")
    highest = max(data["memory_percent"], data["cpu_percent"])
    level = _level(highest)
    unit.record(run.id, run.project_id, (Entry("resource_sample", "resource sample", level, data),))
    return reply({"status": "ok"}, 201)


def _level(percent: float) -> str:
    if percent >= _ERROR_PERCENT:
        return "error"
    return "warn" if percent >= _WARN_PERCENT else "info"


@registry.write("sdk-resource-snapshot")
def resource_snapshot(call: Call, unit: Unit) -> Reply:
    """Keep what the handler uses of its machine."""
    run = active(call, unit).run
    body = call.body(bodies.SDKResourceSnapshotRequest)
    fields: dict[str, Any] = {
        "cpu_percent": body.cpu_percent or 0,
        "memory_mb": body.memory_mb or 0,
        "memory_limit_mb": body.memory_limit_mb or 0,
        "network_rx_bytes": body.network_rx_bytes or 0,
        "network_tx_bytes": body.network_tx_bytes or 0,
    }
    answer = _sample(unit, run, "resource", fields)
    limit = fields["memory_limit_mb"]
    if limit and fields["memory_mb"] > limit * _ERROR_PERCENT / 100:
        entry = Entry("resource.oom_risk", "memory is close to its limit", "warn", fields)
        unit.record(run.id, run.project_id, (entry,))
    return answer


@registry.write("sdk-usage")
def usage(call: Call, unit: Unit) -> Reply:
    """Keep what a model call has used and cost."""
    run = active(call, unit).run
    body = call.body(bodies.SDKUsageRequest)
    counts = ("prompt_tokens", "completion_tokens", "total_tokens", "cost_microusd")
    negative = [name for name in counts if (getattr(body, name) or 0) < 0]
    if negative:
        raise invalid(*(f"{name}: failed on 'min'" for name in negative))
    fields: dict[str, Any] = {
        "provider": body.provider,
        "model": body.model,
        "prompt_tokens": body.prompt_tokens or 0,
        "completion_tokens": body.completion_tokens or 0,
        "total_tokens": body.total_tokens
        or (body.prompt_tokens or 0) + (body.completion_tokens or 0),
        "cost_microusd": body.cost_microusd or 0,
    }

    def keep() -> Reply:
        answer = _sample(unit, run, "usage", fields)
        budgets.spent(unit, run.project_id, fields["cost_microusd"])
        return answer

    return _counted_once(call, unit, keep)


@registry.write("sdk-tool-call")
def tool_call(call: Call, unit: Unit) -> Reply:
    """Keep a call of a tool."""
    run = active(call, unit).run
    body = call.body(bodies.SDKToolCallRequest)
    fields: dict[str, Any] = {"tool_name": body.tool_name, "status": body.status or "completed"}
    for name in ("input", "output"):
        value = getattr(body, name)
        if isinstance(value, Raw):
            fields[name] = value
    if body.duration_ms is not None:
        fields["duration_ms"] = body.duration_ms
    return _counted_once(call, unit, lambda: _sample(unit, run, "tool_call", fields))


@registry.write("sdk-iteration")
def iteration(call: Call, unit: Unit) -> Reply:
    """Keep that an agent has begun another round."""
    run = active(call, unit).run
    body = call.body(bodies.SdkIterationRequest)
    fields: dict[str, Any] = {"iteration": body.iteration or 0}
    if body.description:
        fields["description"] = body.description
    return _counted_once(call, unit, lambda: _sample(unit, run, "iteration", fields, status=200))


def _counted_once(call: Call, unit: Unit, keep: Callable[[], Reply]) -> Reply:
    """Keep what counts once under its idempotency key, if it has one.

    No platform asks for a key here, so clients send none by themselves; who does relies on it.
    """
    if not call.idempotency_key:
        return keep()
    idempotency.check_key(call.idempotency_key)
    return idempotency.once(call, unit, keep)


def _sample(unit: Unit, run: Run, kind: str, fields: dict[str, Any], *, status: int = 201) -> Reply:
    unit.tick()
    sample = {"id": unit.new_id(), "run_id": run.id, **fields, "created_at": unit.stamp}
    text = json.encode(sample)
    unit.db.execute(
        "INSERT INTO run_samples (id, run_id, kind, created_at, doc) VALUES (?, ?, ?, ?, ?)",
        (sample["id"], run.id, kind, unit.stamp, text.decode()),
    )
    return raw(text, status)


def _required(value: Raw | UnsetType | None, name: str) -> str:
    if not isinstance(value, Raw):
        raise invalid(f"{name}: failed on 'required'")
    return bytes(value).decode()

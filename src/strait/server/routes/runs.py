"""What can be done with one run: cancel, pause, replay, move (`contract/runs.md` §6.6-6.8)."""

from __future__ import annotations

from msgspec.structs import replace

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine import admission
from strait.engine import runs as engine
from strait.engine.model import Job, Run
from strait.engine.undo import UNDO
from strait.server import checks, idempotency
from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, raw, reply
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.work import budgets, held, runs, steps, throttles, triggers
from strait.store import runs as run_rows

registry = Registry()


def document(unit: Unit, run_id: str, status: int = 200) -> Reply:
    """Answer with a run as it is now."""
    found = run_rows.document(unit.db, run_id)
    if found is None:
        raise not_found("run")
    return raw(found, status)


def request(call: Call, unit: Unit, event: engine.Event) -> Reply:
    """Let the run that a path names take an event, and answer with it."""
    stored = runs.load(unit, call.project_id, call.params["runID"])
    runs.apply(unit, stored, event)
    return document(unit, stored.run.id)


@registry.write("cancel-run")
def cancel(call: Call, unit: Unit) -> Reply:
    """Cancel a run and all that it has spawned."""
    return request(call, unit, engine.Canceled("canceled by user"))


@registry.write("pause-run")
def pause(call: Call, unit: Unit) -> Reply:
    """Hold a run that executes; what its handler still answers is dropped."""
    return request(call, unit, engine.Paused())


@registry.write("resume-run")
def resume(call: Call, unit: Unit) -> Reply:
    """Let a held run go on, from the start of its attempt."""
    return request(call, unit, engine.Resumed())


@registry.write("restart-run")
def restart(call: Call, unit: Unit) -> Reply:
    """Dispatch the same attempt of a run again."""
    return request(call, unit, engine.Restarted())


@registry.write("replay-dead-letter-run")
def replay_dead_letter(call: Call, unit: Unit) -> Reply:
    """Put a dead letter back into the queue, from attempt 1."""
    stored = runs.load(unit, call.project_id, call.params["runID"])
    requeue_dead_letter(unit, stored)
    return document(unit, stored.run.id)


def requeue_dead_letter(unit: Unit, stored: run_rows.Stored) -> None:
    """Let a dead letter run again.

    Raises:
        ApiError: 402, the budget is used up; what undoes a run is let through.
        Refused: 409, it is none, or what undoes it has not come to a good end.
    """
    job = _job(unit, stored.run)
    if stored.run.status == "dead_letter":
        if stored.run.triggered_by != UNDO:
            budgets.check(unit, stored.run.project_id)
        steps.begin_anew(unit, stored.run)
    if stored.run.triggered_by == UNDO:
        runs.apply(unit, stored, engine.Replayed(""))
        return
    start = max(unit.now, admission.in_window(job, 0, unit.now))
    expires_at = start + admission.time_to_live(job) * SECOND
    runs.apply(unit, stored, engine.Replayed(to_timestamp(expires_at), start))


@registry.write("replay-run")
def replay(call: Call, unit: Unit) -> Reply:
    """Make a new run like one that has failed."""
    stored = runs.load(unit, call.project_id, call.params["runID"])
    run = replay_as_new(call, unit, stored.run, _checkpoint_asked_for(call))
    return document(unit, run.id, 201)


def _checkpoint_asked_for(call: Call) -> int | None:
    text = str(call.query.get("from_checkpoint") or "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ApiError(400, "from_checkpoint must be the number of a checkpoint")
    return int(text)


def replay_as_new(call: Call, unit: Unit, run: Run, checkpoint: int | None = None) -> Run:
    """Make a new run like one that has failed, and return it.

    Raises:
        ApiError: 400, the run did not fail, or its job is disabled; 402, the budget is used up;
            404, no such checkpoint.
    """
    if run.status not in engine.REPLAYABLE:
        raise ApiError(400, "run is not replayable")
    job = _job(unit, run)
    if not job.enabled:
        raise ApiError(400, "job is disabled")
    budgets.check(unit, run.project_id)
    payload = run_rows.payload(unit.db, run.id)
    if checkpoint is not None:
        payload = _checkpoint_state(unit, run.id, checkpoint)
    asked = admission.Request(
        triggered_by="manual",
        created_by=call.principal.actor,
        tags=run.tags,
        # What others wait for under this key is done by the new run in place of the old one.
        metadata={k: v for k, v in run.metadata.items() if k == "dependency_key"},
        priority=run.priority,
        concurrency_key=run.concurrency_key,
        replayed_run_id=run.id,
        debug_mode=checkpoint is not None or run.debug_mode,
    )
    versioned = replace(job, version=run.job_version, version_id=run.job_version_id)
    return runs.create(unit, versioned, asked, payload)


def _checkpoint_state(unit: Unit, run_id: str, sequence: int) -> str:
    row = unit.db.execute(
        "SELECT doc -> 'state' FROM checkpoints WHERE run_id = ? AND sequence = ?",
        (run_id, sequence),
    ).fetchone()
    if row is None:
        raise not_found("checkpoint")
    return str(row[0])


@registry.write("reschedule-run")
def reschedule(call: Call, unit: Unit) -> Reply:
    """Move a run that was not dispatched yet, with another payload when one is given."""
    stored = runs.load(unit, call.project_id, call.params["runID"])
    body = call.body(bodies.RescheduleRunRequest)
    try:
        instant = from_timestamp(body.scheduled_at)
    except ValueError as error:
        raise ApiError(400, f"invalid scheduled_at: {error}") from error
    if instant > unit.now + admission.MAX_SCHEDULE_AHEAD_SECS * SECOND:
        raise ApiError(400, "scheduled_at must be within 30 days")
    job = _job_of(unit, stored.run)
    if job is not None and stored.run.triggered_by != UNDO:
        instant = admission.in_window(job, instant, unit.now)
    payload = None if checks.is_absent(body.payload) else checks.canonical(body.payload)
    if payload is not None and job is not None:
        triggers.check_payload(job, body.payload, payload)
        stored = _with_keys(unit, stored, job, payload)
    runs.apply(unit, stored, engine.Rescheduled(instant))
    if payload is not None:
        run_rows.set_payload(unit.db, stored.run.id, payload)
    return document(unit, stored.run.id)


def _with_keys(unit: Unit, stored: run_rows.Stored, job: Job, payload: str) -> run_rows.Stored:
    """Return a run that counts under its throttles as its new payload says."""
    if not job.throttles:
        return stored
    metadata = {**stored.run.metadata, **throttles.keys_of(unit, job, payload)}
    return stored._replace(state=replace(stored.state, run=replace(stored.run, metadata=metadata)))


@registry.write("set-debug-mode")
def set_debug_mode(call: Call, unit: Unit) -> Reply:
    """Switch the debug mark of a run."""
    stored = runs.load(unit, call.project_id, call.params["runID"])
    on = bool(call.body(bodies.SetDebugModeRequest).debug_mode)
    changed = replace(stored.state, run=replace(stored.run, debug_mode=on))
    run_rows.save(unit.db, stored, changed)
    return reply({"status": "ok"})


@registry.write("reset-idempotency-key")
def reset_key(call: Call, unit: Unit) -> Reply:
    """Free the idempotency key of a run, so that it makes another one."""
    stored = runs.load(unit, call.project_id, call.params["runID"])
    run = stored.run
    run_rows.save(unit.db, stored, replace(stored.state, run=replace(run, idempotency_key="")))
    idempotency.free(unit, run.created_by, run.project_id, run.job_id, run.idempotency_key)
    # Without a key it waits for other runs of the jobs that it depends on, which may be over.
    held.release(unit, run.job_id)
    return reply({"status": "reset", "run_id": run.id})


def _job_of(unit: Unit, run: Run) -> Job | None:
    """Return the definition that a run follows, if its job is still there."""
    entry = unit.platform.jobs.for_run(unit.db, run)
    return None if entry is None else entry.job


def _job(unit: Unit, run: Run) -> Job:
    entry = unit.platform.jobs.get(unit.db, run.job_id)
    if entry is None:
        raise not_found("job")
    return entry.job

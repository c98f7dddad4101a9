"""When what happens to a run: how often and how soon it is tried, how long it may wait."""

from __future__ import annotations

from msgspec.structs import replace

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine.model import Job, Run
from strait.engine.run_events import Due, Event, Expired, State, TimedOut, Woken
from strait.retry import backoff_secs

RETRY_CAP_SECS = 3600.0
RETRY_SPREAD = 0.2


def attempts_allowed(run: Run, job: Job) -> int:
    """Return how many attempts the run has in all; a workflow step may have set its own."""
    return run.max_attempts_override or job.max_attempts


def timeout_secs(run: Run, job: Job) -> int:
    """Return how long one attempt may take."""
    return run.timeout_secs_override or job.timeout_secs


def retry_delay_secs(run: Run, job: Job, rand: float) -> float:
    """Return the pause after the attempt that has just failed, in seconds.

    A workflow step that says something of its own retries wins over its job. Published platforms
    keep the strategy of a job and do not apply it; here it is applied as their code has it.
    """
    if run.retry_backoff or run.retry_initial_delay_secs or run.retry_max_delay_secs:
        factor = 1.0 if run.retry_backoff == "fixed" else 2.0
        return _backoff_secs(run, float(run.retry_initial_delay_secs or 1), factor, rand)
    match job.retry_strategy:
        case "fixed":
            return _backoff_secs(run, 1.0, 1.0, rand)
        case "linear":
            return _backoff_secs(run, float(run.attempt), 1.0, rand)
        case "custom" if job.retry_delays_secs:
            delays = job.retry_delays_secs
            delay = delays[min(run.attempt, len(delays)) - 1]
            return _backoff_secs(run, float(max(1, delay)), 1.0, rand)
        case _:
            return _backoff_secs(run, 1.0, 2.0, rand)


def _backoff_secs(run: Run, initial: float, factor: float, rand: float) -> float:
    cap = float(run.retry_max_delay_secs or RETRY_CAP_SECS)
    if run.retry_initial_delay_secs:
        cap = max(initial, cap)
    return backoff_secs(
        run.attempt, initial=initial, factor=factor, cap=cap, spread=RETRY_SPREAD, rand=rand
    )


def renewed_expiry(state: State, queued_until: int) -> str:
    """Return until when a run may wait: its wait begins anew whenever it is queued again."""
    if not state.ttl_secs:
        return state.run.expires_at
    return to_timestamp(queued_until + state.ttl_secs * SECOND)


def patience_ends_at(state: State) -> str:
    """Return the instant at which a queued run expires, or "" where it waits however long it takes.

    What a trigger sets (`ttl_secs`) bounds how long the run may wait to begin. One that has begun
    goes on: after a sleep, a failed attempt or a crash, whether or not a slot is free just then.
    """
    has_begun = bool(state.assignment)
    return "" if has_begun and not state.ttl_secs else state.run.expires_at


def put_off_expiry(state: State, at: int, now: int) -> str:
    """Return until when a run may wait that is put off: its trigger's bound counts from then on."""
    run = state.run
    queued_at = max(at, now)
    if state.ttl_secs or state.assignment or not run.expires_at:
        return renewed_expiry(state, queued_at)
    if run.status == "queued" and at <= now:
        return run.expires_at  # it waits already, and is not to wait longer by being asked again
    counted_from = max(
        from_timestamp(run.created_at), from_timestamp(run.scheduled_at or run.created_at)
    )
    return to_timestamp(queued_at + from_timestamp(run.expires_at) - counted_from)


def due_at(state: State) -> str:
    """Return the next instant at which something happens to the run by itself, or ""."""
    run = state.run
    match run.status:
        case "delayed":
            return run.scheduled_at
        case "queued":
            retry, expiry = run.next_retry_at, patience_ends_at(state)
            return min(retry, expiry) if retry and expiry else retry or expiry
        case "waiting":
            return run.next_retry_at
        case "executing":
            return state.deadline_at
        case _:
            return ""


def due_event(state: State, job: Job, now: int, rand: float) -> Event | None:
    """Return what happens to the run by itself at an instant, or None if nothing does yet.

    A timer may come late and find a run that has moved on, so each instant is looked at again.
    """
    run, stamp = state.run, to_timestamp(now)
    match run.status:
        case "delayed" if run.scheduled_at <= stamp:
            return Due()
        case "queued" if (expiry := patience_ends_at(state)) and expiry <= stamp:
            return Expired()
        case "waiting" if run.next_retry_at and run.next_retry_at <= stamp:
            return Woken("its sleep is over")
        case "executing" if state.deadline_at <= stamp:
            return TimedOut(state.assignment, job, rand)
        case _:
            return None


def renewed(state: State, now: int) -> State:
    """Return the state of a waiting run whose expiry passed while no server ran."""
    run = state.run
    overdue = run.expires_at and run.expires_at <= to_timestamp(now)
    if run.status not in {"delayed", "queued"} or not overdue or not state.ttl_secs:
        return state
    return replace(state, run=replace(run, expires_at=renewed_expiry(state, now)))

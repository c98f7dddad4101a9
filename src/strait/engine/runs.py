"""The life of a run: one decision per event (`contract/runs.md` §2, §6).

`decide(state, event, now)` answers what the run becomes. An event that no longer concerns the run
(an old dispatch's answer, a timer that was overtaken) gives None. A request that cannot be met
raises `Refused`. What follows outside of the run (queueing it, ending the call that is under way,
telling its workflow) the shell reads off the transition.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine import outcomes
from strait.engine.entries import Entry, moved
from strait.engine.model import Job, Json, Run
from strait.engine.queue import MAX_PRIORITY
from strait.engine.refusal import Refused
from strait.engine.run_events import (
    Answered,
    Canceled,
    Completed,
    Dispatched,
    Due,
    Event,
    Expired,
    Failed,
    Paused,
    Recovered,
    Replayed,
    Rescheduled,
    Restarted,
    Resumed,
    Snoozed,
    State,
    Suspended,
    TimedOut,
    Transition,
    WaitTimedOut,
    Woken,
)
from strait.engine.run_times import (
    attempts_allowed,
    due_at,
    due_event,
    patience_ends_at,
    put_off_expiry,
    renewed,
    renewed_expiry,
    retry_delay_secs,
    timeout_secs,
)
from strait.fsm import is_terminal_run_status, run_can_move

__all__ = [
    "ENDED_BADLY",
    "MAX_PRIORITY",
    "MAX_SNOOZES",
    "REPLAYABLE",
    "Answered",
    "Canceled",
    "Completed",
    "Dispatched",
    "Due",
    "Event",
    "Expired",
    "Failed",
    "Paused",
    "Recovered",
    "Replayed",
    "Rescheduled",
    "Restarted",
    "Resumed",
    "Snoozed",
    "State",
    "Suspended",
    "TimedOut",
    "Transition",
    "WaitTimedOut",
    "Woken",
    "attempts_allowed",
    "decide",
    "due_at",
    "due_event",
    "patience_ends_at",
    "renewed",
    "retry_delay_secs",
    "timeout_secs",
]

MAX_SNOOZES = 50

ENDED_BADLY = frozenset({"failed", "timed_out", "crashed", "system_failed", "dead_letter"})
REPLAYABLE = frozenset({"failed", "timed_out", "crashed", "system_failed"})


def decide(state: State, event: Event, now: int) -> Transition | None:
    """Return what the run becomes by `event`, or None when the event no longer concerns it.

    Raises:
        Refused: the event is a request, and the run is in no state for it.
    """
    return _DECISIONS[type(event)](state, event, now)


# ------------------------------------------------------------------------------------- decisions


def _move(
    state: State,
    to: str,
    message: str = "",
    *,
    assignment: str = "",
    deadline_at: str = "",
    result: str | None = None,
    abort: bool = False,
    level: str = "info",
    facts: dict[str, Json] | None = None,
    **changes: Any,
) -> Transition:
    before = state.run.status
    if not run_can_move(before, to):
        raise Refused(409, f"run status conflict: {before} cannot become {to}")
    run = replace(state.run, status=to, **changes)
    entry = moved(before, to, message, level=level, attempt=run.attempt, **(facts or {}))
    after = State(run, assignment or state.assignment, deadline_at, state.ttl_secs)
    return Transition(after, (entry,), result, abort)


def _dispatched(state: State, event: Dispatched, now: int) -> Transition | None:
    if state.run.status != "queued":
        return None
    stamp = to_timestamp(now)
    return _move(
        state,
        "executing",
        event.message,
        assignment=event.assignment,
        deadline_at=to_timestamp(now + event.timeout_secs * SECOND),
        started_at=stamp,
        heartbeat_at=stamp,
        next_retry_at="",
    )


def _answered(state: State, event: Answered, now: int) -> Transition | None:
    if state.run.status != "executing" or state.assignment != event.assignment:
        return None
    if isinstance(event.outcome, outcomes.Succeeded):
        return _end(state, "completed", now, result=event.outcome.result)
    return _erred(state, event.outcome, event.job, event.rand, now)


def _erred(
    state: State, outcome: outcomes.Erred, job: Job, rand: float, now: int
) -> Transition | None:
    run = state.run
    retryable = not outcome.final and outcome.error_class not in outcomes.NOT_RETRYABLE
    if not retryable or run.attempt >= attempts_allowed(run, job):
        return _end(state, "dead_letter", now, outcome.error, outcome.error_class)
    run, poisoned = _count_same_error(run, job, outcome.error)
    if poisoned:
        return _end(replace(state, run=run), "dead_letter", now, poisoned, outcome.error_class)
    delay = outcome.retry_after_secs
    if delay is None:
        delay = retry_delay_secs(run, job, rand)
    return _retry(
        replace(state, run=run), job, outcome.error, outcome.error_class, delay_secs=delay, now=now
    )


def _retry(
    state: State, job: Job, error: str, error_class: str, *, delay_secs: float, now: int
) -> Transition:
    run = state.run
    at = now + round(delay_secs * SECOND)
    return _move(
        state,
        "queued",
        f"attempt {run.attempt} failed: {error}; next attempt in {delay_secs:.1f} s",
        level="warn",
        facts={"error": error, "error_class": error_class, "next_retry_at": to_timestamp(at)},
        attempt=run.attempt + 1,
        error=error,
        error_class=error_class,
        started_at="",
        finished_at="",
        next_retry_at=to_timestamp(at),
        expires_at=renewed_expiry(state, at),
        priority=max(run.priority, min(run.priority + job.retry_priority_boost, MAX_PRIORITY)),
    )


def _count_same_error(run: Run, job: Job, error: str) -> tuple[Run, str]:
    """Count how often the same error came in a row; the second value is set when it is poison."""
    if job.poison_pill_threshold < 1:
        return run, ""
    digest = sha256(error[:200].encode()).hexdigest()[:16]
    same = run.metadata.get("_error_hash") == digest
    count = _counted(run, "_error_hash_count") + 1 if same else 1
    metadata = {**run.metadata, "_error_hash": digest, "_error_hash_count": str(count)}
    run = replace(run, metadata=metadata)
    if count < job.poison_pill_threshold:
        return run, ""
    return run, f"poison pill detected (same error {count} times): {error}"


def _counted(run: Run, name: str) -> int:
    # Handlers may annotate metadata, so that anything can stand there.
    text = run.metadata.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _timed_out(state: State, event: TimedOut, now: int) -> Transition | None:
    run = state.run
    if run.status != "executing" or state.assignment != event.assignment:
        return None
    if run.attempt < attempts_allowed(run, event.job):
        delay = retry_delay_secs(run, event.job, event.rand)
        transition = _retry(
            state, event.job, "execution timed out", "transient", delay_secs=delay, now=now
        )
        return replace(transition, abort=True)
    return _end(state, "timed_out", now, "execution timed out", "timeout", abort=True)


def _completed(state: State, event: Completed, now: int) -> Transition | None:
    return _end(state, "completed", now, result=event.result)


def _failed(state: State, event: Failed, now: int) -> Transition | None:
    return _end(state, "failed", now, event.error)


def _end(
    state: State,
    status: str,
    now: int,
    error: str = "",
    error_class: str = "",
    *,
    result: str | None = None,
    abort: bool = False,
) -> Transition:
    facts: dict[str, Json] = {}
    if error:
        facts["error"] = error
    if error_class:
        facts["error_class"] = error_class
    return _move(
        state,
        status,
        error,
        result=result,
        abort=abort,
        level="error" if status in ENDED_BADLY else "info",
        facts=facts,
        finished_at=to_timestamp(now),
        next_retry_at="",
        error=error,
        error_class=error_class,
    )


def _suspended(state: State, event: Suspended, now: int) -> Transition | None:
    if state.run.status != "executing":
        raise Refused(409, "run must be executing to wait")
    return _move(state, "waiting", event.reason, next_retry_at=event.wake_at)


def _woken(state: State, event: Woken, now: int) -> Transition | None:
    if state.run.status != "waiting":
        return None
    # What a run waited for may be there before its time is.
    scheduled_at = state.run.scheduled_at
    at = max(event.not_before, from_timestamp(scheduled_at) if scheduled_at else 0)
    return _move(
        state,
        "queued",
        event.reason,
        expires_at=renewed_expiry(state, max(at, now)),
        next_retry_at=to_timestamp(at) if at > now else "",
    )


def _wait_timed_out(state: State, event: WaitTimedOut, now: int) -> Transition | None:
    if state.run.status != "waiting":
        return None
    return _end(state, "timed_out", now, event.error, "timeout", abort=True)


def _due(state: State, event: Due, now: int) -> Transition | None:
    if state.run.status != "delayed":
        return None
    return _move(state, "queued", "its scheduled time has come")


def _expired(state: State, event: Expired, now: int) -> Transition | None:
    run = state.run
    expiry = patience_ends_at(state)
    if run.status not in {"delayed", "queued"} or not expiry or expiry > to_timestamp(now):
        return None
    return _end(state, "expired", now, "run expired")


def _snoozed(state: State, event: Snoozed, now: int) -> Transition | None:
    run = state.run
    if run.status not in {"executing", "queued"}:
        return None
    count = _counted(run, "snooze_count") + int(event.counts)
    metadata = {**run.metadata, "snooze_count": str(count)}
    if count > MAX_SNOOZES:
        error = f"max snooze count ({MAX_SNOOZES}) exceeded: {event.error}"
        executing = replace(state, run=replace(run, status="executing"))
        return _end(executing, "system_failed", now, error)
    until = to_timestamp(event.until)
    run = replace(
        run,
        status="queued",
        metadata=metadata,
        error=event.error,
        error_class="transient",
        next_retry_at=until,
        started_at="",
        expires_at=renewed_expiry(state, event.until),
    )
    entry = Entry("log", f"not dispatched: {event.error}", "warn", {"next_retry_at": until})
    return Transition(replace(state, run=run, deadline_at=""), (entry,))


def _canceled(state: State, event: Canceled, now: int) -> Transition | None:
    if is_terminal_run_status(state.run.status):
        raise Refused(400, "run already in terminal state")
    # Also a run that waits may have a handler that has not let go of its call yet.
    return _end(state, "canceled", now, event.error, abort=True)


def _paused(state: State, event: Paused, now: int) -> Transition | None:
    if state.run.status != "executing":
        raise Refused(400, "run must be in executing state to pause")
    return _move(state, "paused", "paused", abort=True)


def _resumed(state: State, event: Resumed, now: int) -> Transition | None:
    if state.run.status != "paused":
        raise Refused(400, "run is not paused")
    return _requeued(state, "resumed", now)


def _restarted(state: State, event: Restarted, now: int) -> Transition | None:
    if state.run.status not in {"executing", "paused"}:
        raise Refused(400, "run must be in executing or paused state to restart")
    return replace(_requeued(state, "restarted", now), abort=True)


def _recovered(state: State, event: Recovered, now: int) -> Transition | None:
    if state.run.status not in {"executing", "dequeued"}:
        return None
    return _requeued(state, event.reason, now)


def _requeued(state: State, reason: str, now: int) -> Transition:
    expires_at = renewed_expiry(state, now)
    return _move(state, "queued", reason, started_at="", next_retry_at="", expires_at=expires_at)


def _replayed(state: State, event: Replayed, now: int) -> Transition | None:
    if state.run.status != "dead_letter":
        raise Refused(409, "run is not in dead_letter status")
    kept = {k: v for k, v in state.run.metadata.items() if k not in _RETRY_METADATA}
    return _move(
        state,
        "queued",
        "replayed from the dead letters",
        attempt=1,
        error="",
        error_class="",
        started_at="",
        finished_at="",
        next_retry_at=to_timestamp(event.not_before) if event.not_before > now else "",
        expires_at=event.expires_at,
        metadata=kept,
    )


_RETRY_METADATA = frozenset({"_error_hash", "_error_hash_count", "snooze_count"})


def _rescheduled(state: State, event: Rescheduled, now: int) -> Transition | None:
    run = state.run
    if run.status not in {"delayed", "queued"}:
        raise Refused(404, "run not found or not in a reschedulable state")
    at = to_timestamp(event.at)
    status = "delayed" if event.at > now else "queued"
    expires_at = put_off_expiry(state, event.at, now)
    run = replace(run, status=status, scheduled_at=at, expires_at=expires_at, next_retry_at="")
    entry = Entry(
        "state_change", f"rescheduled to {at}", "info", {"from": state.run.status, "to": status}
    )
    return Transition(replace(state, run=run, deadline_at=""), (entry,))


_DECISIONS: dict[type, Callable[[State, Any, int], Transition | None]] = {
    Dispatched: _dispatched,
    Answered: _answered,
    TimedOut: _timed_out,
    Completed: _completed,
    Failed: _failed,
    Suspended: _suspended,
    Woken: _woken,
    WaitTimedOut: _wait_timed_out,
    Due: _due,
    Expired: _expired,
    Snoozed: _snoozed,
    Canceled: _canceled,
    Paused: _paused,
    Resumed: _resumed,
    Restarted: _restarted,
    Recovered: _recovered,
    Replayed: _replayed,
    Rescheduled: _rescheduled,
}

"""Suspending a run until one of several things comes; only this platform has it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine import runs as engine
from strait.engine.model import EventTrigger
from strait.reserved import child_outcome_key, event_state_key
from strait.server import addresses
from strait.server._generated import bodies
from strait.server.errors import invalid
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.routes import sdk
from strait.server.unit import Unit
from strait.server.work import events, records, runs, suspensions
from strait.store import runs as run_rows
from strait.store import triggers

registry = Registry()

MAX_SECS = 10 * 366 * 24 * 3600
"""How far away the end of a suspension may be; a wait without a timeout lasts as long."""
_WAITING, _READY = {"status": "waiting"}, {"status": "ready"}


@registry.write("sdk-suspend")
def suspend(call: Call, unit: Unit) -> Reply:
    """Let the run wait for any of what is named, unless some of it has come already."""
    stored = sdk.active(call, unit)
    body = call.body(bodies.SDKSuspendRequest)
    waits, named = body.waits or [], list(dict.fromkeys(body.children or []))
    if not waits and not named and not body.wake_at:
        raise invalid("at least one of waits, wake_at and children is required")
    wake_at = _instant(unit, body.wake_at or "")
    for wait in waits:
        _check(wait)
    if stored.run.status == "waiting":
        return reply(_WAITING)  # the answer to the same request was lost
    come = _open(unit, stored.run.id, stored.run.project_id, waits)
    come = _has_ended(unit, stored.run.id, named) or come
    # Records go on from the newest instant where the clock was set back; a sleep is by the clock.
    if come or (wake_at and wake_at <= to_timestamp(unit.platform.clock.now())):
        return reply(_READY)
    suspensions.note(unit, stored.run.id, [wait.event_key for wait in waits], named)
    runs.apply(unit, stored, engine.Suspended(_reason(waits, wake_at, named), wake_at))
    return reply(_WAITING)


def _instant(unit: Unit, text: str) -> str:
    """Return an instant as it is stored, or "" where there is none."""
    if not text:
        return ""
    try:
        instant = from_timestamp(text)
    except ValueError as error:
        raise invalid(f"wake_at: {error}") from error
    if instant > unit.now + MAX_SECS * SECOND:
        raise invalid(f"wake_at: must be within {MAX_SECS} seconds")
    return to_timestamp(instant)


def _check(wait: bodies.SDKSuspendWait) -> None:
    sdk.check_event_key(wait.event_key)
    if wait.event_key.startswith(events.AWAIT_PREFIX):
        raise invalid(f"event_key: must not begin with {events.AWAIT_PREFIX!r}")
    if (wait.timeout_secs or 0) > MAX_SECS:
        raise invalid(f"timeout_secs: must be at most {MAX_SECS}")


def _open(unit: Unit, run_id: str, project_id: str, waits: Sequence[bodies.SDKSuspendWait]) -> bool:
    """Open the waits that are not open, and return whether one of all has its event already."""
    keys = [event_state_key(wait.event_key, wait.occurrence or 0) for wait in waits]
    there = records.keys_among(unit.db, run_id, keys)
    open_keys = {trigger.event_key for trigger in triggers.waiting_of_run(unit.db, run_id)}
    come = bool(there)
    for wait, key in zip(waits, keys, strict=True):
        # Of several waits for one key the first is open; the next is asked for when it is over.
        if key in there or wait.event_key in open_keys:
            continue
        open_keys.add(wait.event_key)
        opened = _open_one(unit, run_id, project_id, wait)
        come = come or opened.status == "received"
    return come


def _open_one(
    unit: Unit, run_id: str, project_id: str, wait: bodies.SDKSuspendWait
) -> EventTrigger:
    notify_url = addresses.endpoint(wait.notify_url, "notify_url", unit.platform.reach)
    secs = wait.timeout_secs or MAX_SECS
    trigger = events.for_run(unit, run_id, project_id, wait.event_key, secs, notify_url)
    trigger = replace(
        trigger,
        timeout_secs=secs,
        expires_at=unit.in_secs(secs),
        occurrence=wait.occurrence or 0,
        resumes=True,
    )
    return events.open_wait(unit, trigger)


def _has_ended(unit: Unit, run_id: str, named: list[str]) -> bool:
    """Return whether one of several children has ended, which its parent was told then.

    Raises:
        ApiError: 422, one of them is no child of the run.
    """
    outcomes = [child_outcome_key(child_id) for child_id in named]
    told = records.keys_among(unit.db, run_id, outcomes)
    # A child that was purged since is known by its outcome alone.
    strange = {
        child_id for child_id, key in zip(named, outcomes, strict=True) if key not in told
    } - run_rows.children_among(unit.db, run_id, named)
    if strange:
        raise invalid(f"children: run {min(strange)!r} is no child of this run")
    return bool(told)


def _reason(waits: Sequence[bodies.SDKSuspendWait], wake_at: str, children: list[str]) -> str:
    parts = []
    if len(waits) == 1:
        parts.append(f"event {waits[0].event_key!r}")
    elif waits:
        parts.append(f"one of {len(waits)} events")
    if wake_at:
        parts.append(wake_at)
    if children:
        parts.append("a child run" if len(children) == 1 else f"one of {len(children)} children")
    return f"waits for {' or '.join(parts)}"

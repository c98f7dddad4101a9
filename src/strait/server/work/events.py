"""Waits for events: opened by runs and workflow steps, settled by senders, timers and ends."""

from __future__ import annotations

import sqlite3

from msgspec import UNSET, UnsetType, json
from msgspec.structs import replace

from strait.clock import from_timestamp, to_timestamp
from strait.engine import runs as engine
from strait.engine.model import EventTrigger, Json
from strait.engine.refusal import Refused
from strait.reserved import event_state_key
from strait.server import within
from strait.server.unit import TriggerSettled, Unit
from strait.server.work import announce, records, runs, suspensions
from strait.store import runs as run_rows
from strait.store import triggers

MAX_TIMEOUT_SECS = 30 * 24 * 3600
DEFAULT_TIMEOUT_SECS = 3600
MAX_HELD_EVENTS = 10_000
AWAIT_PREFIX = "spawn-await:"


def open_wait(unit: Unit, trigger: EventTrigger) -> EventTrigger:
    """Begin to wait for an event, and return the wait: received, if the event was held for it.

    Raises:
        Refused: 409, somebody waits for the same key already.
    """
    # Waits that begin together get instants of their own, so that pages of them can be told apart.
    trigger = replace(trigger, requested_at=to_timestamp(unit.tick()))
    try:
        triggers.insert(unit.db, trigger)
    except sqlite3.IntegrityError as error:
        raise Refused(409, f"event key already in use: {trigger.event_key!r}") from error
    _watch(unit, trigger)
    announce.wait_opened(unit, trigger)
    return _take_held(unit, trigger) if trigger.trigger_type == "event" else trigger


def hold(
    unit: Unit,
    project_id: str,
    event_key: str,
    payload: Json | UnsetType,
    hold_secs: int,
    sender: str,
    *,
    environment_id: str = "",
) -> EventTrigger:
    """Keep an event that nobody waits for as yet, for the first who will.

    With an environment it is for who waits within that one.

    Raises:
        Refused: 429, the project holds too many.
    """
    if triggers.count_held(unit.db, project_id) >= MAX_HELD_EVENTS:
        raise Refused(429, f"more than {MAX_HELD_EVENTS} events are held for nobody")
    unit.tick()
    event = EventTrigger(
        id=unit.new_id(),
        event_key=event_key,
        project_id=project_id,
        source_type="sender",
        status="held",
        timeout_secs=hold_secs,
        requested_at=unit.stamp,
        expires_at=unit.in_secs(hold_secs),
        response_payload=payload,
        trigger_type="event",
        sent_by=sender,
        environment_id=environment_id,
    )
    triggers.hold(unit.db, event)
    return event


def _take_held(unit: Unit, trigger: EventTrigger) -> EventTrigger:
    for event in triggers.held(unit.db, trigger.project_id, trigger.event_key, unit.stamp):
        own = event.environment_id
        if not own or within.trigger(unit.db, trigger, own):
            triggers.drop_held(unit.db, event.id)
            return receive(unit, trigger, event.response_payload, event.sent_by)
    return trigger


def for_run(
    unit: Unit, run_id: str, project_id: str, event_key: str, timeout_secs: int, notify_url: str
) -> EventTrigger:
    """Return the wait of a run for an event, to be opened."""
    if timeout_secs <= 0:
        timeout_secs = DEFAULT_TIMEOUT_SECS
    timeout_secs = min(timeout_secs, MAX_TIMEOUT_SECS)
    return EventTrigger(
        id=unit.new_id(),
        event_key=event_key,
        project_id=project_id,
        source_type="job_run",
        status="waiting",
        timeout_secs=timeout_secs,
        requested_at=unit.stamp,
        expires_at=unit.in_secs(timeout_secs),
        job_run_id=run_id,
        notify_url=notify_url,
        notify_status="pending" if notify_url else "",
        trigger_type="event",
    )


def receive(
    unit: Unit, trigger: EventTrigger, payload: Json | UnsetType, sender: str
) -> EventTrigger:
    """Settle a wait with what was sent, and return it as it is now."""
    settled = replace(
        trigger,
        status="received",
        response_payload=None if payload is UNSET else payload,
        received_at=unit.stamp,
        sent_by=sender,
    )
    _settle(unit, settled)
    return settled


def close(unit: Unit, trigger: EventTrigger, status: str, error: str) -> EventTrigger:
    """Settle a wait that gets nothing: `timed_out` or `canceled`."""
    settled = replace(trigger, status=status, error=error)
    _settle(unit, settled)
    return settled


def close_quietly(
    unit: Unit,
    trigger: EventTrigger,
    status: str,
    error: str,
    *,
    payload: Json | UnsetType = UNSET,
) -> None:
    """Settle a wait whose waiter is over already, or takes care of itself."""
    received_at = unit.stamp if status == "received" else ""
    settled = replace(
        trigger, status=status, error=error, response_payload=payload, received_at=received_at
    )
    triggers.save(unit.db, settled)
    _forget(unit, trigger)
    hub = unit.platform.trigger_hub
    unit.after(lambda: hub.publish(trigger.id, settled))


def expire(unit: Unit, trigger_id: str) -> None:
    """Settle a wait whose time is up: a sleep has what it wanted, an event did not come."""
    trigger = triggers.load(unit.db, trigger_id)
    if trigger is None or trigger.status != "waiting":
        return
    if trigger.expires_at > unit.stamp:
        # The clock was set back since the timer rang.
        _watch(unit, trigger)
        return
    if trigger.trigger_type == "sleep":
        _settle(unit, replace(trigger, status="received", received_at=unit.stamp))
    else:
        close(unit, trigger, "timed_out", "event trigger timed out")


def wake_run(unit: Unit, trigger: EventTrigger) -> None:
    """Let a run go on whose wait was settled."""
    if trigger.resumes:
        suspensions.wait_settled(unit, trigger)
        return
    stored = run_rows.load(unit.db, trigger.job_run_id)
    if stored is None or stored.run.status != "waiting":
        return
    match trigger.status:
        case "received":
            _hand_over(unit, trigger)
            runs.apply(unit, stored, engine.Woken(f"event {trigger.event_key!r} received"))
        case "timed_out":
            runs.apply(unit, stored, engine.WaitTimedOut(trigger.error))
        case _:
            runs.apply(unit, stored, engine.Canceled(trigger.error))


def after_restart(unit: Unit) -> None:
    """Watch all waits that are open."""
    for trigger in triggers.waiting(unit.db):
        _watch(unit, trigger)


def _hand_over(unit: Unit, trigger: EventTrigger) -> None:
    # The handler runs again from its start; the same call finds what came under this key.
    if trigger.event_key.startswith(AWAIT_PREFIX):
        return
    payload = None if trigger.response_payload is UNSET else trigger.response_payload
    occurrence = records.count_states(
        unit.db, trigger.job_run_id, event_state_key(trigger.event_key, 0)
    )
    key = event_state_key(trigger.event_key, occurrence)
    value = {
        "event_key": trigger.event_key,
        "payload": payload,
        "received_at": trigger.received_at,
    }
    records.set_state(unit, trigger.job_run_id, key, json.encode(value).decode())
    records.checkpoint(unit, trigger.job_run_id, "event_trigger", json.encode(payload).decode())


def _settle(unit: Unit, trigger: EventTrigger) -> None:
    triggers.save(unit.db, trigger)
    _forget(unit, trigger)
    unit.signal(TriggerSettled(trigger))
    hub = unit.platform.trigger_hub
    unit.after(lambda: hub.publish(trigger.id, trigger))


def _watch(unit: Unit, trigger: EventTrigger) -> None:
    timers = unit.platform.timers
    instant = from_timestamp(trigger.expires_at)
    unit.after(lambda: timers.set(("trigger", trigger.id), instant))


def _forget(unit: Unit, trigger: EventTrigger) -> None:
    timers = unit.platform.timers
    unit.after(lambda: timers.cancel(("trigger", trigger.id)))

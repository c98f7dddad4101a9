"""What throttles mean for runs: their keys, their starts on the disk, and their rates in memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import json

from strait import templating
from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine.model import Job, Run, Tags
from strait.engine.queue import Ticket
from strait.engine.throttles import METADATA_PREFIX, Rate, Use
from strait.store import records
from strait.store import throttles as rows
from strait.store.records import Record

if TYPE_CHECKING:
    from strait.server.unit import Unit

THROTTLE = "throttle"
_MAX_KEY_CHARS = 512


def keys_of(unit: Unit, job: Job, payload: str | None) -> Tags:
    """Return what a new run of a job counts as under the throttles that the job uses.

    It is kept in the run's metadata, so that a restart, a retry and people find it there.
    """
    found: Tags = {}
    for use in job.throttles:
        throttle = records.by_key(unit.db, THROTTLE, job.project_id, use["name"])
        if throttle is None:
            continue
        key = use.get("key", "")
        if "{{" in key:
            variables = json.decode(payload) if payload else {}
            key = str(templating.render(key, variables))[:_MAX_KEY_CHARS]
        found[f"{METADATA_PREFIX}{throttle.id}"] = key
    return found


def uses_of(run: Run) -> tuple[Use, ...]:
    """Return under which throttles a run counts, and under which keys."""
    return tuple(
        Use(name.removeprefix(METADATA_PREFIX), key)
        for name, key in run.metadata.items()
        if name.startswith(METADATA_PREFIX)
    )


def rate_of(throttle: Record) -> Rate:
    """Return what a throttle lets through."""
    fields = throttle.fields
    return Rate(
        limit=int(fields.get("limit") or 0),
        period_secs=int(fields.get("period_secs") or 1),
        max_concurrency=int(fields.get("max_concurrency") or 0),
    )


def started(unit: Unit, ticket: Ticket) -> None:
    """Write a start down under each throttle, and drop those that no longer count."""
    for use in ticket.uses:
        throttle = records.get(unit.db, THROTTLE, use.throttle_id)
        if throttle is None or not (rate := rate_of(throttle)).limit:
            continue
        before = to_timestamp(unit.now - rate.period_secs * SECOND)
        rows.add(unit.db, use.throttle_id, use.key, unit.stamp, forget_before=before)
    if ticket.uses:
        unit.after(lambda: unit.platform.scheduler.begun(ticket))


def after_restart(unit: Unit) -> None:
    """Bring what throttles let through, and have let through lately, back into memory."""
    scheduler = unit.platform.scheduler
    for throttle in records.everything(unit.db, THROTTLE):
        scheduler.throttle_changed(throttle.id, rate_of(throttle))
    for throttle_id, key, at in rows.everything(unit.db):
        scheduler.restore_start(Use(throttle_id, key), from_timestamp(at))


def changed(unit: Unit, throttle: Record, *, gone: bool = False) -> None:
    """Apply what a throttle lets through from now on."""
    scheduler = unit.platform.scheduler
    rate = None if gone else rate_of(throttle)
    unit.after(partial(scheduler.throttle_changed, throttle.id, rate))

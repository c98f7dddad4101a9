"""Throttles: how fast, and how many, runs of different jobs may start; the embedded platform only.

A job names the throttles that its runs take from; a run that may not start yet waits, and is
neither refused nor expired by that.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import NO_CONTENT, Call, Reply, reply
from strait.server.registry import Registry
from strait.server.resource import Resource, given
from strait.server.unit import Unit
from strait.server.work import throttles
from strait.store import jobs, records
from strait.store import throttles as rows
from strait.store.records import Record

registry = Registry()

MAX_NAME_CHARS = 128

THROTTLES = Resource(
    kind=throttles.THROTTLE,
    param="name",
    list="list-throttles",
    shown={"name": "", "limit": 0, "period_secs": 1, "max_concurrency": 0},
    unique=("name",),
    changed=lambda _call, unit, throttle: throttles.changed(unit, throttle),
)
THROTTLES.serve(registry)


@registry.read("get-throttle")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a throttle."""
    return reply(THROTTLES.show(_named(call, db), db))


@registry.write("put-throttle")
def put(call: Call, unit: Unit) -> Reply:
    """Make a throttle, or change how much it lets through; what is left out is reset."""
    name = call.params["name"]
    if len(name) > MAX_NAME_CHARS:
        raise ApiError(400, f"a throttle's name has at most {MAX_NAME_CHARS} characters")
    if any(character < " " or character == "\x7f" for character in name):
        raise ApiError(400, f"a throttle's name must not have control characters: {name!r}")
    body = call.body(bodies.PutThrottleRequest)
    if not body.limit and not body.max_concurrency:
        raise ApiError(400, "a throttle needs `limit` or `max_concurrency`")
    fields: dict[str, Any] = {"limit": 0, "period_secs": 1, "max_concurrency": 0}
    fields |= {key: value for key, value in given(body).items() if value}
    present = records.by_key(unit.db, throttles.THROTTLE, call.project_id, name)
    if present is None:
        saved = THROTTLES.insert(call, unit, {"name": name, **fields})
    else:
        saved = THROTTLES.save(call, unit, present, fields)
    return reply(THROTTLES.show(saved, unit.db))


@registry.write("delete-throttle")
def delete(call: Call, unit: Unit) -> Reply:
    """Delete a throttle that no job uses."""
    throttle = _named(call, unit.db)
    name = throttle.fields["name"]
    for job in jobs.everything(unit.db):
        if job.project_id == call.project_id and name in (use["name"] for use in job.throttles):
            raise ApiError(409, f"job {job.slug!r} uses it")
    records.delete(unit.db, throttles.THROTTLE, throttle.id)
    rows.forget(unit.db, throttle.id)
    throttles.changed(unit, throttle, gone=True)
    return NO_CONTENT


def _named(call: Call, db: sqlite3.Connection) -> Record:
    found = records.by_key(db, throttles.THROTTLE, call.project_id, call.params["name"])
    if found is None:
        raise not_found("throttle")
    return found

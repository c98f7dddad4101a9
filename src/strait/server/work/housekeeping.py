"""Dropping what is kept for a time only, a little at a time."""

from __future__ import annotations

from strait.clock import SECOND, to_timestamp
from strait.server.unit import Unit
from strait.store import meta

# Answers to requests with an idempotency key are promised for this long (`contract/runs.md` §3.2).
KEEP_ANSWERS_SECS = 24 * 3600
_EVERY_SECS = 3600
_AT_ONCE = 1_000
_KEY = ("housekeeping", "answers")


def watch(unit: Unit) -> None:
    """Have the next round come in its time."""
    instant = unit.now + _EVERY_SECS * SECOND
    timers = unit.platform.timers
    unit.after(lambda: timers.set(_KEY, instant))


def clean(unit: Unit, _: str) -> None:
    """Drop old answers; where there are many, go on at once in a transaction of its own."""
    before = to_timestamp(unit.now - KEEP_ANSWERS_SECS * SECOND)
    if meta.forget_answers(unit.db, before, limit=_AT_ONCE) < _AT_ONCE:
        watch(unit)
    else:
        timers, now = unit.platform.timers, unit.now
        unit.after(lambda: timers.set(_KEY, now))

"""Instants that lie some seconds ahead, for time limits as users may write them."""

from __future__ import annotations

from strait.clock import SECOND, Timestamp, to_timestamp

MAX_SECS = 100 * 365 * 24 * 3600
"""The longest time limit. The API bounds none, and timestamps end with the year 9999."""


def bounded(secs: int) -> int:
    """Return a time limit in seconds; one of more than a century is one."""
    return min(max(secs, 0), MAX_SECS)


def in_secs(now: int, secs: int) -> Timestamp:
    """Return the instant `secs` seconds after `now`, or "" where there is no limit."""
    return to_timestamp(now + bounded(secs) * SECOND) if secs > 0 else ""

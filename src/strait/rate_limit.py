"""What the platform says of its rate limit, in the headers of any answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# `X-RateLimit-Reset` is seconds from the answer on, or, from this on, seconds since 1970.
_FIRST_UNIX_SECS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What the platform says of its limit; None where it does not.

    Attributes:
        limit: requests that the window allows.
        remaining: requests that are left in it.
        reset: the platform's own word of when the window ends: seconds, or unix seconds.
        reset_at: that instant; None where the platform counts from an answer without a date.
    """

    limit: int | None
    remaining: int | None
    reset: int | None
    reset_at: datetime | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str] | None) -> RateLimit | None:
        """Return what these headers say; None if they say nothing."""
        headers = headers or {}
        limit, remaining, reset = (
            _whole(headers.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining", "reset")
        )
        if limit is remaining is reset is None:
            return None
        return cls(limit, remaining, reset, _instant(reset, headers.get("date", "")))


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _instant(reset: int | None, date: str) -> datetime | None:
    try:
        if reset is None:
            return None
        if reset >= _FIRST_UNIX_SECS:
            return datetime.fromtimestamp(reset, UTC)
        return parsedate_to_datetime(date) + timedelta(seconds=reset)
    except (ValueError, OverflowError, OSError):
        return None  # no date, or one past the end of the calendar

"""Shutting out who guesses credentials, as the platform does (`contract/runs.md` §7.1).

Only with `--limits platform`: on one machine everybody has the same address, and a key of 32 random
bytes is guessed by nobody.
"""

from __future__ import annotations

from strait.clock import SECOND
from strait.server.errors import ApiError
from strait.server.limits import PLATFORM

WINDOW_SECS = 15 * 60
# After so many failures within the window: shut out for so many seconds.
STEPS = ((10, 60), (25, 5 * 60), (50, 15 * 60))
_SWEEP_AT = 10_000


class Lockouts:
    """Counts failed authentications by address and kind of credential.

    Args:
        kind: `none` or `platform`.
    """

    def __init__(self, kind: str) -> None:
        self._platform = kind == PLATFORM
        self._failures: dict[tuple[str, str], tuple[int, int]] = {}
        self._until: dict[tuple[str, str], int] = {}

    def check(self, kind: str, address: str, now: int) -> None:
        """Check that an address may try a kind of credential.

        Raises:
            ApiError: 429 with `Retry-After`.
        """
        until = self._until.get((kind, address), 0)
        if until <= now:
            return
        secs = str(-(-(until - now) // SECOND))
        raise ApiError(
            429,
            "too many failed authentication attempts",
            details=[f"retry_after_seconds={secs}"],
            headers={"Retry-After": secs},
        )

    def failed(self, kind: str, address: str, now: int) -> None:
        """Count a failure, and shut the address out when there were too many."""
        if not self._platform:
            return
        who = (kind, address)
        ends_at, count = self._failures.get(who, (0, 0))
        if ends_at <= now:
            ends_at, count = now + WINDOW_SECS * SECOND, 0
        count += 1
        self._failures[who] = (ends_at, count)
        shut_out_secs = dict(STEPS).get(count, STEPS[-1][1] if count > STEPS[-1][0] else 0)
        if shut_out_secs:
            self._until[who] = now + shut_out_secs * SECOND
        if len(self._failures) > _SWEEP_AT:
            self._failures = {w: kept for w, kept in self._failures.items() if kept[0] > now}
            self._until = {w: until for w, until in self._until.items() if until > now}

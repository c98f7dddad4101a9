"""Throttles: how many runs may start in a time, and how many may execute at once, under one key.

A throttle delays; it never refuses. It looks back over the starts that it has let through, so that
in no window of its period there are more than its limit, wherever the window begins. The embedded
platform has them; the hosted one does not.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from msgspec import Struct

from strait.clock import SECOND

LONGEST_PERIOD_SECS = 86_400
# Where the keys of a run under its throttles are kept, in the metadata that it was made with.
METADATA_PREFIX = "_throttle."


class Rate(Struct, frozen=True):
    """What a throttle lets through.

    Attributes:
        limit: how many starts there may be in any time of `period_secs`; 0 is any number.
        period_secs: the time in which starts are counted.
        max_concurrency: how many may execute at once; 0 is any number.
    """

    limit: int = 0
    period_secs: int = 1
    max_concurrency: int = 0


class Use(NamedTuple):
    """A throttle, by its id, and the key under which a run counts."""

    throttle_id: str
    key: str


class Gate:
    """One throttle under one key: what it has let through lately, and what executes."""

    __slots__ = ("executing", "starts")

    def __init__(self) -> None:
        self.starts: deque[int] = deque()
        self.executing = 0

    def opens_at(self, rate: Rate, now: int) -> int | None:
        """Return when the next run may start: `now`, later, or None for when another has ended."""
        if rate.max_concurrency and self.executing >= rate.max_concurrency:
            return None
        if not rate.limit:
            return now
        period = rate.period_secs * SECOND
        if self.starts and self.starts[-1] > now:
            # The clock was set back. They count as if they were now: the gate is not closed for
            # longer than its period, and lets no more through than it may.
            self.starts = deque(min(start, now) for start in self.starts)
        while self.starts and self.starts[0] <= now - period:
            self.starts.popleft()
        if len(self.starts) < rate.limit:
            return now
        return self.starts[-rate.limit] + period

    def let_through(self, rate: Rate, now: int) -> None:
        """Count a start."""
        self.executing += 1
        if rate.limit:
            self.starts.append(now)
            while len(self.starts) > rate.limit:
                self.starts.popleft()

    def begun(self, let_through_at: int, at: int) -> None:
        """Count a start that took its time from when it began; `at` is now."""
        if let_through_at in self.starts:
            self.starts.remove(let_through_at)
            self.starts.append(at)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is known of it that matters."""
        return not self.executing and not self.starts


class Throttles:
    """All throttles: their rates, and their gates by key."""

    def __init__(self) -> None:
        self._rates: dict[str, Rate] = {}
        self._gates: dict[Use, Gate] = {}

    def set_rate(self, throttle_id: str, rate: Rate | None) -> None:
        """Change what a throttle lets through; None lets through everything."""
        if rate is None:
            self._rates.pop(throttle_id, None)
        else:
            self._rates[throttle_id] = rate

    def restore(self, use: Use, at: int) -> None:
        """Take note of a start that an earlier server has let through."""
        self._gates.setdefault(use, Gate()).starts.append(at)

    def closed(self, uses: tuple[Use, ...], now: int) -> tuple[Use, int | None] | None:
        """Return the first use that holds a run back, and when it opens, or None when none does."""
        for use in uses:
            rate = self._rates.get(use.throttle_id)
            gate = self._gates.get(use)
            if rate is None or gate is None:
                continue
            opens_at = gate.opens_at(rate, now)
            if opens_at != now:
                return use, opens_at
        return None

    def let_through(self, uses: tuple[Use, ...], now: int) -> None:
        """Count a start under each of its uses."""
        for use in uses:
            rate = self._rates.get(use.throttle_id, Rate())
            self._gates.setdefault(use, Gate()).let_through(rate, now)

    def begun(self, uses: tuple[Use, ...], let_through_at: int, at: int) -> None:
        """Take note that a run which was let through has begun just now.

        To write its start may take a while, and then a window that was counted from before that
        would end too soon.
        """
        for use in uses:
            gate = self._gates.get(use)
            if gate is not None:
                gate.begun(let_through_at, at)

    def resumed(self, uses: tuple[Use, ...]) -> None:
        """Count a run under each of its uses whose start was counted before."""
        for use in uses:
            self._gates.setdefault(use, Gate()).executing += 1

    def ended(self, uses: tuple[Use, ...]) -> None:
        """Count an end under each of its uses."""
        for use in uses:
            gate = self._gates.get(use)
            if gate is not None:
                gate.executing -= 1
                if gate.is_idle:
                    del self._gates[use]

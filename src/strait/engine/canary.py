"""How a canary goes on: from the health of what it has run to the next share of the traffic.

`contract/workflows.md` §5.1 says what was meant; no version of the platform ever calls it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

Decision = Literal["hold", "rollback", "promote"]

# With fewer runs than this nothing can be said of the health of a version.
MIN_RUNS = 5
DEFAULT_INTERVAL_NS = 300 * 10**9


class AutoPromote(Struct, frozen=True, kw_only=True):
    """When a canary is promoted or rolled back by itself.

    Attributes:
        enabled: whether it is.
        steps: the shares of the traffic in percent, one after the other.
        interval: how long each share lasts at least, in nanoseconds; 0 is five minutes.
        failure_rate_threshold: the highest share of failed runs in percent; 0 is no bound.
        latency_p99_threshold: the longest 99th percentile in nanoseconds; 0 is no bound.
    """

    enabled: bool = False
    steps: tuple[int, ...] = ()
    interval: int = 0
    failure_rate_threshold: float = 0
    latency_p99_threshold: int = 0

    @property
    def interval_ns(self) -> int:
        """How long each share lasts at least."""
        return self.interval or DEFAULT_INTERVAL_NS


class Health(NamedTuple):
    """What the runs of a version were like: whether each has failed, and how long it took."""

    failed: int
    durations_ns: Sequence[int]

    @property
    def p99_ns(self) -> int:
        """The 99th percentile of the durations, by the nearest rank."""
        ordered = sorted(self.durations_ns)
        return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else 0


def evaluate(config: AutoPromote, health: Health) -> Decision:
    """Decide what to do about a version that was looked at for one interval."""
    runs = len(health.durations_ns)
    if runs < MIN_RUNS:
        return "hold"
    failure_rate = 100 * health.failed / runs
    if config.failure_rate_threshold and failure_rate > config.failure_rate_threshold:
        return "rollback"
    if config.latency_p99_threshold and health.p99_ns > config.latency_p99_threshold:
        return "rollback"
    return "promote"


def next_step(steps: Sequence[int], traffic_pct: int) -> int:
    """Return the next share behind the present one; behind the last one that is everything."""
    return min((step for step in steps if step > traffic_pct), default=100)


def goes_to_target(traffic_pct: int, chance: float) -> bool:
    """Tell where a run goes, given a number from 0 up to 1."""
    return chance < traffic_pct / 100

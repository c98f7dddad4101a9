"""Retry as one policy: how often, how long to wait between, and what is worth another try.

Pure: it neither sleeps nor draws random numbers; whoever drives it does both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TypeAlias

from strait.errors import HttpError, RateLimitedError, TransportError, ValidationError

# A platform that says "not implemented" says it again.
_NOT_IMPLEMENTED = 501


class JitterStrategy(StrEnum):
    """How the waiting time is spread, so that many clients do not come back at once."""

    FULL = "full"
    NONE = "none"


def backoff_secs(
    attempt: int,
    *,
    initial: float,
    factor: float = 2.0,
    cap: float,
    spread: float = 0.0,
    rand: float = 0.5,
) -> float:
    """Return the seconds to wait after an attempt that failed.

    Args:
        attempt: the number of the attempt that just failed, from 1.
        initial: seconds after the first attempt, before the spread.
        factor: what every further wait is multiplied by.
        cap: the longest wait in seconds, before the spread.
        spread: the part of the wait by which it may be shorter or longer; 0.2 means ± 20 %.
        rand: a random number in [0, 1); 0.5 gives the middle.
    """
    try:
        exact = initial * factor ** (attempt - 1)
    except OverflowError:
        exact = math.inf
    return min(exact, cap) * (1 - spread + 2 * spread * rand)


def is_retryable(error: BaseException) -> bool:
    """Tell whether the same call may succeed later: network trouble, 429, or a server error."""
    if isinstance(error, TransportError | RateLimitedError):
        return True
    return isinstance(error, HttpError) and error.status >= 500 and error.status != _NOT_IMPLEMENTED


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """How often something is tried, and how long is waited in between.

    Attributes:
        attempts: how often in all, the first time included; at least 1.
        delay_ms: the wait after the first attempt, in milliseconds.
        factor: what every further wait is multiplied by.
        max_delay_ms: the longest wait, in milliseconds; it bounds the first one too.
        jitter: `FULL` waits a random part of the delay, `NONE` all of it.
        should_retry: gets the error, the number of the attempt that failed (from 1) and
            `attempts`, and says whether to go on. By default `is_retryable` decides.

    Raises:
        ValidationError: a value is out of range.
    """

    attempts: int = 3
    delay_ms: int = 250
    factor: float = 2.0
    max_delay_ms: int = 30_000
    jitter: JitterStrategy = JitterStrategy.FULL
    should_retry: Callable[[Exception, int, int], bool] | None = None

    def __post_init__(self) -> None:
        issues = [
            f"`{name}` must be {wanted}, not {value!r}"
            for name, value, wanted, fits in (
                (
                    "attempts",
                    self.attempts,
                    "a whole number, at least 1",
                    is_count(self.attempts) and self.attempts >= 1,
                ),
                ("delay_ms", self.delay_ms, "a number, 0 or more", _from(0, self.delay_ms)),
                ("factor", self.factor, "a number, at least 1", _from(1, self.factor)),
                (
                    "max_delay_ms",
                    self.max_delay_ms,
                    "a number, 0 or more",
                    _from(0, self.max_delay_ms),
                ),
                ("jitter", self.jitter, "full or none", self.jitter in list(JitterStrategy)),
                (
                    "should_retry",
                    self.should_retry,
                    "a function",
                    self.should_retry is None or callable(self.should_retry),
                ),
            )
            if not fits
        ]
        if issues:
            raise ValidationError("; ".join(issues), issues)

    def delay_secs(self, attempt: int, rand: float) -> float:
        """Return the seconds to wait after `attempt` (from 1), given a random number in [0, 1)."""
        full = backoff_secs(
            attempt,
            initial=self.delay_ms / 1000,
            factor=self.factor,
            cap=self.max_delay_ms / 1000,
        )
        return full * rand if self.jitter == JitterStrategy.FULL else full

    def wants_retry(self, error: Exception, attempt: int) -> bool:
        """Tell whether to try again after `attempt` (from 1) ended with `error`."""
        if attempt >= self.attempts:
            return False
        if self.should_retry is None:
            return is_retryable(error)
        return self.should_retry(error, attempt, self.attempts)


def is_count(number: object) -> bool:
    """Tell whether it is a whole number, 0 or more."""
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _from(least: float, number: object) -> bool:
    return (
        isinstance(number, int | float)
        and not isinstance(number, bool)
        and least <= number < math.inf
    )


RetryPolicy: TypeAlias = RetryOptions


class RetryScope:
    """What an outer retry, such as `with_retry`, tells the calls of our clients inside of it.

    A client then tries once, since the outer retry is what tries again; and the same call of the
    next try has the idempotency key of this one, so that a lost answer does nothing twice.

    Args:
        seed: random text, of which the keys are made.
    """

    __slots__ = ("_made", "_seed")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._made: Counter[bytes] = Counter()

    def begin(self) -> None:
        """Begin another try: its calls are those of the one before."""
        self._made.clear()

    def key(self, method: str, url: str, content: bytes | None) -> str:
        """Return the idempotency key of a request; the n-th of its like has the n-th key."""
        parts = (method.encode(), url.encode(), content or b"")
        request = sha256(b"\0".join(parts)).digest()
        occurrence = self._made[request]
        self._made[request] += 1
        text = f"{self._seed}.{occurrence}.".encode() + request
        return sha256(text).hexdigest()[:32]


retry_scope: ContextVar[RetryScope | None] = ContextVar("strait_retry_scope", default=None)
"""The retry that the running code is a try of; None outside of any."""

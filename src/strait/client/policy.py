"""When a call is tried again, and after how long.

What could do something twice is never repeated on a guess: a request that may have been carried
out is sent again only if it reads, if it is marked repeatable, or if it has an idempotency key
that the platform honours.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from strait.errors import HttpError, RateLimitedError, StraitError, TransportError
from strait.retry import RetryOptions, is_retryable

if TYPE_CHECKING:
    from strait.client.credentials import Credential

DEFAULT_RETRY = RetryOptions(attempts=3, delay_ms=500, max_delay_ms=8_000)
NO_RETRY = RetryOptions(attempts=1)
# The address limiter of the platform asks for its whole window, up to a minute.
MAX_RETRY_AFTER_SECS = 60.0
_IN_FLIGHT = "currently being processed"


def is_ambiguous(error: StraitError) -> bool:
    """Tell whether the platform may have done what was asked, in spite of the error."""
    if isinstance(error, TransportError):
        return error.sent
    if isinstance(error, RateLimitedError):
        return False
    if isinstance(error, HttpError) and (error.status >= 500 or error.status == 408):
        # A 503 that says when to come back was refused at the door.
        return not (error.status == 503 and error.retry_after is not None)
    return False


def is_in_flight(error: StraitError) -> bool:
    """Tell whether an earlier attempt with the same idempotency key is still being carried out."""
    return isinstance(error, HttpError) and error.status == 409 and _IN_FLIGHT in str(error)


@dataclass(slots=True)  # one is made for each call, and a frozen one takes three times as long
class Policy:
    """How one call is retried.

    Attributes:
        retry: attempts, delays, and the user's own say in it.
        safe: whether the request may be carried out twice without harm.
        keyed: whether it has an idempotency key that the platform honours.
        deadline: the instant of `clock` at which the call must be over; None for never.
        clock: seconds that only grow.
        max_retry_after: the longest wait that is accepted from the platform, in seconds.
        rand: random numbers in [0, 1) for the jitter.
        credential: where tokens come from, if they change.
    """

    retry: RetryOptions
    safe: bool
    keyed: bool
    clock: Callable[[], float]
    deadline: float | None = None
    max_retry_after: float = MAX_RETRY_AFTER_SECS
    rand: Callable[[], float] = field(default=random.random)
    credential: Credential | None = None

    def delay(self, error: StraitError, attempt: int) -> float | None:
        """Return the seconds to wait after `attempt` (from 1) failed, or None to give up."""
        if not self._may_repeat(error, attempt):
            return None
        wait = error.retry_after
        if wait is not None and wait > self.max_retry_after:
            return None
        if wait is None:
            wait = self.retry.delay_secs(attempt, self.rand())
        if self.deadline is not None and self.clock() + wait >= self.deadline:
            return None
        return wait

    def _may_repeat(self, error: StraitError, attempt: int) -> bool:
        if attempt >= self.retry.attempts:
            return False
        if self.keyed and is_in_flight(error):
            return True
        if is_ambiguous(error) and not (self.safe or self.keyed):
            return False
        told = (error.headers or {}).get("x-should-retry")
        if told in {"true", "false"}:
            return told == "true"
        if self.retry.should_retry is None:
            return is_retryable(error) or error.status == 408
        return self.retry.wants_retry(error, attempt)

    def timeout(self, requested: float | None) -> float | None:
        """Return the seconds that the next attempt may take."""
        if self.deadline is None:
            return requested
        left = max(0.001, self.deadline - self.clock())
        return left if requested is None else min(requested, left)


def with_max_retries(retry: RetryOptions, max_retries: int | None) -> RetryOptions:
    """Return the options with another number of attempts, if one is given.

    Raises:
        ValidationError: the number is negative.
    """
    return retry if max_retries is None else replace(retry, attempts=max_retries + 1)

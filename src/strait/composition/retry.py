"""`with_retry`: call a function until it succeeds, or until more tries would not help."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import TypeVar, overload

from strait.client.policy import is_in_flight
from strait.composition import pace
from strait.errors import StraitError
from strait.retry import RetryOptions, RetryScope, retry_scope

T = TypeVar("T")

# The longest wait that is accepted from a platform, as in the clients' own policy.
MAX_RETRY_AFTER_SECS = 60.0


class _Tries:
    """What was tried so far, and whether there is another try.

    Args:
        opts: how often, and how long to wait in between.
    """

    def __init__(self, opts: RetryOptions | None) -> None:
        self._opts = opts or RetryOptions()
        self._failed: list[str] = []
        # Within another retry the same calls of its next try must find the same keys again.
        outer = retry_scope.get()
        self._scope = RetryScope(outer.key("", "", None) if outer else token_hex(16))

    def _wants_another(self, error: Exception, attempt: int) -> bool:
        # The try before may still be carried out; with the same key its answer comes later.
        if self._opts.should_retry is None and isinstance(error, StraitError):
            passes = is_in_flight(error) or error.status == 408
            if passes and attempt < self._opts.attempts:
                return True
        if self._opts.should_retry is None and isinstance(error, ConnectionError | TimeoutError):
            # Of a function that is not ours, the words of Python for network trouble.
            return attempt < self._opts.attempts
        return self._opts.wants_retry(error, attempt)

    @contextmanager
    def another(self) -> Iterator[None]:
        """Tell our clients that a block is one try of several."""
        self._scope.begin()
        token = retry_scope.set(self._scope)
        try:
            yield
        finally:
            retry_scope.reset(token)

    def wait_after(self, error: Exception) -> float | None:
        """Return the seconds to wait after a try that failed, or None to give up."""
        self._failed.append(f"try {len(self._failed) + 1}: {type(error).__name__}: {error}")
        attempt = len(self._failed)
        asked = error.retry_after if isinstance(error, StraitError) else None
        too_long = asked is not None and asked > MAX_RETRY_AFTER_SECS
        if too_long or not self._wants_another(error, attempt):
            if attempt > 1:
                error.add_note("\n".join(self._failed))
            return None
        return self._opts.delay_secs(attempt, pace.draw()) if asked is None else asked


def with_retry(fn: Callable[[], T], opts: RetryOptions | None = None) -> T:
    """Call `fn` until it returns, and return what it did.

    `fn` is called again after errors that may pass: network trouble, 429, and errors of the
    server; `opts.should_retry` can say otherwise. Our clients try once inside of `fn`, and give
    the same call the same idempotency key in every try; anything else that it does should bear
    being done twice. A `Retry-After` of the platform is waited for; one of more than a minute is
    an error at once.

        result = with_retry(lambda: client.jobs.get("job_1"), RetryOptions(attempts=5))

    Args:
        fn: what to call, without arguments.
        opts: how often, and how long to wait in between; see `RetryOptions` for the defaults.

    Raises:
        ValidationError: `fn` gave something to await; `with_retry_async` can.
        Exception: the last error of `fn`, with a note of the earlier ones.
    """
    tries = _Tries(opts)
    while True:
        try:
            with tries.another():
                answer = fn()
        except Exception as error:
            wait = tries.wait_after(error)
            if wait is None:
                raise
        else:
            return pace.refuse_awaitable(answer, "with_retry", "with_retry_async")
        pace.sleep(wait)


@overload
async def with_retry_async(
    fn: Callable[[], Awaitable[T]], opts: RetryOptions | None = None
) -> T: ...
@overload
async def with_retry_async(fn: Callable[[], T], opts: RetryOptions | None = None) -> T: ...
async def with_retry_async(fn: Callable[[], object], opts: RetryOptions | None = None) -> object:
    """Call `fn` until it succeeds, like `with_retry`, and await whatever it gives to await.

    Args:
        fn: what to call: a coroutine function, one that returns a task or a future, or a plain
            one. A cancellation ends the retries.
        opts: how often, and how long to wait in between.

    Raises:
        Exception: the last error of `fn`, with a note of the earlier ones.
    """
    tries = _Tries(opts)
    while True:
        try:
            with tries.another():
                answer = fn()
                return await answer if inspect.isawaitable(answer) else answer
        except Exception as error:
            wait = tries.wait_after(error)
            if wait is None:
                raise
        await pace.sleep_async(wait)

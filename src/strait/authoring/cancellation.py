"""That an attempt is to end before it has: what tells a handler, and how it may wait to be told.

A handler is told once; the first reason stands. Telling ends nothing: what a handler does with it
is its own affair, and what the host does after a while is in `strait.serve.attempts`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strait.errors import StraitError

# Telling is rare and short, so all attempts of a process share one lock.
_telling = threading.Lock()


class Cancellation:
    """Whether an attempt is to end, and why. Any thread may tell, and any may wait.

    Attributes:
        reason: why; empty until somebody told.
    """

    __slots__ = ("_listeners", "reason")

    def __init__(self) -> None:
        self.reason = ""
        self._listeners: list[Callable[[], object]] = []

    @property
    def told(self) -> bool:
        """Whether somebody told."""
        return bool(self.reason)

    def tell(self, reason: str) -> bool:
        """Tell that the attempt is to end; return whether this was the first time.

        Raises:
            ValueError: there is no reason.
        """
        if not reason:
            raise ValueError("`reason` is empty; say why the attempt is to end")
        with _telling:
            if self.reason:
                return False
            self.reason = reason
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()
        return True

    def listen(self, listener: Callable[[], object]) -> None:
        """Call `listener` once somebody tells, in the thread that does; at once if one has."""
        with _telling:
            if not self.reason:
                self._listeners.append(listener)
                return
        listener()

    def _forget(self, listener: Callable[[], object]) -> None:
        with _telling, suppress(ValueError):
            self._listeners.remove(listener)

    def wait(self, timeout_secs: float | None = None) -> bool:
        """Block until somebody tells; return whether one has within `timeout_secs`."""
        if self.reason:
            return True
        told = threading.Event()
        self.listen(told.set)
        try:
            return told.wait(timeout_secs)
        finally:
            self._forget(told.set)

    async def wait_async(self, timeout_secs: float | None = None) -> bool:
        """Wait until somebody tells; return whether one has within `timeout_secs`."""
        if self.reason:
            return True
        told = asyncio.Event()
        listener = partial(_wake, asyncio.get_running_loop(), told)
        self.listen(listener)
        try:
            async with asyncio.timeout(timeout_secs):
                return await told.wait()
        except TimeoutError:
            return self.told
        finally:
            self._forget(listener)


def _wake(loop: asyncio.AbstractEventLoop, told: asyncio.Event) -> None:
    # A loop that has been closed has nobody who waits.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(told.set)


# The platform's words (`contract/runs.md` §5). Statuses alone would not do: 401 is also what a
# wrong platform answers, and 410 and 409 have other reasons elsewhere.
_OVER = {
    "run has reached a terminal state": "the run has ended",
    "run not found": "the run was deleted",
    "run token attempt is stale": "a later attempt of the run has begun",
    "run token assignment mismatch": "the run was dispatched again",
    "run assignment not found": "the run was dispatched again",
    "run assignment is no longer active": "the run was dispatched again",
    "run is not active for this SDK token": "the run is executed no more",
}


def outlived(error: StraitError) -> str:
    """Return why an attempt may speak for its run no more; empty if an answer says no such thing.

    Args:
        error: what a call with the run's token was answered with.
    """
    if error.status not in (401, 404, 409, 410):
        return ""
    text = str(error)
    return next((reason for words, reason in _OVER.items() if words in text), "")

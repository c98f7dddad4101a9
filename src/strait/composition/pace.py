"""How the helpers of this room tell time and wait; nowhere else do they, so that tests can."""

from __future__ import annotations

import inspect
import random
import time
from typing import TypeVar

from strait.client.pace import sleep as sleep  # noqa: PLC0414 - it is waited by this name here
from strait.client.pace import sleep_async as sleep_async  # noqa: PLC0414 - see above
from strait.errors import ValidationError

T = TypeVar("T")


def now() -> float:
    """Return seconds that only grow."""
    return time.monotonic()


def draw() -> float:
    """Return a random number in [0, 1) for the jitter."""
    return random.random()  # noqa: S311 - it spreads retries and guards nothing


def refuse_awaitable(value: T, helper: str, instead: str) -> T:
    """Return what a function gave to a helper that cannot wait for it.

    Raises:
        ValidationError: it has to be awaited, so that it has not happened yet.
    """
    if not inspect.isawaitable(value):
        return value
    if inspect.iscoroutine(value):
        value.close()
    raise ValidationError(
        f"`{helper}` was given a function whose result must be awaited; use `{instead}`"
    )

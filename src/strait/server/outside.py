"""What a platform touches outside of itself, beside its clock: endpoints, the disk's wait, chance.

A simulation puts others in, and so has all that happens in its hand.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from strait.server.addresses import Reach
from strait.server.outbound import Outbound
from strait.store.connection import Connect
from strait.store.pace import Pace


class MakeOutbound(Protocol):
    """What makes the client that posts to endpoints."""

    def __call__(self, *, max_body_bytes: int, reach: Reach) -> Outbound:
        """Return a client that refuses longer answers, and connects to nothing out of reach."""
        ...


def _ignore(point: str) -> None:
    """Pass a commit point without a look."""


@dataclass(frozen=True, slots=True)
class Outside:
    """The outside of a platform.

    Attributes:
        outbound: makes the clients that post to endpoints.
        executor: where commits wait for the disk; None is a thread of the writer's own.
        pace: says which commits the loop waits for itself; None is as `Writer` has it.
        analysts: where reads run that may take long; None is threads of their own.
        probe: told each commit point that is passed (`strait.store.writer.COMMIT_POINTS`).
        connect: opens connections to the database.
        chance: a number from 0 up to 1, for the spread of retries.
    """

    outbound: MakeOutbound = Outbound
    executor: Executor | None = None
    pace: Pace | None = None
    analysts: Executor | None = None
    probe: Callable[[str], None] = _ignore
    connect: Connect = sqlite3.connect
    chance: Callable[[], float] = random.random

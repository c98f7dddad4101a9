"""Which commits the event loop waits for itself, rather than have a thread wait for the disk."""

from __future__ import annotations

from typing import Protocol

# A commit that the disk takes in less time than this is not worth two changes of threads.
_QUICK_SECS = 0.0005
# Where more operations than this share a commit as a rule, others come while the disk is at work.
_ALONE = 1.2
# How much the newest commit counts in what is usual.
_WEIGHT = 0.1


class Pace(Protocol):
    """Knows how long commits take."""

    def is_quick(self, operations: int) -> bool:
        """Return whether the loop waits itself for a commit that so many operations share."""
        ...

    def took(self, seconds: float, operations: int) -> None:
        """Be told how long the disk took for a commit, and how many operations shared it."""
        ...


class Usual:
    """Expects of the next commit what was usual of late: an average that forgets."""

    def __init__(self) -> None:
        # Nothing is known of the disk as yet.
        self._secs = 1.0
        self._operations = 1.0

    def is_quick(self, operations: int) -> bool:
        """Return whether it is a single operation, as most are, and the disk is quick."""
        return operations == 1 and self._operations < _ALONE and self._secs < _QUICK_SECS

    def took(self, seconds: float, operations: int) -> None:
        """Count a commit in."""
        self._secs += (seconds - self._secs) * _WEIGHT
        self._operations += (operations - self._operations) * _WEIGHT


class Never:
    """Has a thread wait for every commit."""

    def is_quick(self, operations: int) -> bool:
        """Return that it is not."""
        return False

    def took(self, seconds: float, operations: int) -> None:
        """Learn nothing from it."""

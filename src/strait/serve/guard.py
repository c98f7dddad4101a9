"""Who may dispatch to this host: the platform that knows the secret, once for each assignment.

A signature covers the body and its time and nothing else, so two dispatches of one payload within
one second carry the same one. A replay is therefore told by the run and the assignment of its
token, never by the signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from strait.serve.inbound import Headers, assignment_of
from strait.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, TOLERANCE_SECS, rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SIGNATURE = SIGNATURE_HEADER.lower().encode()
_TIMESTAMP = TIMESTAMP_HEADER.lower().encode()
# Two generations of so many hashes are at most some 60 MB, and above 1,600 dispatches a second
# for the whole window before the oldest are forgotten early.
_MOST_IN_GENERATION = 500_000


class ReplayWindow:
    """Remembers dispatches for at least `window_secs`, in two generations.

    Args:
        window_secs: how long a dispatch is remembered, at least.
        now: the clock, in seconds.
    """

    def __init__(self, window_secs: float, now: Callable[[], float]) -> None:
        self._window_secs = window_secs
        self._now = now
        self._young: set[int] = set()
        self._old: set[int] = set()
        self._turn = now() + window_secs

    def seen(self, run_id: bytes, assignment: str) -> bool:
        """Say whether this dispatch came before, and remember it."""
        if self._now() >= self._turn or len(self._young) >= _MOST_IN_GENERATION:
            self._old, self._young = self._young, set()
            self._turn = self._now() + self._window_secs
        # The hash is keyed anew in every process, and 64 bits of it are enough: among a million
        # dispatches, two that are not the same share one with a chance of 1 in 10**7.
        key = hash((run_id, assignment))
        if key in self._young or key in self._old:
            return True
        self._young.add(key)
        return False


class Guard:
    """Checks signature, freshness and replays of what comes in.

    Args:
        now: the clock, in unix seconds.
        tolerance_secs: how far a signature's time may be from it.
    """

    def __init__(self, now: Callable[[], float], tolerance_secs: int = TOLERANCE_SECS) -> None:
        self._now = now
        self._tolerance_secs = tolerance_secs
        # A signature is good for the tolerance before its time and after it.
        self._replays = ReplayWindow(2 * tolerance_secs, now)

    def refusal(self, headers: Headers, body: bytes, secrets: Sequence[str]) -> str:
        """Return why a request is not taken for one of the platform's; empty if it is."""
        return rejection(
            secrets,
            headers.get(_TIMESTAMP, b"").decode("latin-1"),
            headers.get(_SIGNATURE, b"").decode("latin-1"),
            body,
            now=self._now(),
            tolerance_secs=self._tolerance_secs,
        )

    def is_replay(self, headers: Headers) -> bool:
        """Say whether this assignment of this run was dispatched here before."""
        assignment = assignment_of(headers)
        # Platforms that assign nothing dispatch one attempt more than once for good reasons.
        return bool(assignment) and self._replays.seen(headers.get(b"x-run-id", b""), assignment)

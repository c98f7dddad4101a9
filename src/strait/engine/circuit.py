"""When an endpoint that keeps failing is left alone (`contract/runs.md` §4.4)."""

from __future__ import annotations

from dataclasses import dataclass

from strait.clock import SECOND

FAILURES_TO_OPEN = 5
OPEN_SECS = 60


@dataclass(slots=True)
class Circuit:
    """The health of one endpoint, as the server that runs now has seen it.

    Five failures in a row open it for a minute. After that one call is let through: its success
    closes the circuit, its failure opens it again.
    """

    failures: int = 0
    open_until: int = 0
    probing: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether calls may go out, all of them."""
        return not self.open_until

    def admit(self, now: int) -> bool:
        """Return whether a call may go out now; if not, ask again at `open_until`."""
        if not self.open_until:
            return True
        if now < self.open_until or self.probing:
            return False
        self.probing = True
        return True

    def succeeded(self) -> None:
        """Count an answer of the endpoint that shows it is up."""
        self.failures = 0
        self.open_until = 0
        self.probing = False

    def failed(self, now: int) -> None:
        """Count a failure of the endpoint."""
        self.failures += 1
        self.probing = False
        if self.failures >= FAILURES_TO_OPEN:
            self.open_until = now + OPEN_SECS * SECOND

    def cancelled(self) -> None:
        """Take note that a call ended without telling anything of the endpoint."""
        self.probing = False

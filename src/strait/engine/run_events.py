"""What a run is to the engine, what can happen to it, and what comes of it.

The events say what has happened in the words of the domain; what they do to a run is decided in
`strait.engine.runs`, which is where callers import all of this from.
"""

from __future__ import annotations

from msgspec import Struct

from strait.engine import outcomes
from strait.engine.entries import Entry
from strait.engine.model import Job, Run
from strait.fsm import is_terminal_run_status


class State(Struct, frozen=True):
    """A run as it is stored.

    Attributes:
        run: the record.
        assignment: the id of the dispatch that may write for the run, "" before the first.
        deadline_at: when the present attempt times out, "" while there is none.
        ttl_secs: how long it may wait to be dispatched each time it is queued; 0 where the caller
            set an explicit bound, which counts until the run is dispatched for the first time.
    """

    run: Run
    assignment: str = ""
    deadline_at: str = ""
    ttl_secs: int = 0


class Transition(Struct, frozen=True):
    """What a run becomes, and what follows.

    Attributes:
        state: the next state.
        entries: lines for the ledger.
        result: JSON text of the result, or None where it stays as it is.
        abort: the call that is under way no longer matters.
    """

    state: State
    entries: tuple[Entry, ...]
    result: str | None = None
    abort: bool = False

    @property
    def run(self) -> Run:
        """The next record."""
        return self.state.run

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return is_terminal_run_status(self.state.run.status)


# ---------------------------------------------------------------------------------------- events


class Dispatched(Struct, frozen=True):
    """The run is sent to its handler, under a new assignment and until a deadline."""

    assignment: str
    timeout_secs: int
    message: str = ""


class Answered(Struct, frozen=True):
    """The handler's answer to the dispatch `assignment` is in; `rand` spreads the retry."""

    assignment: str
    outcome: outcomes.Succeeded | outcomes.Erred
    job: Job
    rand: float


class TimedOut(Struct, frozen=True):
    """The deadline of the dispatch `assignment` has passed."""

    assignment: str
    job: Job
    rand: float


class Completed(Struct, frozen=True):
    """The handler said through the SDK plane that it is done."""

    result: str | None


class Failed(Struct, frozen=True):
    """The handler said through the SDK plane that it failed, which is final."""

    error: str


class Suspended(Struct, frozen=True):
    """The run now waits: for an event, for its children, or until an instant ("" is for ever)."""

    reason: str
    wake_at: str = ""


class Woken(Struct, frozen=True):
    """What the run waited for is there; it may start from an instant on (0 is at once)."""

    reason: str
    not_before: int = 0


class WaitTimedOut(Struct, frozen=True):
    """What the run waited for did not come in time."""

    error: str = "event trigger timed out"


class Due(Struct, frozen=True):
    """The instant of a delayed run has come."""


class Expired(Struct, frozen=True):
    """The run was not dispatched before its `expires_at`."""


class Snoozed(Struct, frozen=True):
    """The endpoint is left alone until an instant; this takes nothing from `max_attempts`.

    `counts` is false while the endpoint is being tried: that wait is none of the run's doing.
    """

    until: int
    error: str
    counts: bool = True


class Canceled(Struct, frozen=True):
    """Somebody, or the end of its parent, canceled the run."""

    error: str


class Paused(Struct, frozen=True):
    """Hold the run; what its handler still answers is dropped."""


class Resumed(Struct, frozen=True):
    """Let a held run go on, from the start of its attempt."""


class Restarted(Struct, frozen=True):
    """Dispatch the same attempt again."""


class Recovered(Struct, frozen=True):
    """The server that dispatched the run is gone, or its connection was."""

    reason: str


class Replayed(Struct, frozen=True):
    """Take the run out of the dead letters, from attempt 1; it may start from an instant on."""

    expires_at: str
    not_before: int = 0


class Rescheduled(Struct, frozen=True):
    """Move the instant of a run that was not dispatched yet."""

    at: int


Event = (
    Dispatched
    | Answered
    | TimedOut
    | Completed
    | Failed
    | Suspended
    | Woken
    | WaitTimedOut
    | Due
    | Expired
    | Snoozed
    | Canceled
    | Paused
    | Resumed
    | Restarted
    | Recovered
    | Replayed
    | Rescheduled
)

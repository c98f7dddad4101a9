"""What can happen to a workflow run."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UNSET, Struct, UnsetType

from strait.engine.model import Json


class JobEnded(Struct, frozen=True):
    """The job run of a step is over.

    Attributes:
        status: the job run's status.
        output: its result; `UNSET` when it has none.
    """

    ref: str
    job_run_id: str
    status: str
    output: Json | UnsetType = UNSET
    error: str = ""


class ChildEnded(Struct, frozen=True):
    """The workflow run that a sub-workflow step has started is over."""

    ref: str
    workflow_id: str
    status: str
    outputs: dict[str, Json]
    error: str = ""


class EventReceived(Struct, frozen=True):
    """The event that a step waits for is there.

    For an approval step this is an approval in the name of the sender.
    """

    ref: str
    payload: Json | UnsetType = UNSET
    sent_by: str = ""


class EventTimedOut(Struct, frozen=True):
    """The event that a step waits for did not come in time."""

    ref: str


class EventCanceled(Struct, frozen=True):
    """Somebody canceled the wait of a step."""

    ref: str
    error: str = "event trigger canceled by user"


class SleepElapsed(Struct, frozen=True):
    """The sleep of a step is over."""

    ref: str


class Approved(Struct, frozen=True):
    """An actor approves a step; `person` is a name for people to read."""

    ref: str
    approver: str
    person: str = ""


class Rejected(Struct, frozen=True):
    """An actor rejects a step, which fails with the reason."""

    ref: str
    approver: str
    reason: str
    person: str = ""


class ApprovalTimedOut(Struct, frozen=True):
    """Nobody approved a step in time."""

    ref: str


class StartFailed(Struct, frozen=True):
    """The shell could not carry out the effect that starts a step."""

    ref: str
    error: str


class Pause(Struct, frozen=True):
    """Start nothing more until `Resume`."""


class Resume(Struct, frozen=True):
    """Go on after `Pause`."""


class Cancel(Struct, frozen=True):
    """Cancel the run and all that it has under way.

    Attributes:
        error: the run's error.
        step_error: the error of its steps and their job runs.
    """

    error: str = "canceled by user"
    step_error: str = "workflow canceled by user"


class TimedOut(Struct, frozen=True):
    """The instant `expires_at` of the run has come."""


class SkipStep(Struct, frozen=True):
    """Count a step that has not begun, or that waits, as done without an output."""

    ref: str
    reason: str = ""
    actor: str = ""


class ForceComplete(Struct, frozen=True):
    """Complete a step that has not begun, or that waits, with a given output."""

    ref: str
    result: Json | UnsetType = UNSET
    actor: str = ""


class RetryStep(Struct, frozen=True):
    """Do a step again that has ended, and what was left undone because of it.

    Attributes:
        timeout_secs: how long the run may take from now on if it was over; 0 is without limit.
    """

    ref: str
    timeout_secs: int = 0


class ReplaySubtree(Struct, frozen=True):
    """Do a step that has ended and all that depends on it again.

    Attributes:
        timeout_secs: how long the run may take from now on if it was over; 0 is without limit.
    """

    ref: str
    timeout_secs: int = 0


class Recheck(Struct, frozen=True):
    """Start what can start; after a restart of the server, or when a run seems to be stuck."""


class Compensate(Struct, frozen=True):
    """Undo the completed steps of a run that failed, in reverse order."""

    reason: str = "compensation triggered manually"


class CompensationEnded(Struct, frozen=True):
    """The job run that undoes a step is over."""

    ref: str
    status: str
    error: str = ""


Event: TypeAlias = (
    JobEnded
    | ChildEnded
    | EventReceived
    | EventTimedOut
    | EventCanceled
    | SleepElapsed
    | Approved
    | ApprovalTimedOut
    | Rejected
    | StartFailed
    | Pause
    | Resume
    | Cancel
    | TimedOut
    | SkipStep
    | ForceComplete
    | RetryStep
    | ReplaySubtree
    | Recheck
    | Compensate
    | CompensationEnded
)

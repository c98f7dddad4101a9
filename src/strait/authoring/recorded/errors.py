"""What durable steps raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from strait.errors import NonRetryable, StraitError

MAX_VALUE_BYTES = 65_536
"""The largest value of a state key, which is where a step is recorded."""


class StepMismatch(NonRetryable):
    """A recorded step was asked with other arguments than those it was recorded for.

    The code has changed under the run, or what it hands to the step is not the same every time:
    the order of a set, the time, a random number. The run fails, since what is recorded is the
    result of something else.

    Attributes:
        step: the name of the step.
        occurrence: which step of the name, from 0.
        at: the file and line that asked.
        recorded_at: the file and line that asked when it was recorded.
        asked: the positional and keyword arguments of now. They may hold secrets, so that they
            are in no text.
        differs: which of them, in words; empty if that is not on record.
    """

    def __init__(
        self,
        step: str,
        occurrence: int,
        at: str,
        recorded_at: str,
        asked: tuple[Sequence[object], Mapping[str, object]] = ((), {}),
        differs: str = "",
    ) -> None:
        self.step = step
        self.occurrence = occurrence
        self.at = at
        self.recorded_at = recorded_at
        self.asked = asked
        self.differs = differs
        which = f"step `{step}`" + (f" (occurrence {occurrence})" if occurrence else "")
        told = f": {differs}" if differs else ""
        super().__init__(
            f"{which} at {at} is asked with other arguments than those it is recorded for "
            f"(at {recorded_at}){told}; use the arguments of then, another name, or `ctx.version`"
        )


class StepFailed(NonRetryable):
    """A step had failed for good, and its failure is recorded; it is not tried again.

    Attributes:
        step: the name of the step.
        kind: the name of the type of what it raised.
    """

    def __init__(self, step: str, kind: str, message: str) -> None:
        self.step = step
        self.kind = kind
        super().__init__(f"step `{step}` failed: {kind}: {message}")


class StepTimeout(TimeoutError):  # noqa: N818 - as its base
    """A step took longer than its `timeout_secs`."""


class StepValueTooLarge(NonRetryable):
    """The result of a step is larger than what a platform keeps of one.

    Attributes:
        step: the name of the step.
        size: the size of its record in bytes.
        limit: the largest that there may be.
    """

    def __init__(self, step: str, size: int, limit: int = MAX_VALUE_BYTES) -> None:
        self.step = step
        self.size = size
        self.limit = limit
        super().__init__(
            f"the result of step `{step}` makes a record of {size} bytes, and a platform keeps "
            f"{limit}; return less, or where it is, or give the job a blob store (`blobs=`)"
        )


class EventTimeout(StraitError):  # noqa: N818 - as in `asyncio`, it is an outcome
    """An event did not come within `timeout`; the run goes on.

    Attributes:
        event_key: the key of the event.
    """

    def __init__(self, event_key: str) -> None:
        self.event_key = event_key
        super().__init__(f"no event `{event_key}` came in time")


class ChildFailed(StraitError):  # noqa: N818 - it is an outcome of the child
    """A child run that was waited for did not complete.

    Attributes:
        run_id: the child.
        run_status: how it ended.
        error: why, as its run says; empty if that is not known.
    """

    def __init__(self, run_id: str, run_status: str, error: str) -> None:
        self.run_id = run_id
        self.run_status = run_status
        self.error = error
        super().__init__(f"child run {run_id} is {run_status}" + (f": {error}" if error else ""))

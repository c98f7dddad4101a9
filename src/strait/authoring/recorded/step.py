"""One step: found on record, or carried out and recorded before its result is given.

The course of a step is written once, as a generator that yields what is to be done; `carrying` does
it, for handlers that are `async` and for plain ones.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from strait.authoring.flow import Call
from strait.authoring.logs import error_text
from strait.authoring.recorded.arguments import differing, fingerprint, marks, shown
from strait.authoring.recorded.errors import StepFailed, StepMismatch
from strait.authoring.recorded.journal import Journal, Place, Record
from strait.authoring.recorded.values import BlobStore, Codec, given_back, kept
from strait.authoring.typed import step_type
from strait.authoring.validation import Checks, DefinitionError
from strait.clock import to_timestamp
from strait.errors import NonRetryable, RetryAfter
from strait.reserved import step_key
from strait.retry import RetryOptions

if TYPE_CHECKING:
    from strait.errors import Json

_ONCE = RetryOptions(attempts=1)


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How a step is carried out.

    Attributes:
        retry: how often it is tried within one attempt of the run; once by default. Without a
            `should_retry` every error is tried again but `NonRetryable`.
        timeout_secs: the longest that one try may take; no limit by default. Plain functions of
            plain handlers cannot be stopped: their late result is not taken.
        undo: called with the result of the step when the run fails for good.
        redact: paths in its result, such as `card.number`, that are shown to nobody.
        codec: seals its result, instead of the codec of the job.
    """

    retry: RetryOptions | None = None
    timeout_secs: float | None = None
    undo: Callable[[Any], object] | None = None
    redact: Sequence[str] = ()
    codec: Codec | None = None

    def over(self, others: StepOptions) -> StepOptions:
        """Return these options, with others where these say nothing."""
        return StepOptions(
            self.retry or others.retry,
            others.timeout_secs if self.timeout_secs is None else self.timeout_secs,
            self.undo or others.undo,
            self.redact or others.redact,
            self.codec or others.codec,
        )

    def __post_init__(self) -> None:
        checks = Checks("step")
        secs = self.timeout_secs
        is_number = isinstance(secs, int | float) and not isinstance(secs, bool)
        if secs is not None and not (is_number and secs > 0):
            raise checks.refuse(f"`timeout_secs` must be above 0, not {self.timeout_secs!r}")
        if isinstance(self.redact, str):
            raise checks.refuse("`redact` must be a list of paths, not one text")


@dataclass(frozen=True, slots=True)
class CurrentStep:
    """The step that runs now.

    Attributes:
        run_id: the run.
        name: its name.
        occurrence: which of that name, from 0.
        attempt: which try of the step this is, from 1.
        idempotency_key: the same in every attempt of the run, for what the step calls.
    """

    run_id: str
    name: str
    occurrence: int
    attempt: int
    idempotency_key: str


_current: ContextVar[CurrentStep | None] = ContextVar("strait_step", default=None)
_watcher: ContextVar[Callable[[CurrentStep], None] | None] = ContextVar(
    "strait_step_watcher", default=None
)


@contextmanager
def watching(watcher: Callable[[CurrentStep], None]) -> Iterator[None]:
    """Tell somebody of each step whose function is about to be called, for the crash harness."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def current_step() -> CurrentStep:
    """Return the step that runs now.

    Raises:
        RuntimeError: none does.
    """
    found = _current.get()
    if found is None:
        raise RuntimeError("no step runs here; call this inside of a function given to `ctx.step`")
    return found


@contextmanager
def current(step: CurrentStep) -> Iterator[None]:
    """Have this be the step that runs now."""
    token = _current.set(step)
    try:
        yield
    finally:
        _current.reset(token)


def running() -> CurrentStep | None:
    """Return the step that runs now; None if none does."""
    return _current.get()


def check_no_step(what: str) -> None:
    """Check that no step runs here, because the attempt may end: the step would be done again.

    Args:
        what: what may end it, `sleep` for example.

    Raises:
        DefinitionError: one does.
    """
    if (outer := running()) is not None:
        raise Checks(what).refuse(
            f"it is called inside of step `{outer.name}`; a step cannot wait, since what it did "
            "before would be done again; wait beside it"
        )


@dataclass(frozen=True, slots=True)
class Execute:
    """Call the function of the step; it gets the answer, or has the error thrown in."""

    step: CurrentStep
    timeout_secs: float | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next try."""

    secs: float


@dataclass(frozen=True, slots=True)
class Seal:
    """Do what may take a while and awaits nothing: seal a value, or put it where there is room."""

    call: Callable[[], object]


Course: TypeAlias = Generator[Call | Execute | Pause | Seal, Any, object]


@dataclass(slots=True)
class Undoable:
    """A step that is to be undone if its run fails for good."""

    place: Place
    undo: Callable[[Any], object]
    result: object
    idempotency_key: str
    # Of the step: what its result hides, what it is undone with hides, too.
    redact: Sequence[str] = ()
    codec: Codec | None = None


@dataclass(slots=True)
class Ledger:
    """What the steps of one attempt share.

    Attributes:
        journal: the records.
        run_id: the run.
        codec: seals results, unless a step has another.
        blobs: keeps results that are too large.
        secrets: texts that are in no record of what a step was asked with.
        undoable: the steps that were undone last to first if the run failed now.
        only_recorded: whether nothing may be carried out any more that is not on record.
        beyond: of a replay in a test: asked about what is not on record, to raise or to let it be.
    """

    journal: Journal
    run_id: str
    codec: Codec | None = None
    blobs: BlobStore | None = None
    secrets: Collection[str] = ()
    undoable: list[Undoable] = field(default_factory=list)
    only_recorded: bool = False
    beyond: Callable[[Beyond], None] | None = None

    @property
    def is_replay(self) -> bool:
        """Whether what is on record counts, and not what could be done."""
        return self.only_recorded or self.beyond is not None

    def knows_all_undos(self) -> bool:
        """Say whether the handler has come to all steps on record that are to be undone."""
        found = {(item.place.name, item.place.occurrence) for item in self.undoable}
        return all(place in found for place in self.journal.undoable())

    def must_be_recorded(self, kind: str, name: str, at: str = "") -> None:
        """End a replay at what is not on record.

        Args:
            kind: `step`, `sleep`, `event`, `child` or `wait`.
            name: which one.
            at: the file and line that asked, if that is known.

        Raises:
            NothingRecorded: this is a replay.
        """
        if self.only_recorded:
            raise NothingRecorded(Beyond(kind, name, at))
        if self.beyond is not None:
            self.beyond(Beyond(kind, name, at))


@dataclass(frozen=True, slots=True)
class Beyond:
    """Something that a replay asks for and that is not on record; see `must_be_recorded`."""

    kind: str
    name: str
    at: str = ""

    def __str__(self) -> str:
        return f"{self.kind} `{self.name}`" + (f" at {self.at}" if self.at else "")


class NothingRecorded(BaseException):
    """Ends a replay at the first thing that is not on record, or when no more need be found.

    It is no `Exception`, so that no handler takes it for a failure of its own.

    Attributes:
        beyond: what that is.
    """

    def __init__(self, beyond: Beyond) -> None:
        self.beyond = beyond
        super().__init__(f"{beyond} is not on record")


def course(
    ledger: Ledger,
    place: Place,
    function: Callable[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    options: StepOptions,
) -> Course:
    """Return the result of a step, from its record or from its function.

    Raises:
        StepMismatch: it is on record for other arguments.
        StepFailed: it is on record as failed.
        StepValueTooLarge: its result cannot be kept.
    """
    asked = fingerprint(args, kwargs)
    record = yield from ledger.journal.find(place)
    if record is not None:
        if record.fingerprint != asked:
            differs = differing(record.arguments or {}, marks(args, kwargs))
            given = (args, kwargs)
            raise StepMismatch(place.name, place.occurrence, place.at, record.at, given, differs)
        return (yield from _replayed(ledger, place, record, function, options))
    ledger.must_be_recorded("step", place.name, place.at)
    started_at = _now()
    attempts = 0
    while True:
        attempts += 1
        step = CurrentStep(
            ledger.run_id, place.name, place.occurrence, attempts, place.idempotency_key
        )
        if (watcher := _watcher.get()) is not None:
            watcher(step)
        try:
            value = yield Execute(step, options.timeout_secs)
            break
        except Exception as error:
            wait_secs = _wait_secs(options.retry or _ONCE, error, attempts)
            if wait_secs is None:
                if isinstance(error, NonRetryable):
                    hidden = bool(options.codec or ledger.codec or options.redact)
                    told = _told(error, hidden=hidden)
                    yield from _keep_failure(ledger, place, asked, told, started_at, attempts)
                raise
            yield Pause(wait_secs)
    codec = options.codec or ledger.codec
    key = step_key(place.name, place.occurrence)
    try:
        value = _as_annotated(place.name, function, value)
        keep = partial(kept, place.name, key, value, codec, ledger.blobs)
        may_take_long = codec is not None or ledger.blobs is not None
        stored, given = (yield Seal(keep)) if may_take_long else keep()
    except NonRetryable as error:
        # It was done, and is not to be done again only because nobody can keep what came of it.
        yield from _keep_failure(
            ledger, place, asked, _told(error, hidden=False), started_at, attempts
        )
        raise
    is_secret = codec is not None or bool(options.redact)
    record = Record(
        place.name,
        place.occurrence,
        asked,
        "completed",
        started_at,
        _now(),
        attempts,
        place.at,
        place.idempotency_key,
        output=stored,
        undo=options.undo is not None,
        redact=tuple(options.redact),
        codec=codec.name if codec is not None else "",
        # A digest so short of one value would tell it to whoever can guess.
        arguments=None if is_secret else marks(args, kwargs),
        input=None if is_secret else shown(args, kwargs, ledger.secrets),
    )
    yield from ledger.journal.keep(place, record)
    return _result(ledger, place, record, given, function, options)


def _replayed(
    ledger: Ledger,
    place: Place,
    record: Record,
    function: Callable[..., object],
    options: StepOptions,
) -> Course:
    if record.error is not None:
        raise StepFailed(place.name, record.error["type"], record.error["message"])
    codec = options.codec or ledger.codec
    read = partial(given_back, place.name, record.output, record.codec, codec, ledger.blobs)
    may_take_long = bool(record.codec) or ledger.blobs is not None
    given = (yield Seal(read)) if may_take_long else read()
    return _result(ledger, place, record, given, function, options)


def _as_annotated(step: str, function: Callable[..., object], value: object) -> object:
    """Return what a function returned as JSON, if its annotation says how.

    Raises:
        NonRetryable: it does not go with what the annotation says.
    """
    returned = step_type(function)
    if returned is None:
        return value
    try:
        return returned.dump(value)
    except (TypeError, ValueError) as error:
        raise NonRetryable(f"the result of step `{step}` cannot be recorded: {error}") from None


def _result(
    ledger: Ledger,
    place: Place,
    record: Record,
    given: Json,
    function: Callable[..., object],
    options: StepOptions,
) -> object:
    """Return what every attempt gets: what is on record, as the function's annotation says."""
    returned = step_type(function)
    result = given if returned is None else returned.load(given, f"the record of `{place.name}`")
    if options.undo is not None:
        key = record.idempotency_key
        undoable = Undoable(place, options.undo, result, key, options.redact, options.codec)
        ledger.undoable.append(undoable)
        if ledger.only_recorded and ledger.knows_all_undos():
            # What the handler does outside of steps from here on must not keep them from it: it may
            # be what the run failed of.
            raise NothingRecorded(Beyond("step", place.name, place.at))
    return result


def _keep_failure(
    ledger: Ledger, place: Place, asked: str, told: dict[str, str], started_at: str, attempts: int
) -> Generator[Call, Any, None]:
    record = Record(
        place.name,
        place.occurrence,
        asked,
        "failed",
        started_at,
        _now(),
        attempts,
        place.at,
        place.idempotency_key,
        error=told,
    )
    yield from ledger.journal.keep(place, record)


def _told(error: Exception, *, hidden: bool) -> dict[str, str]:
    """Return what is on record of an error; of a step with secrets, nothing that may hold one."""
    message = (
        "its message is not kept, as its results are not" if hidden else error_text(error)[:4_000]
    )
    return {"type": type(error).__name__, "message": message}


def _wait_secs(retry: RetryOptions, error: Exception, attempt: int) -> float | None:
    """Return how long to wait before the next try; None if there is none."""
    if isinstance(error, NonRetryable | DefinitionError) or attempt >= retry.attempts:
        return None
    if retry.should_retry is not None and not retry.should_retry(error, attempt, retry.attempts):
        return None
    if isinstance(error, RetryAfter):
        return error.secs
    return retry.delay_secs(attempt, random.random())  # noqa: S311 - it spreads waits


def _now() -> str:
    return to_timestamp(time.time_ns() // 1_000)

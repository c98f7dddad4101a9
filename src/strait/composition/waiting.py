"""`wait_for_run` and `trigger_and_wait`: look at a run again and again until it has ended.

The statuses that count as ends are those of the state machines in `strait.fsm`, of runs, of
workflow runs and of steps together: none of them is an end here and a stage there.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, overload

from strait.composition import pace
from strait.errors import Json, RunNotStartedError, StraitError, StraitTimeoutError, ValidationError
from strait.fsm import (
    TERMINAL_RUN_STATUSES,
    TERMINAL_STEP_RUN_STATUSES,
    TERMINAL_WORKFLOW_RUN_STATUSES,
)
from strait.retry import backoff_secs, is_retryable

T = TypeVar("T")
TInput = TypeVar("TInput")
TTriggered = TypeVar("TTriggered")
TRun = TypeVar("TRun")

_ENDS: frozenset[str] = (
    TERMINAL_RUN_STATUSES | TERMINAL_WORKFLOW_RUN_STATUSES | TERMINAL_STEP_RUN_STATUSES
)
# A delay that begins at nothing would never grow.
_SHORTEST_DELAY_MS = 1


def _has_ended(status: str) -> bool:
    return status in _ENDS


@dataclass(frozen=True, slots=True)
class WaitForRunOptions:
    """How long a run is waited for, and how often it is looked at.

    Attributes:
        timeout_ms: milliseconds to wait in all; 0 looks once.
        initial_delay_ms: milliseconds between the first look and the second.
        max_delay_ms: the longest time between two looks, in milliseconds.
        factor: what every further delay is multiplied by.
        is_terminal: says whether a status is an end. By default those of runs, of workflow runs
            and of steps are.

    Raises:
        ValidationError: a value is out of range.
    """

    timeout_ms: int = 60_000
    initial_delay_ms: int = 500
    max_delay_ms: int = 10_000
    factor: float = 1.5
    is_terminal: Callable[[str], bool] | None = None

    def __post_init__(self) -> None:
        numbers = {
            "timeout_ms": (self.timeout_ms, 0),
            "initial_delay_ms": (self.initial_delay_ms, 0),
            "max_delay_ms": (self.max_delay_ms, _SHORTEST_DELAY_MS),
            "factor": (self.factor, 1),
        }
        issues = [
            f"`{name}` must be a number of at least {least}, not {value!r}"
            for name, (value, least) in numbers.items()
            if not least <= value < float("inf")
        ]
        if issues:
            raise ValidationError("; ".join(issues), issues)


class _Watch:
    """The looks at one run: whether one was the last, and when the next is.

    Args:
        run_id: the run.
        opts: how long, and how often.
    """

    def __init__(self, run_id: str, opts: WaitForRunOptions | None) -> None:
        if not run_id:
            raise ValidationError("`run_id` is empty; give the id of the run to wait for")
        self._opts = opts or WaitForRunOptions()
        self._run_id = run_id
        self._started = pace.now()
        self._looks = 0
        self._trouble: Exception | None = None
        self._asked = 0.0
        self._ended = self._opts.is_terminal or _has_ended

    def shows_end(self, status: str) -> bool:
        """Tell whether a look showed that the run has ended."""
        self._trouble, self._asked = None, 0.0
        return self._ended(status)

    def bears(self, error: Exception) -> bool:
        """Tell whether a look that failed may be followed by another."""
        self._trouble = error
        self._asked = (isinstance(error, StraitError) and error.retry_after) or 0.0
        return is_retryable(error)

    def delay(self) -> float:
        """Return the seconds until the next look; the last one is at the deadline.

        Raises:
            StraitTimeoutError: the deadline has passed.
        """
        elapsed = pace.now() - self._started
        left = self._opts.timeout_ms / 1000 - elapsed
        if left <= 0:
            raise StraitTimeoutError(
                f"run `{self._run_id}` did not end within {self._opts.timeout_ms} ms",
                self._run_id,
                round(elapsed * 1000),
            ) from self._trouble
        self._looks += 1
        wait = backoff_secs(
            self._looks,
            initial=max(self._opts.initial_delay_ms, _SHORTEST_DELAY_MS) / 1000,
            factor=self._opts.factor,
            cap=self._opts.max_delay_ms / 1000,
        )
        return min(left, max(wait, self._asked))


def wait_for_run(
    get_run: Callable[[str], T],
    get_status: Callable[[T], str],
    run_id: str,
    opts: WaitForRunOptions | None = None,
) -> T:
    """Look at a run until it has ended, and return it.

        run = wait_for_run(client.runs.get, lambda run: run.status, "run_1")

    A look that fails for reasons that may pass (network trouble, 429, errors of the server) is
    made again until the time is up. A look itself takes as long as the client lets it.

    Args:
        get_run: returns the run of an id.
        get_status: returns the status of a run.
        run_id: the run.
        opts: how long to wait and how often to look; a minute by default.

    Returns:
        What the last `get_run` returned. The run may have failed; its status says so.

    Raises:
        StraitTimeoutError: it has not ended in time.
        ValidationError: `get_run` gave something to await; `wait_for_run_async` can.
    """
    watch = _Watch(run_id, opts)
    while True:
        try:
            answer = get_run(run_id)
        except Exception as error:
            if not watch.bears(error):
                raise
        else:
            run = pace.refuse_awaitable(answer, "wait_for_run", "wait_for_run_async")
            if watch.shows_end(get_status(run)):
                return run
        pace.sleep(watch.delay())


@overload
async def wait_for_run_async(
    get_run: Callable[[str], Awaitable[T]],
    get_status: Callable[[T], str],
    run_id: str,
    opts: WaitForRunOptions | None = None,
) -> T: ...
@overload
async def wait_for_run_async(
    get_run: Callable[[str], T],
    get_status: Callable[[T], str],
    run_id: str,
    opts: WaitForRunOptions | None = None,
) -> T: ...
async def wait_for_run_async(
    get_run: Callable[[str], Json],
    get_status: Callable[[Json], str],
    run_id: str,
    opts: WaitForRunOptions | None = None,
) -> object:
    """Look at a run until it has ended, like `wait_for_run`.

    `get_run` may return the run, or anything that can be awaited for it.
    """
    watch = _Watch(run_id, opts)
    while True:
        try:
            run = get_run(run_id)
            if inspect.isawaitable(run):
                run = await run
        except Exception as error:
            if not watch.bears(error):
                raise
        else:
            if watch.shows_end(get_status(run)):
                return run
        await pace.sleep_async(watch.delay())


def trigger_and_wait(
    trigger_fn: Callable[[TInput], TTriggered],
    get_run: Callable[[str], TRun],
    get_id: Callable[[TTriggered], str | None],
    get_status: Callable[[TRun], str],
    input: TInput,
    opts: WaitForRunOptions | None = None,
) -> TRun:
    """Start a run, look at it until it has ended, and return it.

    The trigger is called once: its retries are those of the client, which know whether they are
    safe. The time of `opts` begins when it has answered.

    Args:
        trigger_fn: starts the run; it is given `input`.
        get_run: returns the run of an id.
        get_id: returns the id of the run from what the trigger answered.
        get_status: returns the status of a run.
        input: what `trigger_fn` gets.
        opts: how long to wait and how often to look.

    Raises:
        RunNotStartedError: the trigger was debounced, buffered for a batch, or a dry run.
        StraitTimeoutError: the run has not ended in time.
    """
    answer = trigger_fn(input)
    triggered = pace.refuse_awaitable(answer, "trigger_and_wait", "trigger_and_wait_async")
    return wait_for_run(get_run, get_status, _id_of(triggered, get_id), opts)


@overload
async def trigger_and_wait_async(
    trigger_fn: Callable[[TInput], Awaitable[TTriggered]],
    get_run: Callable[[str], Awaitable[TRun]],
    get_id: Callable[[TTriggered], str | None],
    get_status: Callable[[TRun], str],
    input: TInput,
    opts: WaitForRunOptions | None = None,
) -> TRun: ...
@overload
async def trigger_and_wait_async(
    trigger_fn: Callable[[TInput], TTriggered],
    get_run: Callable[[str], TRun],
    get_id: Callable[[TTriggered], str | None],
    get_status: Callable[[TRun], str],
    input: TInput,
    opts: WaitForRunOptions | None = None,
) -> TRun: ...
async def trigger_and_wait_async(
    trigger_fn: Callable[[TInput], Json],
    get_run: Callable[[str], Json],
    get_id: Callable[[Json], str | None],
    get_status: Callable[[Json], str],
    input: TInput,
    opts: WaitForRunOptions | None = None,
) -> object:
    """Start a run and wait for it, like `trigger_and_wait`.

    `trigger_fn` and `get_run` may return their results, or anything that can be awaited for them.
    """
    triggered = trigger_fn(input)
    if inspect.isawaitable(triggered):
        triggered = await triggered
    run: object = await wait_for_run_async(get_run, get_status, _id_of(triggered, get_id), opts)
    return run


def _id_of(triggered: T, get_id: Callable[[T], str | None]) -> str:
    """Return the id of the run that a trigger started.

    Raises:
        RunNotStartedError: it started none.
    """
    try:
        run_id = get_id(triggered)
    except (LookupError, AttributeError, TypeError) as error:
        raise _not_started(triggered) from error
    if not run_id:
        raise _not_started(triggered)
    return run_id


def _not_started(triggered: object) -> RunNotStartedError:
    fields = _plain(triggered)
    if fields.get("debounced"):
        why = f"it was debounced until {fields.get('fire_at')}"
    elif fields.get("buffered") or fields.get("batch"):
        why = "it was buffered for a batch"
    else:
        why = f"it answered {triggered!r}, which has no id"
    return RunNotStartedError(f"the trigger started no run to wait for: {why}", fields or triggered)


def _plain(answer: object) -> Mapping[str, Json]:
    dump = getattr(answer, "to_dict", None)
    fields = dump() if dump is not None else answer
    return dict(fields) if isinstance(fields, Mapping) else {}

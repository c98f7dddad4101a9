"""Flows that wait: for the end of a run, and for something to exist that a call is for.

A run is followed by its stream, which tells of the end at once. Where there is no stream, or it
cannot be opened, the run is looked at again and again, at growing distances.
"""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from strait.client.effects import Close, Flow, Read, Request, Sleep
from strait.client.flows import authorized, call
from strait.client.operation import Operation, RequestOptions, Tracked
from strait.client.plain import plain
from strait.client.settings import merged, merged_stream
from strait.client.sse import EventParser
from strait.client.streams import IDLE_SECS
from strait.client.tracing import told_once
from strait.errors import (
    Json,
    NotFoundError,
    StraitError,
    StraitTimeoutError,
    ValidationError,
)
from strait.retry import backoff_secs, is_retryable

if TYPE_CHECKING:
    from strait.client.settings import Settings

T = TypeVar("T")

_FIRST_LOOK_SECS = 0.5
_FACTOR = 1.5
_LONGEST_LOOK_SECS = 10.0
_LAST_LOOK_SECS = 2.0
_SPREAD = 0.2
_FIRST_TRY_SECS = 0.1
_LONGEST_TRY_SECS = 2.0
_SHORTEST_STREAM_SECS = 5.0

logger = logging.getLogger("strait")


class _Time:
    """The time that a wait has, and the distances of its looks."""

    def __init__(self, seconds: float | None, settings: Settings) -> None:
        if seconds is not None and not (
            isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0
        ):
            raise ValidationError(
                f"the time to wait must be seconds that are not negative, not {seconds!r}"
            )
        self._clock = settings.policy(None, {}).clock
        self._seconds = seconds
        self._started = self._clock()
        self._looks = 0

    def elapsed(self) -> float:
        return self._clock() - self._started

    def left(self) -> float:
        """Return the seconds that are left; endless where the caller waits for ever."""
        return math.inf if self._seconds is None else self._seconds - self.elapsed()

    def next_look(self, first: float, cap: float) -> float:
        """Return the seconds until the next look; the last one is at the end of the time."""
        self._looks += 1
        wait = backoff_secs(
            self._looks,
            initial=first,
            factor=_FACTOR,
            cap=cap,
            spread=_SPREAD,
            rand=random.random(),  # noqa: S311 - a spread, no secret
        )
        return min(wait, self.left())


def status_of(run: Json) -> str:
    """Return the status of a run, a model or plain JSON."""
    return str(run["status"])


def wait(
    kind: Tracked[T],
    run_id: str,
    settings: Settings,
    options: RequestOptions,
    seconds: float | None,
) -> Flow[T]:
    """Wait until a run has ended, and return it as it ended.

    Args:
        kind: what is waited for.
        run_id: its id.
        settings: those of the client.
        options: options of every request.
        seconds: how long to wait; None for as long as it takes, 0 to look once.

    Raises:
        StraitTimeoutError: it has not ended in time.
    """
    time = _Time(seconds, settings)
    options = merged(settings.defaults, options)
    options.pop("idempotency_key", None)  # it was for what started the run
    followed = kind.stream is not None
    while True:
        run: T | None = None
        trouble: StraitError | None = None
        if followed and time.left() > 0:
            run, followed = yield from _follow(kind, run_id, settings, options, time)
        try:
            if run is None:
                run = yield from _look(kind.get, run_id, settings, options, time)
            if status_of(run) in kind.ends:
                return run
        except StraitError as error:
            # The run goes on while the platform cannot be asked; what is wrong for good is told.
            if not is_retryable(error):
                raise
            trouble, followed = error, False
        if time.left() <= 0:
            raise StraitTimeoutError(
                f"{kind.name} `{run_id}` did not end within {seconds:g} s",
                run_id,
                round(time.elapsed() * 1000),
            ) from trouble
        if not followed:
            asked = (trouble and trouble.retry_after) or 0.0
            pause = time.next_look(_FIRST_LOOK_SECS, _LONGEST_LOOK_SECS)
            yield Sleep(min(max(pause, asked), time.left()))


def _look(
    operation: Operation[T],
    run_id: str,
    settings: Settings,
    options: RequestOptions,
    time: _Time,
) -> Flow[T]:
    if time.left() < math.inf:
        # The last look must have a chance, but not the half minute that a request may take.
        least = max(time.left(), _LAST_LOOK_SECS)
        options = options.copy()
        options["deadline"] = min(options.get("deadline", least), least)
    if settings.plain:
        operation = plain(operation)
    request = settings.request(operation, (run_id,), None, None, options)
    policy = settings.policy(operation, options)
    return (yield from call(operation, request, policy, settings.hooks))


def _follow(
    kind: Tracked[T], run_id: str, settings: Settings, options: RequestOptions, time: _Time
) -> Flow[tuple[T | None, bool]]:
    """Read the stream of a run until it tells of the end.

    How long a read may take is fixed when a stream is opened. So once less time is left than that,
    the stream is closed at its next sign of life (the platform gives one every 15 seconds) and
    opened anew with what is left: a wait never lasts longer than it may.

    Returns:
        The run, if it had ended before the stream was open; and whether to open the stream again.
    """
    stream = kind.stream
    if stream is None:
        return None, False
    request = settings.stream_request(stream, (run_id,), None, merged_stream(options, {}))
    request.idle = min(IDLE_SECS, time.left())
    opened = time.elapsed()
    found: tuple[T | None, bool] | None = None
    # Not closed in a `finally`: the flow of a wait that is cancelled is closed, and then may ask
    # for nothing any more. Its driver closes what is open.
    try:
        found = yield from _told(kind, run_id, request, settings, options, time)
    except StraitError as error:
        logger.debug("the stream of %s %s broke off: %s", kind.name, run_id, error)
    yield Close()
    if found is not None:
        return found
    # Streams have a longest life; but a server that ends each at once is not asked without pause.
    return None, time.elapsed() - opened > _SHORTEST_STREAM_SECS


def _told(
    kind: Tracked[T],
    run_id: str,
    request: Request,
    settings: Settings,
    options: RequestOptions,
    time: _Time,
) -> Flow[tuple[T | None, bool] | None]:
    """Open the stream of a run and read it; return what `_follow` does, None if it just ended."""
    policy = settings.policy(None, options)
    response = yield from authorized(request, policy, settings.hooks, streamed=True)
    if response.status >= 300:
        return None, False
    # What happened before the stream was open is not told by it.
    run = yield from _look(kind.get, run_id, settings, options, time)
    if status_of(run) in kind.ends:
        return run, False
    parser = EventParser()
    while chunk := (yield Read()):
        if any(_tells_end(event.data, kind.ends) for event in parser.feed(chunk)):
            return None, False
        if request.idle is not None and time.left() < request.idle:
            return None, True
    return None


def _tells_end(data: str, ends: frozenset[str]) -> bool:
    try:
        event = json.loads(data)
    except ValueError:
        return False
    return isinstance(event, dict) and event.get("to") in ends


@contextmanager
def send_until(
    operation: Operation[T],
    arguments: Sequence[object],
    body: Json,
    settings: Settings,
    options: RequestOptions,
    seconds: float,
) -> Iterator[Flow[T]]:
    """Return the block that carries out an operation, again while its 404 says that nobody waits.

    All tries are in one span.

    Raises:
        NotFoundError: still nobody does when the time is up.
    """
    if settings.plain:
        operation = plain(operation)
    options = merged(settings.defaults, options)
    like = settings.request(operation, arguments, None, body, options)
    with told_once(settings.telemetry, operation, like) as (seen, carried):
        yield _sent(seen, arguments, body, settings, options, _Time(seconds, settings), carried)


def _sent(
    operation: Operation[T],
    arguments: Sequence[object],
    body: Json,
    settings: Settings,
    options: RequestOptions,
    time: _Time,
    carried: Mapping[str, str],
) -> Flow[T]:
    while True:
        # Each try has its own key: a platform may keep that of a try which it refused.
        request = settings.request(operation, arguments, None, body, options)
        request.headers.update(carried)
        policy = settings.policy(operation, options)
        try:
            return (yield from call(operation, request, policy, settings.hooks))
        except NotFoundError as error:
            if time.left() <= 0:
                error.add_note(f"it was sent again and again for {time.elapsed():.1f} s")
                raise
        yield Sleep(time.next_look(_FIRST_TRY_SECS, _LONGEST_TRY_SECS))

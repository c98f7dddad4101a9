"""The attempts that run here: their deadlines, their heartbeats, and how they are told to end.

An attempt is told (`ctx.cancelled`) when it times out, when somebody cancels it, and when its run
has ended or was dispatched again elsewhere. The last is learnt from whatever comes first: the
answer to a heartbeat or to any other call of its context, or the end of the connection that its
dispatch came by. Who was told and goes on is cancelled after a grace, if that is possible: a
coroutine can be, a thread cannot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from strait.authoring.cancellation import outlived
from strait.errors import StraitError

if TYPE_CHECKING:
    from types import TracebackType

    from strait.authoring.session import RunSession

log = logging.getLogger("strait.serve")

HEARTBEAT_SECS = 10.0
"""How often a run is said to be alive; the platform itself does so every 10 s, too."""
CANCEL_GRACE_SECS = 5.0
"""How long an attempt that was told to end may go on."""

# Quick attempts, which are most, are over before anybody looks whether their caller has left.
_WATCH_AFTER_SECS = 0.25
# To ask why a connection has ended must not keep anybody from being told that it has.
_ASK_WHY_SECS = 2.0
# Answers that the next heartbeat would get as well.
_REFUSED = (400, 401, 403, 404, 405, 410, 501)
_CLOSED = "the platform closed the connection of its dispatch"


class AttemptCancelled(Exception):  # noqa: N818 - it says what happened, and is no error of ours
    """An attempt was ended before it had; the text says why."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How attempts are looked after.

    Attributes:
        heartbeat_secs: how often a run is said to be alive, the first time after as long; 0 for
            never.
        cancel_grace_secs: how long an attempt that was told to end may go on.
    """

    heartbeat_secs: float = HEARTBEAT_SECS
    cancel_grace_secs: float = CANCEL_GRACE_SECS

    def __post_init__(self) -> None:
        for name in self.__slots__:
            secs: object = getattr(self, name)
            if not isinstance(secs, int | float) or not secs >= 0:
                raise ValueError(f"`{name}` must be a number, 0 or more, not {secs!r}")


class Running:
    """One attempt; `async with` it while its handler runs.

    The block is left with a `TimeoutError` when the attempt was ended (`expired`) by its deadline
    (`timed_out`) or after it was cancelled.

    Args:
        attempts: all that run here.
        job: the slug of the job.
        session: the attempt.
        timeout_secs: its time; None for no end of it.
        gone: returns when the caller waits for the answer no more, if that can be known.
        has_token: whether its run can be asked about.
        beats: whether its run is said to be alive from here.
        last_words_secs: how much later than its time and its grace it is ended.

    Attributes:
        session: the attempt.
        timeout_secs: its time.
        timed_out: whether its time was over before it was.
    """

    def __init__(
        self,
        attempts: Attempts,
        job: str,
        session: RunSession,
        timeout_secs: float | None,
        gone: Callable[[], Awaitable[object]] | None,
        *,
        has_token: bool,
        beats: bool = True,
        last_words_secs: float = 0,
    ) -> None:
        self.session = session
        self.timed_out = False
        self._attempts = attempts
        self._job = job
        self.timeout_secs = timeout_secs
        self._gone = gone
        self._has_token = has_token
        self._beats = beats and has_token
        self._last_words_secs = last_words_secs
        self._until = asyncio.timeout(None)
        self._timers: list[asyncio.TimerHandle] = []
        self._ending: list[asyncio.TimerHandle] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def expired(self) -> bool:
        """Whether the handler was ended from here."""
        return self._until.expired()

    async def __aenter__(self) -> Running:
        await self._until.__aenter__()
        self._loop = asyncio.get_running_loop()
        self.session.on_outlived = self.outlive
        self._attempts.enter(self)
        if self.timeout_secs is not None and not self._attempts.held:
            self._ending.append(self._loop.call_later(self.timeout_secs, self._time_out))
        every_secs = self._attempts.rules.heartbeat_secs
        if every_secs and self._beats:
            self._later(every_secs, partial(self._beat, every_secs))
        if self._gone is not None:
            self._later(_WATCH_AFTER_SECS, partial(self._watch, self._gone))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._attempts.leave(self)
        for timer in (*self._timers, *self._ending):
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        await self._until.__aexit__(kind, error, trace)

    # -- being told ------------------------------------------------------------------------------

    def cancel(self, reason: str) -> bool:
        """Tell the handler to end, and end it after the grace; return whether this was news."""
        if not self.session.cancellation.tell(reason):
            return False
        if not self._attempts.held:
            grace_secs = self._attempts.rules.cancel_grace_secs + self._last_words_secs
            self._ending.append(self._loop.call_later(grace_secs, self._end))
        return True

    def outlive(self, reason: str) -> None:
        """Note that the run has ended or goes on without this attempt, and tell the handler."""
        if self.session.outlived:
            return
        self.session.outlived = True
        log.warning(
            "run %s, attempt %d: %s; the handler of job `%s` is told to stop, "
            "and what it returns is discarded",
            self.session.run_id,
            self.session.attempt,
            reason,
            self._job,
        )
        self.cancel(reason)

    def hold(self) -> None:
        """Let nothing end the handler any more."""
        for timer in self._ending:
            timer.cancel()
        # One that was left meanwhile has nothing to hold.
        with suppress(RuntimeError):
            self._until.reschedule(None)

    def _time_out(self) -> None:
        self.timed_out = True
        self.session.cancellation.tell(f"timed out after {self.timeout_secs:g} s")
        if self._last_words_secs:
            self._ending.append(self._loop.call_later(self._last_words_secs, self._end))
        else:
            self._end()

    def _end(self) -> None:
        # The handler may have ended in this very moment.
        with suppress(RuntimeError):
            self._until.reschedule(self._loop.time())

    # -- looking after it ------------------------------------------------------------------------

    def _later(self, secs: float, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self._timers.append(self._loop.call_later(secs, self._spawn, work))

    def _spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        task = self._loop.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _beat(self, every_secs: float) -> None:
        """Say that the run is alive, as long as that is so and the platform takes it."""
        while self.session.outcome == "" and not self.session.outlived:
            try:
                await self._say_alive()
            except StraitError as error:
                if error.status in _REFUSED:
                    log.warning("run %s: heartbeats are refused: %s", self.session.run_id, error)
                    return
                # The platform is away or busy; it may take the next one.
                log.debug("run %s: a heartbeat was lost: %s", self.session.run_id, error)
            await asyncio.sleep(every_secs)

    async def _say_alive(self) -> None:
        """Send a heartbeat; an answer that the attempt is outlived is told, not raised."""
        session = self.session
        try:
            await session.ask(lambda: session.api.heartbeat_run(session.run_id))
        except StraitError as error:
            if not outlived(error):
                raise

    async def _watch(self, gone: Callable[[], Awaitable[object]]) -> None:
        """Wait until the caller has left, and ask the platform why it has."""
        await gone()
        if self._has_token:
            with suppress(StraitError, TimeoutError):
                async with asyncio.timeout(_ASK_WHY_SECS):
                    await self._say_alive()
        self.session.note_outlived(_CLOSED)


class Attempts:
    """All attempts that run here.

    Attributes:
        rules: how they are looked after.
        held: whether nothing ends them now, because somebody debugs.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.held = False
        self._running: dict[str, list[Running]] = {}

    def enter(self, running: Running) -> None:
        """Take in an attempt that begins."""
        self._running.setdefault(running.session.run_id, []).append(running)

    def leave(self, running: Running) -> None:
        """Let go of an attempt that is over."""
        of_run = self._running[running.session.run_id]
        of_run.remove(running)
        if not of_run:
            del self._running[running.session.run_id]

    def of(self, run_id: str, attempt: int | None = None) -> list[Running]:
        """Return the attempts of a run that run here, or the one of a number."""
        found = self._running.get(run_id, ())
        return [one for one in found if attempt is None or one.session.attempt == attempt]

    def hold(self, *, hold: bool) -> None:
        """Let nothing end attempts while this holds."""
        self.held = hold
        if hold:
            for of_run in self._running.values():
                for running in of_run:
                    running.hold()

"""Running one attempt: the handler and its hooks, until its deadline, and what came of it.

Functions that are `async` run on the loop and get a `RunContext`; plain ones run in a thread and
get a `SyncRunContext`. That holds for handlers and hooks alike.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from strait.authoring.context import RunContext
from strait.authoring.handlers import is_async_handler
from strait.authoring.logs import error_data, error_text
from strait.authoring.recorded.decorator import acting
from strait.authoring.recorded.step import NothingRecorded
from strait.authoring.recorded.undo import undo_all
from strait.authoring.session import AttemptSuspended, RunSession
from strait.authoring.sync_context import SyncRunContext
from strait.authoring.typed import step_type
from strait.authoring.validation import DefinitionError
from strait.errors import NonRetryable, RetryAfter
from strait.serve import answers, tracing
from strait.serve.answers import Answer, NotJsonError
from strait.serve.attempts import AttemptCancelled, Attempts, Rules, Running
from strait.serve.endings import (
    AFTERWARDS_SECS,
    awaited,
    bounded,
    in_thread,
    is_cancelled,
    of_the_user,
    on_loop,
    settled,
    typed,
    unless_ended,
    without_its_run,
    written,
)
from strait.serve.isolation import (
    LAST_WORDS_SECS,
    MAX_PROCESSES,
    Children,
    ProcessDied,
    place_of,
)
from strait.serve.tasks import CANCELLED, TIMED_OUT, Task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from strait.authoring.jobs import Handler, JobDefinition
    from strait.errors import Json
    from strait.serve.inbound import Dispatch
    from strait.serve.platform import PlatformPool
    from strait.serve.tasks import Place

log = logging.getLogger("strait.serve")

_REPORT_SECS = 5.0
# Of a job that does not say, on every platform (`contract/runs.md` §6.13).
_DEFAULT_ATTEMPTS = 3


class HostedJob:
    """A job whose handler lives here, with what is asked of it on every dispatch worked out once.

    Args:
        job: the definition.
        secrets: what its dispatches may be signed with; empty for no check.
        isolate: whether its handler may run in a process of its own, if the job wants that.

    Raises:
        DefinitionError: it wants that, and another process could not find it.
    """

    __slots__ = (
        "blobs",
        "codec",
        "handler",
        "max_attempts",
        "name",
        "on_failure",
        "on_start",
        "on_success",
        "parse_payload",
        "place",
        "result_type",
        "secrets",
        "timeout",
    )

    def __init__(
        self,
        job: JobDefinition[Any],
        handler: Handler,
        secrets: tuple[str, ...],
        *,
        isolate: bool = True,
    ) -> None:
        self.name = job.slug
        self.place = place_of(job) if isolate and job.options.isolation == "process" else None
        self.handler = _Function(handler)
        self.on_start = _Function(job.on_start) if job.on_start else None
        self.on_success = _Function(job.on_success) if job.on_success else None
        self.on_failure = _Function(job.on_failure) if job.on_failure else None
        self.parse_payload = job.parse_payload
        self.result_type = job.result_type or step_type(handler)
        self.secrets = secrets
        self.timeout = job.options.timeout_secs
        self.codec = job.options.codec
        self.blobs = job.options.blobs
        self.max_attempts = job.options.max_attempts or _DEFAULT_ATTEMPTS


class _Function:
    """A handler or a hook, and where it runs."""

    __slots__ = ("call", "is_async")

    def __init__(self, call: Handler) -> None:
        self.call = call
        self.is_async = is_async_handler(call)


class Executor:
    """Runs attempts.

    Args:
        platform: the way to the platform.
        project_id: the project that child runs belong to by default.
        max_threads: how many plain handlers run at once.
        now: the clock that durable sleeps go by, in unix seconds.
        rules: how often runs are said to be alive, and how long who was told to end may go on.
        max_processes: how many handlers run in processes of their own at once.
        leaves_threads: answer for plain handlers that were ended and go on with `TIMED_OUT` and
            `CANCELLED`, and do no more about them: whoever asked kills this process.

    Attributes:
        in_threads: the calls of plain functions that have not returned.
    """

    def __init__(
        self,
        platform: PlatformPool,
        project_id: str = "",
        max_threads: int = 64,
        now: Callable[[], float] = time.time,
        rules: Rules | None = None,
        max_processes: int = MAX_PROCESSES,
        *,
        leaves_threads: bool = False,
    ) -> None:
        self._platform = platform
        self._now_us = lambda: round(now() * 1_000_000)
        self._project_id = project_id
        self._max_threads = max_threads
        self._threads: ThreadPoolExecutor | None = None
        self._unsupported: set[str] = set()
        self._attempts = Attempts(rules or Rules())
        self._children = Children(max_processes)
        self._leaves_threads = leaves_threads
        self.in_threads: set[Future[Json]] = set()

    def close(self) -> None:
        """Give threads and processes back; what runs in a thread goes on until it returns."""
        self._children.close()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    def hold_deadlines(self, *, hold: bool) -> None:
        """Time out no attempt, neither those that run nor those that begin while this holds.

        Call it on the loop. It is for a debugger, in which a person takes their time.
        """
        self._attempts.hold(hold=hold)

    def cancel(
        self, run_id: str, reason: str, attempt: int | None = None, *, outlived: bool = False
    ) -> bool:
        """Tell a running attempt to end: its `ctx.cancelled` becomes true. Call it on the loop.

        Who goes on is cancelled after the grace (`Rules.cancel_grace_secs`). A plain handler runs
        in a thread, which cannot be: its attempt is answered then, and the thread goes on.

        Args:
            run_id: the run.
            reason: why, for `ctx.cancel_reason` and the log.
            attempt: the attempt; by default all of the run that run here.
            outlived: whether the run has ended, or goes on without this attempt, so that nothing
                that becomes of it counts: no hook is called, and nothing is reported.

        Returns:
            Whether there was such an attempt that nobody had told yet.
        """
        news = False
        for running in self._attempts.of(run_id, attempt):
            if not running.session.cancellation.told:
                news = True
            if outlived:
                running.session.note_outlived(reason)
            else:
                running.cancel(reason)
        return news

    async def run(
        self,
        job: HostedJob,
        dispatch: Dispatch,
        gone: Callable[[], Awaitable[object]] | None = None,
    ) -> Answer:
        """Run one attempt and return what to answer its dispatch with.

        Args:
            job: the job.
            dispatch: the dispatch.
            gone: returns when whoever dispatched waits for the answer no more, if that can be
                known. It is awaited only for attempts that take a while.
        """
        timeout = None if self._attempts.held else dispatch.timeout_secs or job.timeout
        session = self._session(job, dispatch, timeout)
        running = Running(
            self._attempts,
            job.name,
            session,
            timeout,
            gone,
            has_token=bool(dispatch.token),
            # A process says of its run itself that it is alive, and knows whether it has ended it.
            beats=job.place is None,
            last_words_secs=0 if job.place is None else LAST_WORDS_SECS,
        )
        if job.place is not None:
            return await self._isolated(job, job.place, running, dispatch)
        if dispatch.undo_of:
            return await self._undo(job, running, dispatch)
        try:
            async with running:
                dispatch = typed(job, dispatch)
                if job.on_start is not None:
                    await self._call(job.on_start, session, dispatch.payload)
                with tracing.attempt(
                    dispatch.trace,
                    job=job.name,
                    run_id=dispatch.run_id,
                    attempt=dispatch.attempt,
                ):
                    value = await self._call(job.handler, session, dispatch.payload)
        except AttemptSuspended:
            return await settled(session, answers.SUSPENDED)
        except BaseExceptionGroup as group:
            if group.subgroup(AttemptSuspended) is not None:
                return await settled(session, answers.SUSPENDED)
            return await self._failed(job, session, dispatch, group)
        except TimeoutError as error:
            if not running.expired:
                return await self._failed(job, session, dispatch, error)
            return await self._ended(job, running, dispatch, timed_out=running.timed_out)
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            # Something inside of the handler was cancelled, not the attempt.
            return await self._failed(job, session, dispatch, error)
        # A handler that calls `sys.exit` has failed; it must not end the host.
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a handler may raise anything
            return await self._failed(job, session, dispatch, error)
        return await self._returned(job, session, dispatch, value)

    async def _ended(
        self, job: HostedJob, running: Running, dispatch: Dispatch, *, timed_out: bool
    ) -> Answer:
        """Answer for an attempt that was ended from here."""
        session = running.session
        if self._leaves_threads and self.in_threads and not session.outlived:
            return TIMED_OUT if timed_out else CANCELLED
        if not timed_out:
            cancelled = AttemptCancelled(session.cancellation.reason)
            return await self._failed(job, session, dispatch, cancelled, status=503)
        late = TimeoutError(f"the handler of job `{job.name}` took over {running.timeout_secs:g} s")
        return await self._failed(job, session, dispatch, late, status=504)

    async def _isolated(
        self, job: HostedJob, place: Place, running: Running, dispatch: Dispatch
    ) -> Answer:
        """Have an attempt made in another process, and answer for it if that ends without one."""
        task = Task(
            place,
            dispatch,
            self._platform.base_url,
            self._project_id,
            self._attempts.rules,
            self._attempts.held,
        )
        try:
            async with running:
                answer = await self._children.run(task, running.session)
        except TimeoutError:
            timed_out = running.timed_out
        except ProcessDied as error:
            return await self._failed(job, running.session, dispatch, error.with_traceback(None))
        else:
            if answer not in (TIMED_OUT, CANCELLED):
                return answer
            timed_out = answer == TIMED_OUT
        return await self._ended(job, running, dispatch, timed_out=timed_out)

    def _session(self, job: HostedJob, dispatch: Dispatch, timeout: float | None) -> RunSession:
        session = RunSession(
            partial(self._platform.runs, dispatch.token),
            dispatch.run_id,
            dispatch.attempt,
            hosted=True,
            loop=asyncio.get_running_loop(),
            unsupported=self._unsupported,
        )
        session.undo_by_platform = dispatch.undo_by_platform
        session.job_id = dispatch.job_id
        session.project_id = self._project_id
        session.payload = dispatch.payload
        session.deadline = None if timeout is None else time.time() + timeout
        session.last_checkpoint = dispatch.last_checkpoint
        session.previous_error = dispatch.previous_error
        session.secrets = dispatch.secrets
        session.codec, session.blobs = job.codec, job.blobs
        session.now_us = self._now_us
        return session

    async def _undo(self, job: HostedJob, running: Running, dispatch: Dispatch) -> Answer:
        """Undo what a run that failed for good has done: find its steps, then undo them.

        The handler itself knows them. It is called once more and gets what is on record; the first
        thing that is not ends it.
        """
        session = running.session
        session.recorded.ledger.only_recorded = True
        try:
            async with running:
                with suppress(Exception, NothingRecorded, BaseExceptionGroup):
                    dispatch = typed(job, dispatch)
                    await self._call(job.handler, session, dispatch.payload)
                undone = await undo_all(session.recorded.ledger, session.ask)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an undo may raise anything
            return await self._failed(job, session, dispatch, error)
        return await settled(session, answers.result({"undone": undone}))

    async def _call(self, function: _Function, session: RunSession, *args: object) -> Json:
        if function.is_async:
            return await awaited(function.call, RunContext(session), args)
        loop = asyncio.get_running_loop()
        plain = SyncRunContext(session, partial(on_loop, loop))
        with acting(plain):
            variables = contextvars.copy_context()
        work = partial(variables.run, in_thread, function.call, *args, plain)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(
                self._max_threads, thread_name_prefix="strait-handler"
            )
        called = self._threads.submit(work)
        self.in_threads.add(called)
        called.add_done_callback(self.in_threads.discard)
        return await asyncio.wrap_future(called)

    async def _returned(
        self, job: HostedJob, session: RunSession, dispatch: Dispatch, value: Json
    ) -> Answer:
        if session.outcome == "waiting":
            return await settled(session, answers.SUSPENDED)
        ended = session.outcome != ""
        try:
            answer = answers.NOTHING if ended else answers.result(written(job, value))
        except NotJsonError as error:
            # It was raised here, not by the handler, so there is nothing to trace.
            return await self._failed(job, session, dispatch, error.with_traceback(None))
        if job.on_success is not None and not session.outlived:
            await self._hook(job.on_success, session, dispatch.payload, value)
        return await settled(session, answer)

    async def _failed(
        self,
        job: HostedJob,
        session: RunSession,
        dispatch: Dispatch,
        error: BaseException,
        status: int = 500,
    ) -> Answer:
        """Tell of a failure where it belongs, and return what to answer with."""
        if session.outlived:
            return without_its_run(job, session, error)
        if isinstance(error, RetryAfter):
            return await settled(session, unless_ended(session, answers.retry_later(error)))
        final = isinstance(error, NonRetryable | DefinitionError | NotJsonError)
        error.__traceback__ = of_the_user(error.__traceback__)
        log.error(
            "run %s, attempt %d: the handler of job `%s` failed%s",
            session.run_id,
            session.attempt,
            job.name,
            f": {error_text(error)}" if final else "",
            # What a handler decided needs no traceback.
            exc_info=None if final else error,
        )
        stands = session.outcome
        if not stands:
            await self._report(session, error, has_token=bool(dispatch.token))
        if job.on_failure is not None:
            await self._hook(job.on_failure, session, dispatch.payload, error)
        if not session.undo_by_platform and session.undoable and not stands:
            # Before the run fails: one that has ended takes no records any more.
            await self._undo_here(job, session, final=final)
        if session.outcome == "" and final:
            # Another attempt would end the same way.
            status = status if isinstance(error, NotJsonError) else 422
            text = error_text(error) or type(error).__name__
            await bounded(session.run(session.fail(text)), _REPORT_SECS)
        answer = answers.raised(status, error)
        return await settled(session, unless_ended(session, answer) if stands else answer)

    async def _undo_here(self, job: HostedJob, session: RunSession, *, final: bool) -> None:
        """Undo the steps of a run that fails for good, where no platform sees to that."""
        if not final and session.attempt < job.max_attempts:
            return
        try:
            async with asyncio.timeout(AFTERWARDS_SECS):
                await undo_all(session.recorded.ledger, session.ask)
        except Exception:  # an undo may raise anything
            log.exception("run %s: its steps could not all be undone", session.run_id)

    async def _report(self, session: RunSession, error: BaseException, *, has_token: bool) -> None:
        """Put type, text and traceback into the run's events."""
        if not has_token:
            return
        body = {
            "type": "log",
            "level": "error",
            "message": f"{type(error).__name__}: {error_text(error)}"[:8_000],
            "data": error_data(error),
        }
        await bounded(session.drain(), _REPORT_SECS)
        await bounded(session.send_log(body), _REPORT_SECS)

    async def _hook(self, hook: _Function, session: RunSession, *args: object) -> None:
        """Call a hook; what it does wrong changes nothing of the run's outcome."""
        try:
            async with asyncio.timeout(AFTERWARDS_SECS):
                await self._call(hook, session, *args)
        except Exception:  # a hook may raise anything
            log.exception("run %s: hook %r failed", session.run_id, hook.call)

"""How a handler is called, and what is said at its end: the small pieces of an attempt."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from concurrent.futures import thread
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from strait.authoring import agents
from strait.authoring.recorded.decorator import acting
from strait.authoring.recorded.step import NothingRecorded
from strait.errors import StraitError
from strait.serve import answers
from strait.serve.answers import Answer, NotJsonError
from strait.serve.attempts import AttemptCancelled

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from types import TracebackType

    from strait.authoring.context import RunContext
    from strait.authoring.jobs import Handler
    from strait.authoring.session import RunSession
    from strait.errors import Json
    from strait.serve.execution import HostedJob
    from strait.serve.inbound import Dispatch

T = TypeVar("T")
log = logging.getLogger("strait.serve")

# What the host itself tells the platform must not keep an answer for long.
AFTERWARDS_SECS = 30.0
_OWN_FILES = (os.path.dirname(__file__) + os.sep, agents.__file__, thread.__file__)


def typed(job: HostedJob, dispatch: Dispatch) -> Dispatch:
    """Return the dispatch with its payload as the handler is annotated to get it.

    Raises:
        PayloadError: the payload does not fit.
    """
    payload = job.parse_payload(dispatch.payload)
    return dispatch if payload is dispatch.payload else replace(dispatch, payload=payload)


def written(job: HostedJob, value: Json) -> Json:
    """Return a result as JSON, if its type is known."""
    if job.result_type is None:
        return value
    try:
        return job.result_type.dump(value)
    except ValueError as error:
        raise NotJsonError(f"the handler's result is no JSON: {error}") from None


def of_the_user(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the host's own frames, which say nothing to who wrote the handler."""
    own = trace
    while own is not None and own.tb_frame.f_code.co_filename.startswith(_OWN_FILES):
        own = own.tb_next
    return own or trace


async def awaited(call: Handler, context: RunContext, args: Sequence[object]) -> Json:
    """Await an `async def` handler or hook, and what is left of its steps.

    Raises:
        StepNotAwaited: it returned, and did not await a step.
    """
    try:
        with acting(context):
            value = await call(*args, context)
    except (Exception, NothingRecorded):
        await context.asked.end()
        raise
    context.asked.check()
    return value


def in_thread(call: Handler, *args: object) -> Json:
    """Call a plain function in its thread, and say clearly what no future can carry."""
    try:
        value = call(*args)
    except (StopIteration, KeyboardInterrupt, GeneratorExit) as error:
        raise RuntimeError(f"the handler raised `{type(error).__name__}`") from error
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError(f"{call!r} is no `async def` function but returned a coroutine")
    return value


def on_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop from a thread, and wait for it."""
    return asyncio.run_coroutine_threadsafe(work, loop).result()


def is_cancelled() -> bool:
    """Say whether the task that runs this attempt is being cancelled from outside."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def unless_ended(session: RunSession, answer: Answer) -> Answer:
    """Return the answer, unless the handler ended its run or let it wait before it failed."""
    if session.outcome == "waiting":
        return answers.SUSPENDED
    return answers.NOTHING if session.outcome else answer


async def settled(session: RunSession, answer: Answer) -> Answer:
    """Return the answer once everything that was logged is sent."""
    await bounded(session.drain(), AFTERWARDS_SECS)
    return answer


async def bounded(work: Coroutine[Any, Any, None], secs: float) -> None:
    """Do what the platform should know; if it cannot be told, the answer goes out without."""
    try:
        async with asyncio.timeout(secs):
            await work
    except (StraitError, TimeoutError) as error:
        log.warning("the platform could not be told: %s", error)


def without_its_run(job: HostedJob, session: RunSession, error: BaseException) -> Answer:
    """Answer for an attempt that its run has gone on without, however it has ended."""
    reason = session.cancellation.reason
    if not isinstance(error, AttemptCancelled | asyncio.CancelledError | StraitError):
        error.__traceback__ = of_the_user(error.__traceback__)
        log.info(
            "run %s, attempt %d: the handler of job `%s` failed after it was told to stop",
            session.run_id,
            session.attempt,
            job.name,
            exc_info=error,
        )
    return answers.error(409, "AttemptOutlived", reason)

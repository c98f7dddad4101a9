"""Calling a handler for a replay, as a host would, and how that ended."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from strait.authoring.context import RunContext
from strait.authoring.handlers import is_async_handler
from strait.authoring.recorded.decorator import acting
from strait.authoring.recorded.step import Beyond, NothingRecorded
from strait.authoring.session import AttemptSuspended
from strait.authoring.sync_context import SyncRunContext
from strait.authoring.typed import step_type
from strait.serve import answers
from strait.testing.replay_session import AnswerMissing

if TYPE_CHECKING:
    from strait.authoring.jobs import JobDefinition
    from strait.errors import Json
    from strait.testing.replay_session import ReplaySession


@dataclass(frozen=True, slots=True)
class Ending:
    """How a handler ended.

    Attributes:
        result: what it returned or gave to `ctx.complete`, as JSON.
        error: what it raised.
        failed_with: what it gave to `ctx.fail`.
        stopped: what was not on record, and ended it.
        missing: the hidden answer that ended it.
    """

    result: Json = None
    error: BaseException | None = None
    failed_with: str | None = None
    stopped: Beyond | None = None
    missing: AnswerMissing | None = None


async def called(job: JobDefinition[Any], session: ReplaySession) -> Ending:
    """Call the handler of a job and return how it ended."""
    try:
        value = await _call(job, session, job.parse_payload(session.payload))
        if session.outcome == "":
            kind = job.result_type or (step_type(job.run) if job.run else None)
            written = value if kind is None else kind.dump(value)
            return Ending(json.loads(answers.result(written).body))
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything
        return _raised(error, session)
    return _ended(session)


def _ended(session: ReplaySession) -> Ending:
    if session.outcome == "waiting":
        return Ending(stopped=Beyond("wait", "of the run"))
    if session.outcome == "failed":
        return Ending(failed_with=session.record.fail_error)
    return Ending(session.record.result)


def _raised(error: BaseException, session: ReplaySession) -> Ending:
    match _first(error):
        case NothingRecorded() as beyond:
            return Ending(stopped=beyond.beyond)
        case AnswerMissing() as missing:
            return Ending(missing=missing)
        case AttemptSuspended():
            return Ending(stopped=Beyond("wait", "of the run"))
        case KeyboardInterrupt() as interrupt:
            raise interrupt
        case found:
            # What a handler raises behind its own end changes nothing of it.
            return _ended(session) if session.outcome else Ending(error=found)


def _first(error: BaseException) -> BaseException:
    """Return what of a group ended the replay; another error as it is."""
    if isinstance(error, BaseExceptionGroup):
        found: BaseException | None = error.subgroup(
            (NothingRecorded, AnswerMissing, AttemptSuspended)
        )
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        return found or error
    return error


async def _call(job: JobDefinition[Any], session: ReplaySession, payload: Json) -> Json:
    function = job.run
    if function is None:
        raise TypeError(f"job `{job.slug}` has no handler")
    if is_async_handler(function):
        context = RunContext(session)
        with acting(context):
            return await function(payload, context)
    loop = asyncio.get_running_loop()
    plain = SyncRunContext(session, partial(_on_loop, loop))
    with acting(plain):
        variables = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="strait-handler") as thread:
        return await loop.run_in_executor(thread, partial(variables.run, function, payload, plain))


def _on_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(work, loop).result()

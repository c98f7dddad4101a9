"""`crash_everywhere` itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from strait.authoring.jobs import JobDefinition, JobOptions, define_job
from strait.authoring.validation import DefinitionError
from strait.testing.crashes.lives import Life, Setting, live
from strait.testing.crashes.platform import Crash, CrashAt, Script
from strait.testing.crashes.verdict import CrashReport, DoubledEffect, faults_of

if TYPE_CHECKING:
    from strait.errors import Json


def crash_everywhere(
    handler: JobDefinition[Any] | Callable[..., Any],
    payload: Json = None,
    *,
    events: Mapping[str, Json] | None = None,
    children: Mapping[str, Json] | None = None,
    state: Mapping[str, Json] | None = None,
    secrets: Mapping[str, str] | None = None,
    unrecorded: bool = False,
    same_result: bool = True,
) -> CrashReport:
    """Crash a handler behind everything that it records, and check that nothing is done twice.

    The handler is run to its end once without a crash. Then it is run once for each thing that
    was recorded: a step, the beginning and end of a sleep, a child, a wait, a version, an undo.
    Right behind that its process dies, and a new one goes on with what is on record. Everything
    is in memory, and what the run waits for is there at once.

    Every such run must call the function of each step as often as the one without a crash, start
    as many children, report as much usage, and end the same way with the same result.

        def test_no_order_is_charged_twice():
            crash_everywhere(order_job, {"id": "o-1"}, events={"paid:o-1": {"cents": 450}})

    Args:
        handler: a job, or just its handler.
        payload: the payload of the run; an empty object by default.
        events: `{event_key: payload}` of what the handler waits for; `TIMED_OUT` for one that does
            not come in time.
        children: `{job_slug: result}` of the child runs that it waits for.
        state: entries of the run's state at the start.
        secrets: the job's secrets.
        unrecorded: crash also between each step and its record. That step is carried out twice
            then, with the same idempotency key; nothing else may be.
        same_result: whether the results must be equal; turn it off where a result has the time or
            a random number in it.

    Returns:
        What was crashed and how the run ended.

    Raises:
        DoubledEffect: it does not stand a crash; the text names each place and what was doubled.
        LookupError: the handler waits for what is not in `events` or `children`.
        DefinitionError: the job has no handler.
        RuntimeError: a loop runs in this thread; await `crash_everywhere_async` there.
    """
    return asyncio.run(
        crash_everywhere_async(
            handler,
            payload,
            events=events,
            children=children,
            state=state,
            secrets=secrets,
            unrecorded=unrecorded,
            same_result=same_result,
        )
    )


async def crash_everywhere_async(
    handler: JobDefinition[Any] | Callable[..., Any],
    payload: Json = None,
    *,
    events: Mapping[str, Json] | None = None,
    children: Mapping[str, Json] | None = None,
    state: Mapping[str, Json] | None = None,
    secrets: Mapping[str, str] | None = None,
    unrecorded: bool = False,
    same_result: bool = True,
) -> CrashReport:
    """Do what `crash_everywhere` does, in the loop that runs."""
    setting = Setting(
        _job_of(handler),
        {} if payload is None else payload,
        Script(events or {}, children or {}),
        state,
        secrets or {},
    )
    with _quietly():
        without = await live(setting, None)
        lives = [await live(setting, at) for at in _places(without, unrecorded=unrecorded)]
    crashed = [life for life in lives if life.run.crashed_at]
    faults = [
        f"{life.run.crashed_at}: {fault}"
        for life in crashed
        for fault in faults_of(life, without, same_result=same_result)
    ]
    if faults:
        raise DoubledEffect(faults, len(crashed))
    return CrashReport(
        tuple(life.run.crashed_at for life in crashed),
        dict(without.run.calls),
        without.status,
        without.result,
        without.error,
    )


def _places(without: Life, *, unrecorded: bool) -> Iterator[CrashAt]:
    for number, word in enumerate(without.run.recorded):
        if unrecorded and word.startswith("step "):
            yield CrashAt(number, before=True)
        yield CrashAt(number)


def _job_of(handler: JobDefinition[Any] | Callable[..., Any]) -> JobDefinition[Any]:
    if isinstance(handler, JobDefinition):
        if handler.run is None:
            raise DefinitionError(f"job `{handler.slug}` has no handler that could be crashed")
        return handler
    options = JobOptions(
        name="Crashed", slug="crashed", run=handler, endpoint_url="http://localhost"
    )
    return define_job(options)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep from the log what is meant: failures in every life, and tasks that a crash has ended."""
    log, loop = logging.getLogger("strait.serve"), asyncio.get_running_loop()
    was_disabled, handler = log.disabled, loop.get_exception_handler()
    log.disabled = True
    loop.set_exception_handler(_without_crashes)
    try:
        yield
    finally:
        log.disabled = was_disabled
        loop.set_exception_handler(handler)


def _without_crashes(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), Crash):
        loop.default_exception_handler(context)

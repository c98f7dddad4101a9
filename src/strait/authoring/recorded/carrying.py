"""Carrying out the course of a step: on the loop for `async` handlers, in a plain one's thread."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from strait.authoring.recorded.errors import StepTimeout
from strait.authoring.recorded.step import Course, Execute, Pause, Seal, current
from strait.authoring.recorded.tracing import spanned

if TYPE_CHECKING:
    from strait.authoring.flow import Call


MOST_THREADS = 64
"""How many plain functions of steps run at once on one loop."""


async def drive(
    steps: Course,
    call: Callable[[], object],
    ask: Callable[[Call], Coroutine[Any, Any, object]],
    *,
    is_async: bool,
) -> Any:
    """Carry out a step on the loop.

    Args:
        steps: the course.
        call: the function with its arguments.
        ask: makes a call to the platform.
        is_async: whether the function is `async def`; a plain one is called in a thread.
    """
    answer: object = None
    failure: BaseException | None = None
    try:
        while True:
            todo = steps.throw(failure) if failure is not None else steps.send(answer)
            answer, failure = None, None
            try:
                if isinstance(todo, Execute):
                    answer = await _execute(todo, call, is_async=is_async)
                elif isinstance(todo, Pause):
                    await asyncio.sleep(todo.secs)
                elif isinstance(todo, Seal):
                    answer = await asyncio.to_thread(todo.call)
                else:
                    answer = await ask(todo)
            except Exception as error:  # noqa: BLE001 - the course decides what it means
                failure = error
    except StopIteration as end:
        return end.value


async def _execute(todo: Execute, call: Callable[[], object], *, is_async: bool) -> object:
    limit = asyncio.timeout(todo.timeout_secs if is_async else None)
    try:
        with current(todo.step), spanned(todo.step):
            async with limit:
                # A plain function may block, and the loop is everybody's.
                value = call() if is_async else await _in_thread(call, limit, todo.timeout_secs)
                return await value if inspect.isawaitable(value) else value
    except TimeoutError as error:
        if limit.expired():
            raise _too_long(todo) from error
        raise


# Of each loop: after a fork the threads of the parent's are not there.
_threads: WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadPoolExecutor] = WeakKeyDictionary()


async def _in_thread(
    call: Callable[[], object], limit: asyncio.Timeout, secs: float | None
) -> object:
    """Call a function in a thread; its time begins when one is free for it."""
    loop = asyncio.get_running_loop()
    # Not those of the loop: they are few, and looking up the address of a host needs one.
    if loop not in _threads:
        _threads[loop] = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="strait-step")
    waits = True

    def begin() -> None:
        if waits and secs is not None:
            limit.reschedule(loop.time() + secs)

    def work() -> object:
        loop.call_soon_threadsafe(begin)
        return call()

    try:
        return await loop.run_in_executor(_threads[loop], copy_context().run, work)
    finally:
        waits = False


def drive_in_thread(
    steps: Course, call: Callable[[], object], ask: Callable[[Call], object]
) -> Any:
    """Carry out a step in the thread of a plain handler."""
    answer: object = None
    failure: BaseException | None = None
    try:
        while True:
            todo = steps.throw(failure) if failure is not None else steps.send(answer)
            answer, failure = None, None
            try:
                if isinstance(todo, Execute):
                    answer = _execute_in_thread(todo, call)
                elif isinstance(todo, Pause):
                    time.sleep(todo.secs)
                elif isinstance(todo, Seal):
                    answer = todo.call()
                else:
                    answer = ask(todo)
            except Exception as error:  # noqa: BLE001 - the course decides what it means
                failure = error
    except StopIteration as end:
        return end.value


def _execute_in_thread(todo: Execute, call: Callable[[], object]) -> object:
    began = time.monotonic()
    with current(todo.step), spanned(todo.step):
        value = call()
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError(
            f"step `{todo.step.name}` has an `async def` function; a plain handler cannot await it"
        )
    if todo.timeout_secs is not None and time.monotonic() - began > todo.timeout_secs:
        raise _too_long(todo)
    return value


def _too_long(todo: Execute) -> StepTimeout:
    return StepTimeout(f"step `{todo.step.name}` took over {todo.timeout_secs:g} s")

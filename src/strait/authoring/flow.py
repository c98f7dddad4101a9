"""How one piece of code serves synchronous and asynchronous clients.

A *flow* is a generator that yields calls and is sent their results; an error of a call is raised
in the flow, at its `yield`. It neither awaits nor blocks: `run_flow` and `run_flow_async` do.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from strait.errors import Json

T = TypeVar("T")
Call: TypeAlias = Callable[[], object]
# A flow is sent whatever a client answered; only the flow knows what that is.
Flow: TypeAlias = Generator[Call, Any, T]


def run_flow(flow: Flow[T]) -> T:
    """Run a flow whose calls answer at once."""
    try:
        call = next(flow)
        while True:
            try:
                answer = call()
            except Exception as error:  # noqa: BLE001 - the flow decides what it means
                call = flow.throw(error)
            else:
                call = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


async def run_flow_async(flow: Flow[T], *, in_thread: bool = False) -> T:
    """Run a flow whose calls answer with something to await, or at once.

    Args:
        flow: the flow.
        in_thread: make the calls in a thread, because they block.
    """
    try:
        call = next(flow)
        while True:
            try:
                answer = await asyncio.to_thread(call) if in_thread else call()
                if inspect.isawaitable(answer):
                    answer = await answer
            except Exception as error:  # noqa: BLE001 - the flow decides what it means
                call = flow.throw(error)
            else:
                call = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


def dispatch(client: object, flow: Flow[T]) -> T | Awaitable[T]:
    """Run a flow against a client: at once, or as something to await if the client is async."""
    return run_flow_async(flow) if is_async(client) else run_flow(flow)


def is_async(client: object) -> bool:
    """Say whether a client is asynchronous: it is entered with `async with`."""
    return hasattr(type(client), "__aenter__")


def as_json(value: object) -> Json:
    """Return what a client answered as plain JSON, be it a model or a mapping already."""
    dump = getattr(value, "to_dict", None)
    if dump is not None:
        return dump()
    if isinstance(value, Mapping):
        return dict(value)
    return value


def items_of(answer: object) -> list[Json]:
    """Return the items of a page, or of a bare list."""
    if answer is None:
        return []
    rows: Json = answer if isinstance(answer, list) else _field(answer, "data")
    return list(rows or ())


def next_cursor(page: object) -> str | None:
    """Return where the page after this one starts; None on the last."""
    cursor: str | None = _field(page, "next_cursor")
    return cursor


def _field(answer: object, name: str) -> Json:
    get = getattr(answer, "get")  # noqa: B009 - a page or a mapping; both have it, no type says so
    return get(name)

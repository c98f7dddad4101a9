"""Facts about the functions that users give as handlers."""

from __future__ import annotations

import functools
import inspect
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from strait.authoring.jobs import Handler
    from strait.authoring.validation import Checks


def is_async_handler(handler: Handler) -> bool:
    """Say whether calling a handler gives something to await.

    A partial is asked for what it wraps, and an object for its `__call__`.
    """
    while isinstance(handler, functools.partial):
        handler = handler.func
    if inspect.iscoroutinefunction(handler):
        return True
    return inspect.iscoroutinefunction(type(handler).__call__)


def check_handler(checks: Checks, name: str, handler: object) -> None:
    """Check that a handler or a hook is a function that takes what it is called with.

    Raises:
        DefinitionError: it is no function, a generator, or takes other arguments.
    """
    if not callable(handler):
        raise checks.refuse(f"`{name}` must be a function, not {handler!r}")
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise checks.refuse(
            f"`{name}` must return its result, and {_told(handler)} has a `yield`; "
            "`ctx.stream_chunk` sends what is to be seen before the end"
        )
    given = _CALLED_WITH[name]
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return  # a function of C, which does not say
    try:
        signature.bind(*given)
    except TypeError:
        takes = ", ".join(signature.parameters) or "nothing"
        raise checks.refuse(
            f"`{name}` is called with {', '.join(given)}, and {_told(handler)} takes {takes}"
        ) from None


def _told(handler: Callable[..., object]) -> str:
    """Return what people know a handler by: its name, and where it stands."""
    code = getattr(inspect.unwrap(handler), "__code__", None)
    if code is None:
        return f"{handler!r}"
    name = getattr(handler, "__name__", "the function")
    return f"`{name}` at {os.path.basename(code.co_filename)}:{code.co_firstlineno}"


_CALLED_WITH = {
    "run": ("payload", "ctx"),
    "on_start": ("payload", "ctx"),
    "on_success": ("payload", "result", "ctx"),
    "on_failure": ("payload", "error", "ctx"),
}

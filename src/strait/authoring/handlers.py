"""Facts about the functions that users give as handlers."""

from __future__ import annotations

import functools
import inspect
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """Check that a handler or a hook is a function which gives its result when it is called.

    Raises:
        DefinitionError: it is no function, or a generator.
    """
    if not callable(handler):
        raise checks.refuse(f"`{name}` must be a function, not {handler!r}")
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        function = inspect.unwrap(handler).__code__
        at = f"{os.path.basename(function.co_filename)}:{function.co_firstlineno}"
        raise checks.refuse(
            f"`{name}` must return its result, and the function at {at} has a `yield`; "
            "`ctx.stream_chunk` sends what is to be seen before the end"
        )

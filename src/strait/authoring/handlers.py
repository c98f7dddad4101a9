"""Facts about the functions that users give as handlers."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strait.authoring.jobs import Handler


def is_async_handler(handler: Handler) -> bool:
    """Say whether calling a handler gives something to await.

    A partial is asked for what it wraps, and an object for its `__call__`.
    """
    while isinstance(handler, functools.partial):
        handler = handler.func
    if inspect.iscoroutinefunction(handler):
        return True
    return inspect.iscoroutinefunction(type(handler).__call__)

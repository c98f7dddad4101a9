"""The types of methods whose results are whole or streamed answers, for type checkers alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from strait.client.aio_calls import AsyncStreamedResponse
from strait.client.responses import APIResponse
from strait.client.sync_calls import StreamedResponse

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


def raw(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[object, P], APIResponse[T]]:
    """Return the type of a method that returns the whole answer."""
    raise NotImplementedError(_ONLY_TYPES)


def raw_async(
    method: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[object, P], Awaitable[APIResponse[T]]]:
    """Return the type of a method that returns the whole answer when it is awaited."""
    raise NotImplementedError(_ONLY_TYPES)


def streamed(
    method: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[object, P], StreamedResponse]:
    """Return the type of a method that returns an answer to be read in a `with` block."""
    raise NotImplementedError(_ONLY_TYPES)


def streamed_async(
    method: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[object, P], AsyncStreamedResponse]:
    """Return the type of a method that returns an answer to be read in an `async with` block."""
    raise NotImplementedError(_ONLY_TYPES)


_ONLY_TYPES = "these functions are for type checkers; the services make such methods themselves"

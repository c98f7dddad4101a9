"""Plain JSON instead of models, for clients with `response_format="dict"`."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from strait.client import raw, results
from strait.client.operation import Operation, StreamOperation

T = TypeVar("T")
# Texts and bytes are what they are in either format.
_AS_THEY_ARE = (results.text, results.content)


# Bounded, because raw requests are operations too, and as many as there are addresses.
@lru_cache(maxsize=1024)
def plain(operation: Operation[T]) -> Operation[T]:
    """Return the operation with the JSON of its answer for a result; `{}` where it has none."""
    if operation.decode in _AS_THEY_ARE:
        return operation
    decode: Any = raw.value
    return replace(operation, decode=decode)


@lru_cache(maxsize=1024)
def plain_stream(operation: StreamOperation[T]) -> StreamOperation[T]:
    """Return the stream with the JSON of its events for items."""
    decode: Any = raw.event
    return replace(operation, decode=decode)

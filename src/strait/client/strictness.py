"""Answers that must fit, for clients with `strict_responses=True`."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

from strait.client.effects import Response
from strait.client.operation import Operation

T = TypeVar("T")


# Bounded, because raw requests are operations too, and as many as there are addresses.
@lru_cache(maxsize=1024)
def strict(operation: Operation[T]) -> Operation[T]:
    """Return the operation in such a form that a field of another type is an error."""

    def decode(response: Response) -> T:
        # Here, because a client can be made, and call for texts, without any model.
        from strait.models.base import strictly  # noqa: PLC0415

        with strictly():
            return operation.decode(response)

    return operation.with_decode(decode)

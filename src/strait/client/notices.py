"""Warnings about a call or its answer, told at the line of the user's program that made it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from strait.client.effects import Request, Response
from strait.errors import IdempotencyWarning, MisplacedPayloadWarning, StraitDeprecationWarning

_PACKAGE = __name__.partition(".")[0] + "."
_DIFFERS = "idempotency-body-differs"


def tell(operation: str, request: Request, response: Response) -> None:
    """Warn if an answer is not the answer to what was asked.

    Args:
        operation: the name of the operation.
        request: what was asked.
        response: a successful answer.
    """
    # Only a request with a key can be answered like this, and most have none.
    if "idempotency-key" in request.headers and response.headers.get(_DIFFERS) == "true":
        warnings.warn(
            f"`{operation}`: its idempotency key was used before with another body, so nothing "
            "was done, and this is the answer of that time; give other work another key",
            IdempotencyWarning,
            stacklevel=_callers_level(),
        )


def unread(method: str, parameter: str, value: object) -> None:
    """Warn if a call is given what published clients took and no platform reads.

    Args:
        method: the method of the client.
        parameter: the name of its parameter.
        value: what it was given; None for nothing.
    """
    if value is not None:
        warnings.warn(
            f"`{method}`: no platform reads `{parameter}`, so it is not sent; leave it out, "
            "it is removed in 2.0",
            StraitDeprecationWarning,
            stacklevel=_callers_level(),
        )


def without_payload(fields: Sequence[str]) -> None:
    """Warn if a body that may have a payload has fields only that no platform reads.

    Args:
        fields: their names.
    """
    names = ", ".join(f"`{name}`" for name in fields[:3])
    warnings.warn(
        f"no platform reads {names} in this body, and it has no `payload`: if that was the "
        "payload, give it as `payload={…}`",
        MisplacedPayloadWarning,
        stacklevel=_callers_level(),
    )


def _callers_level() -> int:
    """Return the `stacklevel` of the first frame outside of this package, as its caller sees it.

    The standard library skips frames by their file only from Python 3.12 on.
    """
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - `inspect` reads the files of all frames
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level

"""Requests that no operation describes: the raw verbs of both clients."""

from __future__ import annotations

import json
from typing import Any

from strait.client.effects import Response
from strait.client.operation import Operation, StreamOperation
from strait.client.results import json_value
from strait.errors import Json, ValidationError

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


def raw(method: str, path: str) -> Operation[Json]:
    """Return an operation for a request that nothing describes.

    Raises:
        ValidationError: the method is unknown, or the path does not start with a slash.
    """
    if method.upper() not in _METHODS:
        raise ValidationError(f"`method` must be one of {', '.join(sorted(_METHODS))}: {method!r}")
    return Operation("raw", method.upper(), (_checked(path),), value)


def raw_stream(method: str, path: str) -> StreamOperation[Json]:
    """Return an operation for a stream that nothing describes.

    Raises:
        ValidationError: the method is not GET, or the path does not start with a slash.
    """
    if method.upper() != "GET":
        raise ValidationError(f"an event stream is opened with GET, not {method!r}")
    return StreamOperation("raw-stream", (_checked(path),), event, reopens=False)


def _checked(path: str) -> str:
    if not path.startswith("/") or any(part in {".", ".."} for part in path.split("/")):
        raise ValidationError(f"`path` must start with a slash and have no dot segments: {path!r}")
    return path


def value(response: Response) -> Json:
    """Return the JSON of an answer; an empty one is `{}`."""
    return json_value(response) if response.content else {}


def event(data: bytes) -> dict[str, Any]:
    """Return the JSON of an event; what is no object is an object's `data`."""
    try:
        found = json.loads(data)
    except ValueError:
        found = data.decode()
    return found if isinstance(found, dict) else {"data": found}

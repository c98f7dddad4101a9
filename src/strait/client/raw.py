"""Requests that no operation describes: the raw verbs of both clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from strait.client import results
from strait.client.effects import Response
from strait.client.operation import Operation, RequestOptions, StreamOperation
from strait.client.results import json_value
from strait.errors import Json, ValidationError

T = TypeVar("T")
Query: TypeAlias = Mapping[str, Any] | None
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class AskOptions(RequestOptions, total=False):
    """What a raw request can be told that has no body.

    Attributes:
        query: parameters; None values are left out.
    """

    query: Query


class SendOptions(AskOptions, total=False):
    """What a raw request can be told.

    Attributes:
        body: anything that JSON has, or a model.
    """

    body: Json


def split(options: SendOptions) -> tuple[Query, Json, RequestOptions]:
    """Return the query and the body of a raw request, and the options of its call."""
    rest: Any = {name: value for name, value in options.items() if name not in {"query", "body"}}
    return options.get("query"), options.get("body"), rest


def cast(kind: type[T]) -> Callable[[Response], T]:
    """Return what makes an object of this type of an answer.

    Raises:
        ValidationError: nothing can be made of JSON that has this type.
    """
    decode: Any
    model: Any = kind
    if kind is str:
        decode = results.text
    elif kind is bytes:
        decode = results.content
    elif hasattr(kind, "from_json"):
        decode = results.model(model)
    else:
        decode = results.read(_loader(kind))
    found: Callable[[Response], T] = decode
    return found


def _loader(kind: type[T]) -> Callable[[bytes], T]:
    # Here, because most programs never cast.
    from pydantic import TypeAdapter  # noqa: PLC0415
    from pydantic.errors import PydanticUserError  # noqa: PLC0415

    try:
        return TypeAdapter(kind).validate_json
    except PydanticUserError as error:
        why = str(error).partition("\n")[0]
        raise ValidationError(f"`cast_to={kind!r}` has no form in JSON: {why}") from error


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

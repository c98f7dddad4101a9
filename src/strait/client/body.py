"""Bodies: a mapping, a model or keywords become JSON bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from strait.client.address import timestamp
from strait.client.notices import without_payload
from strait.client.unset import UNSET
from strait.errors import Json, ValidationError

# As deep as a body may be for the platform, and more.
_DEEPEST = 100


def merged(
    body: object, keywords: Mapping[str, Any], nullable: frozenset[str] = frozenset()
) -> Json:
    """Return what is to be sent: `body`, with the keywords that were given over it.

    Args:
        body: a mapping, a model, any other JSON, or None for none.
        keywords: by their names on the wire; `UNSET` was not given, and neither was None.
        nullable: the keywords that are any JSON, of which None is a value.

    Raises:
        ValidationError: there are keywords, and `body` is not something with fields.
    """
    given = {
        name: value
        for name, value in keywords.items()
        if value is not UNSET and (value is not None or name in nullable)
    }
    if body is None:
        return given or None
    fields = _fields(body)
    if fields and keywords.get("payload") is UNSET and not _known(fields, keywords):
        without_payload(sorted(fields))
    if not given:
        return body if fields is None else fields
    if fields is None:
        names = ", ".join(f"`{name}`" for name in given)
        raise ValidationError(f"{names} cannot be added to a body of {type(body).__name__}")
    return {**fields, **given}


def _known(fields: Mapping[str, Any], keywords: Mapping[str, Any]) -> bool:
    # Published clients took the key of a trigger in its body.
    return not fields.keys().isdisjoint((*keywords, "idempotency_key"))


def _fields(body: object) -> dict[str, Any] | None:
    if isinstance(body, Mapping):
        return dict(body)
    if hasattr(body, "to_dict"):
        fields: dict[str, Any] = body.to_dict()
        return fields
    if is_dataclass(body) and not isinstance(body, type):
        return asdict(body)
    dumped = _dumped(body)
    return dumped if isinstance(dumped, dict) else None


def _dumped(value: object) -> Json:
    """Return what a pydantic model of the user is in JSON; None for anything else."""
    dump = None if isinstance(value, type) else getattr(value, "model_dump", None)
    return None if dump is None else dump(mode="json", by_alias=True)


def encode(body: Json) -> bytes:
    """Return the JSON of a body in UTF-8.

    Raises:
        ValidationError: something in it is no JSON: an unknown type, NaN, or a lone surrogate.
    """
    try:
        return _ENCODE(body).encode()
    except _UnfitError as error:
        place = _place(body, error.value).removeprefix(".")
        if isinstance(error.value, datetime):
            timestamp(error.value, place or "body")
        at = f" at `{place}`" if place else ""
        raise ValidationError(f"the body is no JSON: {error}{at}") from error
    except UnicodeEncodeError as error:
        raise ValidationError("the body has a text that is no valid Unicode") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"the body is no JSON: {error}") from error


class _UnfitError(Exception):
    """A value of a body cannot be sent."""

    def __init__(self, value: object) -> None:
        super().__init__(f"{type(value).__name__} has no form in JSON")
        self.value = value


def _place(inside: object, value: object, depth: int = 0) -> str:
    """Return where in a body a value stands, as `.payload.items[2].at`; "" if it is not found."""
    for name, entry in _entries(inside) if depth < _DEEPEST else ():
        # What a dataclass holds comes out of it as a copy.
        if entry is value or (isinstance(value, datetime) and entry == value):
            return name
        if deeper := _place(entry, value, depth + 1):
            return name + deeper
    return ""


def _entries(inside: object) -> Iterable[tuple[str, object]]:
    if isinstance(inside, list | tuple):
        return ((f"[{index}]", entry) for index, entry in enumerate(inside))
    return ((f".{name}", entry) for name, entry in (_fields(inside) or {}).items())


def _plain(value: object) -> Json:
    """Return what JSON has for a value that it does not know."""
    fields = _fields(value)
    if fields is None:
        fields = _dumped(value)  # a model of something that is no object
    if fields is not None:
        return fields
    match value:
        case datetime() if value.utcoffset() is not None:
            return timestamp(value, "body")
        case datetime():
            raise _UnfitError(value)
        case date() | UUID():
            return str(value)
        case Enum():
            return value.value
        case Set():
            return sorted(value)
    raise _UnfitError(value)


_ENCODE = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode


def check_mapping(given: object, name: str) -> None:
    """Check that what has names and values is a mapping, or is not given.

    Raises:
        ValidationError: it is something else.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ValidationError(
            f"`{name}` must be a mapping of names to values, not `{type(given).__name__}`"
        )

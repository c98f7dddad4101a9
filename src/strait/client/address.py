"""Addresses: path parameters as the platform's router reads them, and query strings.

The router matches a path undecoded unless it is escaped exactly like Go escapes one, so a colon
must be sent raw (`order:1`) and a space as `%20`. A slash can never be part of a parameter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any
from urllib.parse import quote

from strait.client.unset import UNSET
from strait.clock import from_timestamp, to_timestamp
from strait.errors import ValidationError

# What Go's `URL.EscapedPath` leaves as it is.
_SAFE = "$&+,:;=@"
_PLAIN = re.compile(r"[A-Za-z0-9_.~$&+,:;=@-]+", re.ASCII)


def segment(value: object, name: str) -> str:
    """Return a path parameter as it stands in the address.

    Raises:
        ValidationError: it is no text, or one that no address can carry.
    """
    if not isinstance(value, str) or not value:
        raise ValidationError(f"`{name}` must be a text that is not empty, not {value!r}")
    if _PLAIN.fullmatch(value) and value not in {".", ".."}:
        return value
    if value in {".", ".."} or "/" in value or any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValidationError(
            f"`{name}` must not be a dot segment nor have a slash or control characters: {value!r}"
        )
    try:
        return quote(value, safe=_SAFE)
    except UnicodeEncodeError as error:
        raise ValidationError(f"`{name}` is no valid Unicode: {value!r}") from error


def query_string(query: Mapping[str, Any], comma: frozenset[str] = frozenset()) -> str:
    """Return the query string, without a question mark, of what is neither None nor unset.

    Args:
        query: names and values: texts, numbers, booleans, dates, enums, and lists of these.
        comma: the names whose lists are one text with commas; other lists repeat their name.

    Raises:
        ValidationError: a value has no form in an address.
    """
    pairs: list[str] = []
    for name, value in query.items():
        if value is None or value is UNSET:
            continue
        key = quote(str(name), safe="[]")
        texts = _texts(value, name)
        if name in comma:
            texts = [",".join(texts)]
        pairs += [f"{key}={quote(text, safe='', errors='surrogatepass')}" for text in texts]
    return "&".join(pairs)


def _texts(value: object, name: str) -> list[str]:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return [_text(item, name) for item in value]
    return [_text(value, name)]


def _text(value: object, name: str) -> str:
    match value:
        case Enum():
            return _text(value.value, name)
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case datetime():
            return timestamp(value, name)
        case date():
            return value.isoformat()
    raise ValidationError(f"`{name}` cannot be sent in an address: {value!r}")


def timestamp(moment: datetime, name: str) -> str:
    """Return an instant as the platform writes it, in UTC.

    Raises:
        ValidationError: it has no UTC offset, so that nobody knows which instant is meant.
    """
    if moment.utcoffset() is None:
        raise ValidationError(f"`{name}` must have a time zone: {moment.isoformat()}")
    return to_timestamp(from_timestamp(moment.isoformat()))

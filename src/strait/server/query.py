"""From a query string to typed values, with defaults and the contract's words for what is wrong."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any, TypeAlias
from urllib.parse import parse_qs

import msgspec

from strait.clock import from_timestamp
from strait.server.errors import ApiError
from strait.server.schema import Query, Route

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
Value: TypeAlias = str | int | float | bool | list[str] | None


def decode_query(route: Route, raw_query: bytes) -> dict[str, Any]:
    """Return every declared parameter of `route` with its typed value.

    Timestamps stay texts, checked to be RFC 3339. What is absent has its default, or None.
    Parameters that the route does not declare are left out, as the platform ignores them.

    Raises:
        ApiError: 400 for a value that is refused, or a required one that is absent.
    """
    if not route.query:
        return {}
    given = parse_qs(raw_query.decode("latin-1"), keep_blank_values=True, errors="replace")
    values = {query.name: _value(query, given) for query in route.query}
    for query in route.query:
        if query.with_ and values[query.name] is not None and values[query.with_] is None:
            raise _bad(f"{query.with_} is required when {query.name} is provided")
    missing = [query for query in route.query if query.required and values[query.name] is None]
    if missing:
        raise _missing(missing)
    return values


def _missing(missing: list[Query]) -> ApiError:
    names = [query.name for query in missing]
    if {"from", "to"} & set(names):
        how = "a date like 2026-01-31" if missing[0].format == "date" else "RFC3339 format"
        return _bad(f"from and to query parameters are required ({how})")
    return _bad(f"{names[0]} is required")


def _value(query: Query, given: dict[str, list[str]]) -> Value:
    texts = given.get(query.name, []) + (given.get(query.alt, []) if query.alt else [])
    if query.type == "array":
        return _array(query, texts)
    text = texts[0] if texts else ""
    if not text:
        return query.default
    if query.unchecked:
        return _lenient(query, text)
    return _checked(query, text)


def _lenient(query: Query, text: str) -> Value:
    if query.enum:
        return text  # nothing has such a value: a filter by it finds nothing, rather than all
    try:
        return _checked(query, text)
    except ApiError:
        return query.default


def _array(query: Query, texts: list[str]) -> list[str] | None:
    if query.style == "comma":
        texts = [part.strip() for text in texts for part in text.split(",")]
    values = [text for text in texts if text]
    for value in values:
        _check_enum(query, value, "status" if query.name == "statuses" else query.name)
    return values or None


def _checked(query: Query, text: str) -> Value:
    match query.type:
        case "integer":
            return _integer(query, text)
        case "number":
            return _number(query, text)
        case "boolean":
            return _boolean(query, text)
        case _:
            return _text(query, text)


def _integer(query: Query, text: str) -> int:
    digits = text.removeprefix("-")
    # Eighteen digits fit into 64 bits; more is nothing that anybody means.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise _bad(_bounds(query))
    number = int(text)
    if query.min is not None and number < query.min:
        raise _bad(_bounds(query))
    if query.max is not None and number > query.max:
        if not query.clamped:
            raise _bad(_bounds(query))
        return int(query.max)
    return number


def _bounds(query: Query) -> str:
    if query.clamped or (query.name == "limit" and query.max is None):
        return f"{query.name} must be a positive integer"
    if query.min == 0 and query.max is None:
        return f"{query.name} must be a non-negative integer"
    if query.min is not None and query.max is not None:
        return f"{query.name} must be an integer from {query.min:g} to {query.max:g}"
    return f"{query.name} must be an integer"


def _number(query: Query, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    low = query.exclusive_min
    if not math.isfinite(number) or (low is not None and number <= low):
        raise _bad(f"{query.name} must be a number" + ("" if low is None else f" above {low:g}"))
    return number


def _boolean(query: Query, text: str) -> bool:
    if text not in {"true", "false", "1", "0"}:
        raise _bad(f"{query.name} must be true or false")
    return text in {"true", "1"}


def _text(query: Query, text: str) -> str:
    _check_enum(query, text, query.name)
    if query.max_length is not None and len(text) > query.max_length:
        raise _bad(f"{query.name} must be at most {query.max_length} characters")
    if query.format == "date-time" and not is_timestamp(text):
        kind = "cursor format" if query.name == "cursor" else f"{query.name}: RFC3339 is expected"
        raise _bad(f"invalid {kind}")
    if query.format == "date" and not _is_date(text):
        raise _bad(f"invalid {query.name}: a date like 2026-01-31 is expected")
    if query.format == "json" and not _is_json(text):
        raise _bad(f"{query.name} must be valid JSON")
    return text


def _check_enum(query: Query, text: str, name: str) -> None:
    if not query.enum or text in query.enum:
        return
    right = f"{name} must be one of {', '.join(query.enum)}"
    # The platform has these words; ours are the details.
    raise ApiError(400, f"{name} is invalid", details=[right]) if query.ref else _bad(right)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_json(text: str) -> bool:
    try:
        # As whoever asks for it reads it: Python's own takes `NaN`, and `1e999` for infinite.
        msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def _bad(message: str) -> ApiError:
    return ApiError(400, message)


def is_timestamp(text: str) -> bool:
    """Tell whether a text is an RFC 3339 timestamp, as strict as the platform."""
    if not _RFC3339.fullmatch(text):
        return False
    try:
        from_timestamp(text)
    except ValueError:
        return False
    return True

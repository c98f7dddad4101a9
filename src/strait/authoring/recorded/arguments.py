"""What a step was asked with, as a fingerprint, and where in the code it was asked."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

from strait.redaction import HIDDEN

_OWN = str(Path(__file__).parents[1])
# What a step is asked with is looked at, and never needed: it must not double what is kept.
_LONGEST_SHOWN = 2_048
_MOST_MARKS = 32
# A shorter one is a part of other texts, which would hide them.
_LEAST_SECRET = 4
# What is no JSON and yet the same text wherever it is the same value.
_WRITTEN_AS_TEXT = (Decimal, UUID, date, datetime, time, timedelta, PurePath)


def fingerprint(args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    """Return a digest of arguments, the same for the same JSON.

    Models and dataclasses count by their fields, and instants, decimals, enums, paths and UUIDs by
    their text. What else is no JSON, such as a connection, counts by the name of its type only: it
    cannot be compared over a crash.
    """
    return _digest([list(args), dict(kwargs)])[:32]


def marks(args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, str]:
    """Return a short digest of each argument, by its number from 1 or its name.

    They are there to say which one differs; whether any does, the fingerprint decides. Of very
    many arguments there are none.
    """
    named = {str(number): value for number, value in enumerate(args, 1)} | dict(kwargs)
    if len(named) > _MOST_MARKS:
        return {}
    return {name: _digest(value)[:6] for name, value in named.items()}


def shown(
    args: Sequence[object], kwargs: Mapping[str, object], secrets: Iterable[str]
) -> dict[str, Any] | None:
    """Return arguments for people to look at; None where they are none, or take too much room.

    What is no JSON is there by the name of its type, and a secret of the job as `[redacted]`.
    """
    if not args and not kwargs:
        return None
    text = _encode({"args": list(args), "kwargs": dict(kwargs)})
    text = text.encode("utf-8", "replace").decode()
    if len(text.encode()) > _LONGEST_SHOWN:
        return None
    for secret in secrets:
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(_encode(secret)[1:-1], HIDDEN)
    # No platform takes a NaN, and what is only looked at must not keep a step from its record.
    found: dict[str, Any] = json.loads(text, parse_constant=str)
    return {name: value for name, value in found.items() if value}


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return in words which arguments differ; empty if the marks do not say."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    shown = [f"argument {name}" if name.isdigit() else f"`{name}`" for name in names]
    if not before or not names:
        return ""
    return " and ".join(shown) + (" differs" if len(names) == 1 else " differ")


def place() -> str:
    """Return the file and line of the caller outside of `strait.authoring`: `orders.py:12`."""
    frame = sys._getframe(1)  # noqa: SLF001 - `inspect.stack` reads source files at each call
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def opened(value: object) -> Any:
    """Return what a model, a dataclass or a set holds; any other value stays.

    A set has an order then, the same in every process.
    """
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=_encode)
    return value


def _plain(value: object) -> Any:
    """Return a value that `json` does not know as one that it does."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, _WRITTEN_AS_TEXT):
        return str(value)
    inside = opened(value)
    return _type_name(value) if inside is value else inside


def _type_name(value: object) -> str:
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


_as_json = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
).encode


def _encode(value: object) -> str:
    """Return the text of any value, also of one that no JSON can be made of."""
    try:
        return _as_json(value)
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        return _as_json(_with_text_keys(value))
    except (TypeError, ValueError, RecursionError):
        return _as_json(_type_name(value))


def _with_text_keys(value: object) -> object:
    """Return a value whose dicts have texts for keys, so that they can be sorted."""
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else _encode(key): _with_text_keys(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_with_text_keys(inner) for inner in value]
    return value


def _digest(value: object) -> str:
    return sha256(_encode(value).encode("utf-8", "surrogatepass")).hexdigest()

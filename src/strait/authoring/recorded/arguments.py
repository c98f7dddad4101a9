"""What a step was asked with, as a fingerprint, and where in the code it was asked."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from strait.redaction import HIDDEN

_OWN = str(Path(__file__).parents[1])
# What a step is asked with is looked at, and never needed: it must not double what is kept.
_LONGEST_SHOWN = 2_048
_MOST_MARKS = 32
# A shorter one is a part of other texts, which would hide them.
_LEAST_SECRET = 4


def fingerprint(args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    """Return a digest of arguments, the same for the same JSON.

    Models and dataclasses count by their fields. What is no JSON, such as a connection, counts by
    the name of its type only: it cannot be compared over a crash.
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
    if len(text.encode()) > _LONGEST_SHOWN:
        return None
    for secret in secrets:
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(_encode(secret)[1:-1], HIDDEN)
    found: dict[str, Any] = json.loads(text)
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


def plain(value: object) -> Any:
    """Return a value that `json` does not know as one that it does."""
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(map(_encode, value))
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain
).encode


def _digest(value: object) -> str:
    return sha256(_encode(value).encode()).hexdigest()

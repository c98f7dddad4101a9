"""What a step was asked with, as a fingerprint, and where in the code it was asked."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

_OWN = str(Path(__file__).parents[1])


def fingerprint(args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    """Return a digest of arguments, the same for the same JSON.

    Models and dataclasses count by their fields. What is no JSON, such as a connection, counts by
    the name of its type only: it cannot be compared over a crash.
    """
    return _digest([list(args), dict(kwargs)])[:32]


def marks(args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, str]:
    """Return a short digest of each argument, by its number from 1 or its name.

    They are there to say which one differs; whether any does, the fingerprint decides.
    """
    named = {str(number): value for number, value in enumerate(args, 1)} | dict(kwargs)
    return {name: _digest(value)[:6] for name, value in named.items()}


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

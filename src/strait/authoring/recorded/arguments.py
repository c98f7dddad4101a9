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
    text = _encode([list(args), dict(kwargs)])
    return sha256(text.encode()).hexdigest()[:32]


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

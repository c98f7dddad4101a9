"""What differs between two JSON values, as lines for a person to read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

_MOST = 20
_LONGEST = 200
_NOTHING = object()


def differences(
    recorded: Any, now: Any, where: str = "result", hidden: Iterable[str] = ()
) -> list[str]:
    """Return one line for each place in which two values differ; at most 20, and how many more.

    Args:
        recorded: the value of then.
        now: the value of now.
        where: what the whole value is called.
        hidden: paths in the recorded value that are hidden, and so cannot be compared.
    """
    found = list(
        _compared(recorded, now, where, {f"{where}.{path}".rstrip(".") for path in hidden})
    )
    more = len(found) - _MOST
    return found if more <= 0 else [*found[:_MOST], f"and {more} more"]


def shown(value: Any) -> str:
    """Return a value as short JSON."""
    if value is _NOTHING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _compared(recorded: Any, now: Any, where: str, hidden: set[str]) -> Iterable[str]:
    if where in hidden:
        return
    if isinstance(recorded, Mapping) and isinstance(now, Mapping):
        for key in [*recorded, *(key for key in now if key not in recorded)]:
            yield from _compared(
                recorded.get(key, _NOTHING), now.get(key, _NOTHING), f"{where}.{key}", hidden
            )
    elif isinstance(recorded, list) and isinstance(now, list):
        for at in range(max(len(recorded), len(now))):
            then = recorded[at] if at < len(recorded) else _NOTHING
            yield from _compared(
                then, now[at] if at < len(now) else _NOTHING, f"{where}.{at}", hidden
            )
    # `True == 1`, and they are different JSON.
    elif recorded != now or isinstance(recorded, bool) is not isinstance(now, bool):
        yield f"{where}: recorded {shown(recorded)}, now {shown(now)}"

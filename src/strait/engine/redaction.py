"""Hiding parts of a value from whoever looks at it."""

from __future__ import annotations

from collections.abc import Iterable

from strait.engine.model import Json

HIDDEN = "[redacted]"


def redacted(value: Json, paths: Iterable[str]) -> Json:
    """Return a value with the parts at some paths hidden.

    Args:
        value: JSON; it is changed.
        paths: keys with dots between them, such as `card.number`; in a list they hold for each
            item. An empty path is the whole value.
    """
    for path in paths:
        value = _hidden(value, path.split(".") if path else [])
    return value


def _hidden(value: Json, keys: list[str]) -> Json:
    if isinstance(value, list):
        return [_hidden(item, keys) for item in value] if keys else HIDDEN
    if not keys:
        return HIDDEN
    if isinstance(value, dict) and keys[0] in value:
        value[keys[0]] = _hidden(value[keys[0]], keys[1:])
    return value

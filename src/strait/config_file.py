"""Reading `strait.json`: its JSON, its sections and their texts; every fault names its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from strait.errors import ConfigFileNotFoundError, ConfigurationError


def read_json(file: Path) -> Mapping[str, Any]:
    """Return the object that a file holds.

    Raises:
        ConfigFileNotFoundError: there is no such file.
        ConfigurationError: it cannot be read, or holds no JSON object.
    """
    try:
        content = file.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigFileNotFoundError(f"config file not found: `{file}`") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"`{file}` cannot be read: {error}") from error
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"invalid JSON in config file `{file}`: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"`{file}` must hold a JSON object")
    return document


def section(document: Mapping[str, Any], key: str, file: Path, name: str = "") -> Mapping[str, Any]:
    """Return an object within an object, an empty one if there is none.

    Raises:
        ConfigurationError: it is something else; `name` is where it stands, if not at the top.
    """
    found = document.get(key, {})
    if not isinstance(found, dict):
        raise ConfigurationError(f"`{file}`: `{name or key}` must be an object, not {found!r}")
    return found


def text(values: Mapping[str, Any], name: str, file: Path) -> str | None:
    """Return a text within an object by the last part of `name`; None if there is none.

    Raises:
        ConfigurationError: it is something else.
    """
    key = name.rpartition(".")[2]
    if key not in values:
        return None
    value = values[key]
    if not isinstance(value, str):
        raise ConfigurationError(f"`{file}`: `{name}` must be a text, not {value!r}")
    return value

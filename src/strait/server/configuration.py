"""Where the settings of a server come from: flags, the environment, and a file, in this order.

Secrets are never read from the file. `docs/embedded.md` shows the table that `table()` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from strait.config_file import read_json, section
from strait.errors import ConfigurationError
from strait.server.options import OPTIONS, PREFIX, Option, port
from strait.server.settings import Settings

SECTION = "server"
# They say which platform it is, and differ from one start to the next.
_OUTSIDE = frozenset({"host", "port", "db", "log_format", "log_level"})


def load(
    given: Mapping[str, str | None],
    environment: Mapping[str, str],
    file: Path | None = None,
) -> dict[str, Any]:
    """Return the settings that were given anywhere, ready for `Settings(**…)`.

    Args:
        given: texts of the command line by name; None where a flag was not given.
        environment: the environment.
        file: a `strait.json`; one that is not there has nothing to say.

    Raises:
        ConfigurationError: a setting cannot have its value, or the file has one that is none.
    """
    kept = _section(file)
    found: dict[str, Any] = {}
    for option in OPTIONS:
        for source, text in _sources(option, given, environment, kept):
            if text is not None:
                found[option.name] = _parsed(option, source, text)
                break
    return found


def _sources(
    option: Option,
    given: Mapping[str, str | None],
    environment: Mapping[str, str],
    kept: Mapping[str, Any],
) -> list[tuple[str, str | None]]:
    sources: list[tuple[str, str | None]] = (
        [] if option.secret else [(option.flag, given.get(option.name))]
    )
    sources += [(name, environment.get(name)) for name in (option.variable, *option.variables)]
    if option.name in kept:
        value = kept[option.name]
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        sources.append((f"`{SECTION}.{option.name}` of strait.json", text))
    return sources


def _parsed(option: Option, source: str, text: str) -> Any:
    try:
        return option.parse(text)
    except (ValueError, KeyError):
        shown = "its value" if option.secret else repr(text)
        raise ConfigurationError(f"{source}: {shown} is not {option.expected}") from None


def _section(file: Path | None) -> Mapping[str, Any]:
    if file is None or not file.exists():
        return {}
    found = section(read_json(file), SECTION, file)
    known = sorted(option.name for option in OPTIONS if not option.secret)
    for name in found:
        if name not in known:
            if name in _OUTSIDE:
                flag, variable = name.replace("_", "-"), f"{PREFIX}{name.upper()}"
                raise ConfigurationError(
                    f"`{file}`: `{SECTION}.{name}` is no setting of the file; "
                    f"give `--{flag}`, or set `{variable}`"
                )
            near = get_close_matches(name, known, n=1)
            right = (
                f"did you mean `{SECTION}.{near[0]}`?" if near else f"there are {', '.join(known)}"
            )
            raise ConfigurationError(f"`{file}`: `{SECTION}.{name}` is no setting; {right}")
    return found


def schema() -> dict[str, Any]:
    """Return the JSON schema of the section of `strait.json`."""
    defaults = Settings()
    properties = {
        option.name: {
            **_type_of(option, getattr(defaults, option.name)),
            "description": option.about,
        }
        for option in OPTIONS
        if not option.secret
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _type_of(option: Option, default: object) -> dict[str, Any]:
    match default:
        case None if option.parse is port:
            return {"type": "integer", "minimum": 0, "maximum": 65_535}
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case float():
            return {"type": "number", "minimum": 0}
        case tuple():
            return {"type": ["array", "string"], "items": {"type": "string"}}
        case _:
            return {"type": "string"}


def table() -> str:
    """Return the settings as a Markdown table."""
    defaults = Settings()
    lines = ["| flag | variable | default | what it does |", "|---|---|---|---|"]
    for option in OPTIONS:
        default = getattr(defaults, option.name)
        shown = "none" if default in {"", ()} else f"`{str(default).lower()}`"
        flag = "(environment only)" if option.secret else f"`{option.flag}`"
        names = ", ".join(f"`{name}`" for name in (option.variable, *option.variables))
        lines.append(f"| {flag} | {names} | {shown} | {option.about} |")
    return "\n".join(lines)

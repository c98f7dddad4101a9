"""Keys of a `strait.json` that nobody reads, and what was probably meant by them.

A key that resembles nothing is passed over: newer tools of the platform share the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from strait.config import FILE_NAME
from strait.config_file import read_json
from strait.errors import ConfigurationError

_CLIENT = ("base_url", "auth_type", "timeout_ms", "api_key_env")
# What the file has by the schema of the hosted platform, read here or not.
_TOP = (
    *("$schema", "project", "sdk", "environments", "server", "dirs", "endpoint_url", "retries"),
    *("max_duration_secs", "deploy", "worker", "cli"),
)
_KNOWN = {
    "": _TOP,
    "project": ("id", "name"),
    "sdk": (*_CLIENT, "debug"),
    "environments.*": (*_CLIENT, "endpoint_url"),
}
# Where a setting belongs that stands elsewhere.
_HOMES = {
    **{name: f"sdk.{name}" for name in _CLIENT},
    **dict.fromkeys(("project_id", "project"), "project.id"),
    "url": "sdk.base_url",
    "timeout": "sdk.timeout_ms",
    "profiles": "environments",
    "directories": "dirs",
}
_TOKENS = frozenset({"api_key", "apikey", "key", "token", "run_token", "secret"})
_ALIKE = 0.75


def strays(path: str | None = None) -> list[str]:
    """Return a line for each key that is misspelt or misplaced; none where there is no such file.

    Args:
        path: the file; by default the one of the working directory.
    """
    file = Path(path or FILE_NAME)
    try:
        document = read_json(file)
    except ConfigurationError:
        # Whoever needs the file says what is wrong with it.
        return []
    return [f"`{file}`: `{key}` is not read; {meant}" for key, meant in _strays(document)]


def _strays(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _of_section("", "", document)
    for name in ("project", "sdk"):
        if isinstance(section := document.get(name), dict):
            yield from _of_section(name, name, section)
    profiles = document.get("environments")
    for name, section in profiles.items() if isinstance(profiles, dict) else ():
        if isinstance(section, dict):
            yield from _of_section("environments.*", f"environments.{name}", section)


def _of_section(kind: str, name: str, section: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in section:
        if key not in _KNOWN[kind] and (meant := _meant(kind, name, key)):
            yield _under(name, key), meant


def _meant(kind: str, section: str, key: str) -> str:
    """Return what was probably meant by a key; "" where nothing is like it."""
    plain = _plain(key)
    if plain in _TOKENS:
        place = _under(section if kind not in {"", "project"} else "sdk", "api_key_env")
        return (
            "a key is kept out of files: set STRAIT_API_KEY, or name the variable that has it "
            f"as `{place}`"
        )
    near = get_close_matches(plain, _KNOWN[kind], n=1, cutoff=_ALIKE)
    if near:
        return f"did you mean `{_under(section, near[0])}`?"
    homes = get_close_matches(plain, _homes(), n=1, cutoff=_ALIKE)
    return f"did you mean `{_homes()[homes[0]]}`?" if homes else ""


def _homes() -> dict[str, str]:
    from strait.server.options import OPTIONS

    server = {option.name: f"server.{option.name}" for option in OPTIONS if not option.secret}
    return {**server, **_HOMES}


def _plain(key: str) -> str:
    """Return a key in the way in which ours are written: `baseUrl` and `BASE-URL` are `base_url`.

    >>> _plain("baseUrl"), _plain("BASE-URL")
    ('base_url', 'base_url')
    """
    snake = "".join(
        f"_{letter}" if letter.isupper() and before.islower() else letter
        for before, letter in zip(f" {key}", key, strict=False)
    )
    return snake.lower().replace("-", "_").replace(" ", "_")


def _under(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key

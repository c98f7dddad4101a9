"""`strait config`: each setting that a client would have, and where it comes from."""

from __future__ import annotations

import json
from dataclasses import asdict

from strait.cli.config_keys import strays
from strait.cli.session import tell_strays
from strait.config import Setting, explain


def show(
    *,
    path: str | None,
    profile: str | None,
    arguments: dict[str, str | int | None],
    as_json: bool,
) -> None:
    """Print every setting.

    Raises:
        ConfigurationError: one is wrong.
    """
    settings = explain(path, profile=profile, arguments=arguments)
    tell_strays(strays(path))
    if as_json:
        print(json.dumps([asdict(setting) for setting in settings]))
    else:
        print(_table(settings))


def _table(settings: list[Setting]) -> str:
    name = max(len(setting.name) for setting in settings)
    value = max(len(setting.value) for setting in settings)
    return "\n".join(
        f"{setting.name:<{name}}  {setting.value:<{value}}  {setting.source}"
        for setting in settings
    )

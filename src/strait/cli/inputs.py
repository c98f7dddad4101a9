"""What people give to commands: payloads, durations, answers to a question, secrets."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from strait.cli.failures import CommandError, ExitCode

if TYPE_CHECKING:
    from strait.errors import Json

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+)([smhd])", re.ASCII)


def payload(text: str | None, pairs: Sequence[str]) -> Json:
    """Return the payload that was given; None for none.

    Args:
        text: JSON, `@FILE`, or `-` for the standard input.
        pairs: `key=text` and `key:=JSON`; a dot in a key leads into an object.

    Raises:
        CommandError: it is no JSON, or both were given.
    """
    if text is not None and pairs:
        raise CommandError(
            "`--payload` and `key=value` are both given", "give one of them", ExitCode.USAGE
        )
    if text is not None:
        return _document(text)
    if not pairs:
        return None
    document: dict[str, Json] = {}
    for pair in pairs:
        _put(document, pair)
    return document


def _document(text: str) -> Json:
    where = "`--payload`"
    try:
        if text == "-":
            where = "the standard input"
            text = sys.stdin.read()
        elif text.startswith("@"):
            where = f"`{text[1:]}`"
            text = Path(text[1:]).read_text("utf-8")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f"{where} is no JSON: {error}",
            "write JSON, @FILE, `-` for the standard input, or key=value",
            ExitCode.USAGE,
        ) from None


def _put(document: dict[str, Json], pair: str) -> None:
    name, equals, text = pair.partition("=")
    is_json = name.endswith(":")
    path = name.removesuffix(":").split(".")
    if not equals or not all(path):
        raise CommandError(
            f"{pair!r} is no `key=value`", "write key=text or key:=JSON", ExitCode.USAGE
        )
    value: Json = text
    if is_json:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CommandError(
                f"{text!r} of `{name}=` is no JSON: {error}", "write key=text", ExitCode.USAGE
            ) from None
    for step in path[:-1]:
        document = document.setdefault(step, {})
        if not isinstance(document, dict):
            raise CommandError(
                f"`{pair}`: `{step}` is a text already", "give it once", ExitCode.USAGE
            )
    document[path[-1]] = value


def seconds(text: str, option: str) -> int:
    """Return the seconds of a duration such as `90s`, `5m`, `12h` or `30d`.

    Raises:
        CommandError: it is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise CommandError(
            f"`{option} {text}` is no duration", "write it like 90s, 5m, 12h or 30d", ExitCode.USAGE
        )
    return int(found[1]) * _UNITS[found[2]]


def ago(text: str, option: str) -> datetime:
    """Return the instant a duration ago."""
    return datetime.now(UTC) - timedelta(seconds=seconds(text, option))


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless `--yes` was given.

    Raises:
        CommandError: nobody can be asked.
        Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(
            f"{question} nobody can be asked here", "say `--yes` to do it", ExitCode.USAGE
        )
    click.confirm(question, abort=True, err=True)


def secret(name: str) -> str:
    """Return the value of a secret: asked for without an echo, or read from the standard input.

    Raises:
        CommandError: it is empty.
    """
    if sys.stdin.isatty():
        value: str = click.prompt(f"value of {name}", hide_input=True, err=True)
    else:
        # A file or `echo` ends with a line break that is not meant.
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not value:
        raise CommandError(
            f"the value of {name} is empty",
            f"pipe it in: `strait secrets set {name} < FILE`",
            ExitCode.USAGE,
        )
    return value

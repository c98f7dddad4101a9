"""Writes the list of commands into `docs/cli.md`: `python -m tests.docs.cli_reference`.

Between its two markers the page is what the commands say themselves; `make generate` writes it
anew, and a test fails when it is behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from strait.cli.commands import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BEGIN, END = "<!-- commands: generated -->", "<!-- end of commands -->"
# They are the same everywhere, and told once.
SHARED = {"--base-url", "--api-key", "--project", "--profile", "--file", "--json", "--help"}


def leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Return a command, or those of a group, by their whole names."""
    if isinstance(command, click.Group):
        for inner, found in command.commands.items():
            yield from leaves(f"{name} {inner}", found)
    else:
        yield name, command


def reference() -> str:
    """Return the list of all commands."""
    parts = []
    for heading, section in COMMANDS.items():
        parts.append(f"### {heading}")
        for name, entry in section.items():
            for whole, command in leaves(f"strait {name}", entry.load()):
                parts.append(f"#### {whole}\n\n{_about(whole, command)}")
    return "\n\n".join(parts)


def _about(name: str, command: click.Command) -> str:
    words = [
        parameter.make_metavar(click.Context(command))
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    ]
    paragraphs = [_joined(text) for text in (command.help or "").split("\n\n")]
    rows = [
        f"- `{', '.join(option.opts)}`: {_help(option)}"
        for option in command.params
        if isinstance(option, click.Option) and not SHARED & set(option.opts)
    ]
    usage = " ".join([name, *words])
    return "\n\n".join([f"`{usage}`", *paragraphs, *(["\n".join(rows)] if rows else [])])


def _joined(text: str) -> str:
    if text.startswith("\b"):
        return "\n".join(["```text", *text.splitlines()[1:], "```"])
    return " ".join(text.split())


def _help(option: click.Option) -> str:
    text = " ".join((option.help or "").split()).rstrip(".")
    if isinstance(option.type, click.Choice):
        text += f" ({', '.join(map(str, option.type.choices))})"
    return re.sub(r"<(\w+)>", r"`\1`", text)


def written(page: str) -> str:
    """Return the page with the list of commands as they are now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")

"""The group `strait`: where each command lives, and the line about it that `--help` shows.

A command's module is imported when the command is used. `strait --help` imports click alone, so
that it is there at once; a test holds the lines to what the commands say themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import click

from strait._version import __version__


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is not imported yet.

    Attributes:
        module: the module of `strait.cli` that has it.
        name: its name there.
        about: the first sentence of its help.
    """

    module: str
    name: str
    about: str

    def load(self) -> click.Command:
        """Import the command."""
        command = getattr(import_module(f"strait.cli.{self.module}"), self.name)
        if not isinstance(command, click.Command):
            raise TypeError(f"`{self.module}.{self.name}` is no command")
        return command


# By heading, in the order in which `--help` shows them.
COMMANDS = {
    "Run here": {
        "dev": Entry(
            "platform_commands",
            "dev",
            "Run a platform on this machine, with what TARGET defines",
        ),
        "serve": Entry(
            "platform_commands", "serve", "Run a platform on this machine without handlers"
        ),
        "db": Entry("db_commands", "db", "Look after the database of a platform"),
    },
    "Bring definitions to a platform": {
        "check": Entry(
            "check_commands",
            "check",
            "Say what of TARGET cannot work, here or on another platform",
        ),
        "export": Entry(
            "transfer_commands",
            "export_command",
            "Write what a project consists of to OUT, or to the standard output",
        ),
        "import": Entry(
            "transfer_commands",
            "import_command",
            "Bring FILE, which `strait export` wrote, into a project",
        ),
    },
    "Set up": {
        "config": Entry(
            "check_commands",
            "config",
            "Show each setting of a client here, and where it comes from",
        ),
    },
}


ENTRIES = {name: entry for section in COMMANDS.values() for name, entry in section.items()}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = ENTRIES.get(cmd_name)
        return None if entry is None else entry.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings, and import none."""
        width = max(map(len, ENTRIES))
        for heading, section in COMMANDS.items():
            with formatter.section(heading):
                rows = [(f"{name:<{width}}", entry.about) for name, entry in section.items()]
                formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="strait")
def cli() -> None:
    """Durable jobs, workflows, flows and agents."""

"""The group `strait`: where each command lives, and the line about it that `--help` shows.

A command's module is imported when the command is used. `strait --help` imports click alone, so
that it is there at once; a test holds the lines to what the commands say themselves.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any

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
            "platform_commands", "dev", "Run a platform on this machine, with what TARGET defines"
        ),
        "serve": Entry(
            "platform_commands", "serve", "Run a platform on this machine without handlers"
        ),
        "worker": Entry(
            "worker_commands",
            "worker",
            "Run jobs of TARGET in a worker, which connects out to a platform",
        ),
        "db": Entry("db_commands", "db", "Look after the database of a platform"),
    },
    "Work with a platform": {
        "trigger": Entry("trigger_commands", "trigger", "Start a run of the job or workflow SLUG"),
        "runs": Entry("runs_commands", "runs", "List, watch, cancel, replay and purge runs"),
        "jobs": Entry("jobs_commands", "jobs", "List, show, pause and enable jobs"),
        "workflows": Entry(
            "workflows_commands", "workflows", "List, show, trigger and approve workflows"
        ),
        "events": Entry("events_commands", "events", "Send events, and list who waits for some"),
        "schedules": Entry(
            "schedules_commands", "schedules", "List and pause what is started by the clock"
        ),
        "secrets": Entry("secrets_commands", "secrets", "Set, list and delete secrets of jobs"),
        "dlq": Entry("dlq_commands", "dlq", "List, replay and purge dead letters"),
    },
    "Bring definitions to a platform": {
        "check": Entry(
            "check_commands", "check", "Say what of TARGET cannot work, here or on another platform"
        ),
        "deploy": Entry(
            "deploy_commands",
            "deploy",
            "Bring the jobs and workflows of TARGET to a platform, planned first",
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
        "init": Entry(
            "init_commands", "init", "Write a project into DIRECTORY: jobs, and a test of them"
        ),
        "doctor": Entry("doctor_commands", "doctor", "Look for what is wrong, and say what to do"),
        "prove": Entry(
            "prove_commands", "prove", "Kill a platform again and again, and compare its books"
        ),
        "config": Entry(
            "check_commands",
            "config",
            "Show each setting of a client here, and where it comes from",
        ),
        "completion": Entry(
            "completion_commands", "completion", "Print what lets SHELL complete `strait`"
        ),
    },
}


ENTRIES = {name: entry for section in COMMANDS.values() for name, entry in section.items()}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; what goes wrong is one line and an exit code, see `strait.cli.failures`.

        Within a program (`standalone_mode=False`) errors are raised as they are.
        """
        run = super().main
        if not standalone_mode:
            return run(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            status = run(args, prog_name, complete_var, standalone_mode=False, **extra)
        except BrokenPipeError:
            # Who reads has gone, as `head` does; nothing more is to be written.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:  # noqa: BLE001 - the last one before the person who typed
            from strait.cli.failures import tell

            sys.exit(tell(error))
        # Of `--help` and `--version` it is a number; commands return nothing.
        sys.exit(status if isinstance(status, int) else 0)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Return the commands that begin like this, and import none."""
        from click.shell_completion import CompletionItem

        return [
            CompletionItem(name, help=entry.about)
            for name, entry in ENTRIES.items()
            if name.startswith(incomplete)
        ]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = ENTRIES.get(cmd_name)
        return None if entry is None else entry.load()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; of one that is not there, say which it may have been."""
        if not ctx.resilient_parsing and not args[0].startswith("-") and args[0] not in ENTRIES:
            near = get_close_matches(args[0], ENTRIES, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"no such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings, and import none."""
        width = max(map(len, ENTRIES))
        for heading, section in COMMANDS.items():
            with formatter.section(heading):
                rows = [(f"{name:<{width}}", entry.about) for name, entry in section.items()]
                formatter.write_dl(rows)


@click.group("strait", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="strait")
def cli() -> None:
    """Durable jobs, workflows, flows and agents."""

"""The command `strait`. Each command is imported when it is called, so `--help` stays quick."""

from __future__ import annotations

import sys
from io import TextIOWrapper


def main() -> None:
    """Run the command line."""
    try:
        from strait.cli.commands import cli
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit(
            "strait: `click` is not installed — "
            "the command line needs `pip install 'strait-python[cli,server]'`"
        )
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that has no such letter, or half of a surrogate pair, ends no command.
        sys.stdout.reconfigure(errors="backslashreplace")
    cli(prog_name="strait")

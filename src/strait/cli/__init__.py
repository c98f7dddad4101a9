"""The command `strait`. Each command is imported when it is called, so `--help` stays quick."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def _open_what_is_closed() -> None:
    """Let standard streams that were closed lead to nothing.

    Else the next file that is opened, such as a database, would be the standard output of whatever
    prints something.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # It gets the lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


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
    _open_what_is_closed()
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that has no such letter, or half of a surrogate pair, ends no command.
        sys.stdout.reconfigure(errors="backslashreplace")
    cli(prog_name="strait")

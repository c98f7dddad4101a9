"""The command `strait`. Each command is imported when it is called, so `--help` stays quick."""

from __future__ import annotations

import sys


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
    cli(prog_name="strait")

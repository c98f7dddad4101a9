"""The command `strait`. Each command is imported when it is called, so `--help` stays quick."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, and exit with one line when an extra is not installed."""
    try:
        from strait.cli.commands import cli

        cli()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "strait"}:
            raise
        sys.exit(
            f"strait: `{missing}` is not installed; "
            "the command line needs `pip install 'strait-python[cli,server]'`"
        )

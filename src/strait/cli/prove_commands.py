"""`strait prove`: a platform under a thousand orders and fifty kills, and what its books say."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from strait.cli.failures import CommandError


@click.command()
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed is the same plan."
)
@click.option(
    "--orders", type=click.IntRange(min=10), default=1_000, show_default=True, help="How many."
)
@click.option(
    "--kills",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many, of the server, its worker or both; at most one for each order.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep all files in this directory, which must be new or empty.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON, at the end.")
def prove(seed: int, orders: int, kills: int, keep: Path | None, *, as_json: bool) -> None:
    """Kill a platform again and again, and compare its books.

    A shop takes orders, and has each paid by a payment provider with a ledger of its own, while
    `kill -9` ends the platform's server, the worker that runs the shop's code, or both, in the
    middle of the work. Half way the shop's code changes under orders that wait: a step is
    inserted, a list is reordered, and some orders meet a change that must be caught. Some events
    come before anybody waits for them, the disk is full for a while, and a run sleeps for three
    days under a virtual clock.

    In the end there must be one completed run and one charge for each trigger that was
    acknowledged, and no step that was on record may have been carried out again. The same seed
    draws the same plan of all of it, whose digest is printed.

    The exit code is 0 if all of it holds, and 1 if anything does not; then each line names what
    differs, and all files are kept. Nothing is touched but a directory of its own. It needs the
    extras `cli` and `server`, and a system with `kill -9`: Linux or macOS (which cannot fill a
    disk, and says so).
    """
    if sys.platform == "win32":
        raise CommandError(
            "`strait prove` ends processes as only Linux and macOS can",
            "run it there, in WSL or in a container",
        )
    from strait.cli.proving import run

    run(seed, orders, kills, keep, as_json=as_json)

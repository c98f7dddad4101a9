"""`make bench`: run every measurement and print a table for docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
from collections.abc import Callable, Iterable
from functools import partial

from benchmarks import (
    bulk,
    cli,
    client,
    engines,
    imports,
    peers,
    reload,
    restart,
    server,
    shapes,
    start,
    steps,
    stored,
    yardstick,
)

_PARTS = (
    "imports", "cli", "client", "server", "steps", "bulk", "stored", "start", "restart", "reload",
    "shapes", "engines", "peers",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("only", nargs="*", choices=[*_PARTS, []])
    parser.add_argument("--runs", type=int, default=5_000, help="how many runs the server does")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {_load()}")
    print(f"this machine now: {yardstick.told()}\n")
    print("| figure | measured | baseline |\n|---|---|---|")
    parts: dict[str, Callable[[], Iterable[server.Row]]] = {
        "imports": imports.measure,
        "cli": cli.measure,
        "client": client.measure,
        "server": partial(server.measure, options.runs),
        "steps": steps.measure,
        "bulk": bulk.measure,
        "stored": stored.measure,
        "start": start.measure,
        "restart": restart.measure,
        "reload": reload.measure,
        "shapes": shapes.measure,
    }
    for name, measure in parts.items():
        if not options.only or name in options.only:
            for row in measure():
                print("| " + " | ".join(row) + " |", flush=True)
    tables: dict[str, Callable[[], Iterable[str]]] = {
        "engines": partial(engines.table, options.runs),
        "peers": partial(peers.table, client.JOB),
    }
    for name, table in tables.items():
        if not options.only or name in options.only:
            print()
            for line in table():
                print(line, flush=True)
    print(f"\nat the end: {_load()}")


def _load() -> str:
    """Say what else the machine does, without which no figure means anything."""
    return "load " + " ".join(f"{average:.1f}" for average in os.getloadavg())


if __name__ == "__main__":
    main()

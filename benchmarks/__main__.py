"""`make bench`: run every measurement and print a table for docs/benchmarks.md."""

from __future__ import annotations

import argparse
import platform
import sqlite3
from collections.abc import Callable
from functools import partial

from benchmarks import client, imports, peers, server


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("only", nargs="*", choices=["imports", "client", "server", "peers", []])
    parser.add_argument("--runs", type=int, default=5_000, help="how many runs the server does")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}\n")
    print("| figure | measured | baseline |\n|---|---|---|")
    parts: dict[str, Callable[[], list[tuple[str, str, str]]]] = {
        "imports": imports.measure,
        "client": client.measure,
        "server": partial(server.measure, options.runs),
    }
    for name, measure in parts.items():
        if not options.only or name in options.only:
            for row in measure():
                print("| " + " | ".join(row) + " |", flush=True)
    if not options.only or "peers" in options.only:
        print()
        for line in peers.table(client.JOB):
            print(line, flush=True)


if __name__ == "__main__":
    main()

"""`make faults`: 50,000 calls, a fifth of them faulted; exits with 1 if anything went wrong."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .load import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--calls", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit-secs", type=float, default=900)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        working = run(options.calls, options.seed, Path(directory), rounds=2)
        found = asyncio.run(asyncio.wait_for(working, options.limit_secs))
    print(f"{options.calls} calls, {found.faulted} of them faulted, {found.attempts} requests seen")
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s")
    _table("calls", found.calls)
    _table("faults", found.faults)
    _table("errors", found.errors)
    _table("effects on the platform", found.effects)
    is_exact = found.effects == found.expected
    print(f"effects == logical calls: {is_exact}")
    print(f"calls without a key that failed though the platform got them: {found.may_exist}")
    print("\n".join(["what must not happen:", *(found.wrong or ["nothing"])]))
    sys.exit(1 if found.wrong or not is_exact else 0)


def _table(title: str, counted: Counter[str]) -> None:
    print(f"\n{title}")
    for name, count in sorted(counted.items()):
        print(f"  {name:40} {count:7}")


if __name__ == "__main__":
    main()

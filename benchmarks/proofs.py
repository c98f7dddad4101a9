"""The second half of `make soak`: `strait prove` under twenty seeds, each with faults of its own.

Prints a line for each seed, and what was wrong; exits with 1 if anything was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

_FIGURES = ("acknowledged", "runs", "charges", "recorded_steps_run_again")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs", description=__doc__)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--orders", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    failed = [seed for seed in seeds if not _holds(seed, options.orders, options.kills)]
    print(f"{len(seeds) - len(failed)} of {len(seeds)} proofs hold")
    sys.exit(1 if failed else 0)


def _holds(seed: int, orders: int, kills: int) -> bool:
    wanted = ("--seed", str(seed), "--orders", str(orders), "--kills", str(kills), "--json")
    done = subprocess.run(
        [sys.executable, "-m", "strait.cli", "prove", *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout:
        print(f"seed {seed}: {done.stderr.strip()}", flush=True)
        return False
    said: dict[str, Any] = json.loads(done.stdout)
    figures = ", ".join(f"{name} {said[name]}" for name in _FIGURES)
    caught, took, kept = len(said["mismatches"]), said["took_secs"], said["files"]
    print(f"seed {seed} ({said['plan'][:8]}): {figures}, caught {caught}, {took} s", flush=True)
    for fault in said["faults"]:
        print(f"  {fault} (see {kept})", flush=True)
    return bool(said["holds"]) and done.returncode == 0


if __name__ == "__main__":
    main()

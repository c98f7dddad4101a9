"""`make fuzz`: 100,000 requests, every answer held against the description."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from fuzz.drive import fuzz

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "100000"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or time.time_ns() % 1_000_000
WORKERS = 8


def main() -> None:
    """Fuzz, print what was found, and fail when it is anything."""
    print(f"seed {SEED} (FUZZ_SEED={SEED} makes the same requests)", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        report = asyncio.run(fuzz(Path(directory), requests=REQUESTS, seed=SEED, workers=WORKERS))
    print(f"{report}\n{time.monotonic() - began:.0f} s")
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()

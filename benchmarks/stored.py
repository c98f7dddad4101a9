"""What runs cost on a platform that has done 100,000 of them already, beside one that has not."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import million
from benchmarks.server import Row, platform_at

_STORED = 100_000


def measure() -> list[Row]:
    """Measure both platforms in turns."""
    with tempfile.TemporaryDirectory() as directory:
        full, empty = Path(directory) / "full", Path(directory) / "empty"
        for place in (full, empty):
            place.mkdir()
        million.build(full, _STORED)
        with platform_at(full) as big, platform_at(empty) as small:
            ((figure, measured, beside),) = million.latencies(big, small)
    return [(f"with {_STORED:,} stored runs: {figure}", measured, beside)]

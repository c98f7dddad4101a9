"""How fast the machine is at the moment, so that figures of two days can be read side by side.

Virtual machines of one size differ by a factor of three from one day to the next. What is measured
here needs nothing of this project.
"""

from __future__ import annotations

import os
import tempfile
import time

_ADDITIONS = 2_000_000
_SYNCS = 200
_PAGE = b"x" * 4096


def told() -> str:
    """Return the two figures that all others hang on, as one line."""
    return f"{additions():.0f} ns for an addition of Python, {sync():.2f} ms for a synced page"


def additions() -> float:
    """Return what one addition in a loop costs, in ns of CPU."""
    total = 0
    began = time.process_time()
    for number in range(_ADDITIONS):
        total += number
    return (time.process_time() - began) / _ADDITIONS * 1e9


def sync() -> float:
    """Return how long the disk takes to have one page for good, in ms."""
    with tempfile.NamedTemporaryFile() as file:
        began = time.perf_counter()
        for _ in range(_SYNCS):
            file.write(_PAGE)
            file.flush()
            os.fdatasync(file.fileno())
        return (time.perf_counter() - began) / _SYNCS * 1000

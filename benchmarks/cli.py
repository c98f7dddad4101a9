"""What `strait --help` costs over an interpreter that does nothing, and how long it takes."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

_TIMES = 21
_HELP = [sys.executable, "-m", "strait.cli", "--help"]


def measure() -> list[tuple[str, str, str]]:
    bare_cpu, bare_took = _spent([sys.executable, "-c", "pass"])
    click_cpu, _ = _spent([sys.executable, "-c", "import click"])
    cpu, took = _spent(_HELP)
    return [
        (
            "`strait --help`, CPU over bare Python",
            f"{cpu - bare_cpu:.0f} ms",
            f"`import click` {click_cpu - bare_cpu:.0f} ms",
        ),
        ("`strait --help`, until it is there", f"{took:.0f} ms", f"bare Python {bare_took:.0f} ms"),
    ]


def _spent(command: list[str]) -> tuple[float, float]:
    """Return the median CPU time and the median duration of a command, in ms."""
    cpu, took = [], []
    for _ in range(_TIMES):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(cpu) * 1000, statistics.median(took) * 1000

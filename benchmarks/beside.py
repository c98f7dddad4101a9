"""`python -m benchmarks.beside CHECKOUT`: this platform and that of another checkout, in turns.

A machine that is shared runs at half its speed for minutes at a time, so that two figures say
nothing unless they were measured in the same moment. Both platforms stand at once; each round
gives each of them the same little load, and what is told is the median of the rounds' ratios, with
the quarter below and the quarter above it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import yardstick
from benchmarks.server import Load, chain, cpu_ms, drain, latency, platform_at
from strait import Client

_RUNS = 400
_WORKFLOWS = 32
_STEPS = 10
_SINGLE = 30

Figures = dict[str, float]


class Side:
    """One of the two platforms, and the loads for it."""

    def __init__(self, stack: ExitStack, source: Path) -> None:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._ready: dict[str, Any] = stack.enter_context(platform_at(directory, source=source))
        base_url, api_key = self._ready["base_url"], self._ready["api_key"]
        self._client = stack.enter_context(Client(base_url=base_url, api_key=api_key))
        job_id = next(job.id for job in self._client.jobs.list() if job.slug == "noop")
        workflow = chain(self._client, self._ready["project_id"], job_id, _STEPS)
        self._runs = Load(self._ready, f"/v1/jobs/{job_id}/trigger")
        self._workflows = Load(self._ready, f"/v1/workflows/{workflow}/trigger")
        self._did(self._runs, _RUNS)  # connections, caches

    def round(self) -> Figures:
        """Give it its load once, and return what that took."""
        took, cpu = self._did(self._runs, _RUNS)
        figures = {"no-op runs/s": _RUNS / took, "CPU of the server for a run, µs": cpu / _RUNS}
        took, cpu = self._did(self._workflows, _WORKFLOWS)
        steps = _WORKFLOWS * _STEPS
        figures["10-step workflows/s"] = _WORKFLOWS / took
        figures["CPU of the server for a step, µs"] = cpu / steps
        sent = asyncio.run(self._runs.one_at_a_time(_SINGLE))
        figures["one every 10 ms, p50, ms"] = latency(self._client, sent)[0]
        return figures

    def _did(self, load: Load, count: int) -> tuple[float, float]:
        """Return how long a load took in s, and the CPU time of the server in µs."""
        before, began = cpu_ms(self._ready["pid"]), time.perf_counter()
        asyncio.run(load.trigger(count))
        drain(self._client)
        return time.perf_counter() - began, (cpu_ms(self._ready["pid"]) - before) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside", description=__doc__)
    parser.add_argument("checkout", type=Path, help="the root of the other checkout")
    parser.add_argument("--rounds", type=int, default=24)
    options = parser.parse_args()
    print(f"this machine now: {yardstick.told()}; load {os.getloadavg()[0]:.1f}\n")
    sources = (options.checkout.resolve() / "src", Path(__file__).parents[1] / "src")
    seen: list[dict[str, list[float]]] = [defaultdict(list), defaultdict(list)]
    with ExitStack() as stack:
        sides = [Side(stack, source) for source in sources]
        for number in range(options.rounds):
            # Whoever comes second finds the machine as the first has left it.
            for place in (0, 1) if number % 2 == 0 else (1, 0):
                for name, value in sides[place].round().items():
                    seen[place][name].append(value)
    print("| figure | the other | this one | ratio, and half of the rounds |\n|---|---|---|---|")
    for name, others in seen[0].items():
        print(_row(name, others, seen[1][name]))


def _row(name: str, others: list[float], ours: list[float]) -> str:
    low, middle, high = statistics.quantiles([b / a for a, b in zip(others, ours, strict=True)])
    medians = f"{statistics.median(others):.4g} | {statistics.median(ours):.4g}"
    return f"| {name} | {medians} | {middle:.2f}x ({low:.2f} to {high:.2f}) |"


if __name__ == "__main__":
    main()

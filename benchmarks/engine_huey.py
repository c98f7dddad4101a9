"""What a no-op task costs in huey on SQLite. It runs in huey's own environment, prints JSON.

`python engine_huey.py DIRECTORY RUNS SINGLE`: it must not import anything of this repository. The
queue is synced with every commit (`fsync=True`); the consumer is a process of its own.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from huey import SqliteHuey

_AT_ONCE = 8
# The shortest pause of a worker that has found nothing; by default it begins with 100 ms.
_POLL_SECS = "0.001"

huey = SqliteHuey(
    filename=os.environ.get("BENCH_HUEY_DB") or str(Path(sys.argv[1]) / "huey.db"),
    fsync=True,
    timeout=60,
)


@huey.task()
def noop(n: int) -> bool:
    return True


def main() -> None:
    directory, runs, single = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    environment = {
        **os.environ,
        "BENCH_HUEY_DB": str(directory / "huey.db"),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    consumer = str(Path(sys.executable).with_name("huey_consumer"))
    options = ["-w", "4", "-d", _POLL_SECS, "-m", _POLL_SECS, "-n", "-q"]
    with subprocess.Popen([consumer, "engine_huey.huey", *options], env=environment) as process:
        try:
            print(json.dumps(_measured(runs, single)))
        finally:
            process.terminate()


def _measured(runs: int, single: int) -> dict[str, float]:
    _done(0)
    started = time.perf_counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = list(pool.map(noop, range(runs)))
        if not all(result.get(blocking=True, backoff=1.0, max_delay=0.001) for result in results):
            raise RuntimeError("a task did not complete")
    rate = runs / (time.perf_counter() - started)
    times = [_done(n) * 1000 for n in range(single)]
    p99 = statistics.quantiles(times, n=100)[98]
    return {"rate": rate, "p50_ms": statistics.median(times), "p99_ms": p99}


def _done(n: int) -> float:
    """Return how long one task took, from its call to its result."""
    began = time.perf_counter()
    noop(n).get(blocking=True, backoff=1.0, max_delay=0.001)
    return time.perf_counter() - began


if __name__ == "__main__":
    # Tasks are named by their module, which must have the same name in the consumer.
    importlib.import_module("engine_huey").main()

"""What a no-op workflow costs in DBOS on SQLite. It runs in DBOS's own environment, prints JSON.

`python engine_dbos.py DIRECTORY RUNS SINGLE`: it must not import anything of this repository.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dbos import DBOS

_AT_ONCE = 32


@DBOS.workflow()
def noop(n: int) -> bool:
    return True


def main() -> None:
    directory, runs, single = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    url = f"sqlite:///{directory / 'dbos.db'}"
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(noop, range(50)))
        started = time.perf_counter()
        done = list(pool.map(noop, range(runs)))
        rate = runs / (time.perf_counter() - started)
    if not all(done):
        raise RuntimeError("a workflow did not complete")
    times = []
    for n in range(single):
        began = time.perf_counter()
        noop(n)
        times.append((time.perf_counter() - began) * 1000)
    p99 = statistics.quantiles(times, n=100)[98]
    print(json.dumps({"rate": rate, "p50_ms": statistics.median(times), "p99_ms": p99}))
    DBOS.destroy()


if __name__ == "__main__":
    main()

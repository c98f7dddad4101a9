"""`make soak`: kill the platform again and again under load, and count what was lost.

Four clients trigger no-op runs, each under a key of its own. The server is killed at random
moments and at every commit point, its handlers too now and then, and started again. In the end
every trigger that was acknowledged has one completed run, no key has two, and no run ended twice.
It exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from strait import Client
from strait.errors import StraitError
from strait.store.writer import COMMIT_POINTS
from tests.e2e.platform import Platform, start, until

_TARGET = "tests/e2e/target.py"
_CLIENTS = 4


class Load:
    """Clients that trigger runs, whichever server is alive."""

    def __init__(self, platform: Platform, runs: int) -> None:
        self.platform = platform
        self.acknowledged: list[str] = []
        self._runs = runs
        self._threads = [
            threading.Thread(target=self._trigger, args=(number,)) for number in range(_CLIENTS)
        ]

    def begin(self) -> None:
        """Start to trigger."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Return when all runs were acknowledged."""
        for thread in self._threads:
            thread.join()

    def _trigger(self, number: int) -> None:
        count = 0
        while len(self.acknowledged) < self._runs:
            at = self.platform
            try:
                with Client(base_url=at.base_url, api_key=at.api_key, retry=None) as client:
                    (job,) = client.jobs.list(slug="echo")
                    while len(self.acknowledged) < self._runs:
                        key = f"{number}-{count}"
                        run = client.jobs.trigger(job.id, payload={}, idempotency_key=key)
                        self.acknowledged.append(str(run.id))
                        count += 1
            except StraitError:
                time.sleep(0.05)  # the server is being started again


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    randomness = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "soak.db"
        load = Load(start(database, _TARGET), options.runs)
        load.begin()
        restarts = [
            _kill(load, database, randomness, options.runs * number // options.kills)
            for number in range(options.kills)
        ]
        # The last server is to live.
        load.platform.kill()
        load.platform = start(database, _TARGET)
        load.end()
        with load.platform.client() as client:
            until(lambda: not sum(client.stats.list().to_dict().values()), secs=300)
        load.platform.stop()
        faults = _faults(database, load.acknowledged)
    print(
        f"{len(load.acknowledged)} acknowledged, {options.kills} kills, "
        f"slowest start {max(restarts, default=0):.2f} s, {faults}"
    )
    sys.exit(1 if any(faults.values()) else 0)


def _kill(load: Load, database: Path, randomness: random.Random, runs: int) -> float:
    """Kill the server under load, with its handlers sometimes; return how long a start took.

    It lives until so many runs were acknowledged, and a moment longer. Every other server kills
    itself before that, at a commit point that it passes.
    """
    while len(load.acknowledged) < runs and load.platform.process.poll() is None:
        time.sleep(0.01)
    with suppress(subprocess.TimeoutExpired):
        load.platform.process.wait(randomness.uniform(0, 0.1))
    if randomness.random() < 0.4:
        handlers = ["pkill", "-9", "-P", str(load.platform.process.pid)]
        subprocess.run(handlers, check=False)
    load.platform.kill()
    dies_at = None
    if randomness.random() < 0.5:
        dies_at = (randomness.choice(COMMIT_POINTS), randomness.randint(1, 200))
    started = time.monotonic()
    load.platform = start(database, _TARGET, dies_at=dies_at)
    return time.monotonic() - started


def _faults(database: Path, acknowledged: list[str]) -> dict[str, int]:
    db = sqlite3.connect(database)
    completed = {run for (run,) in db.execute("SELECT id FROM runs WHERE status = 'completed'")}
    (twice_by_key,) = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM runs WHERE idempotency_key IS NOT NULL "
        "GROUP BY job_id, idempotency_key HAVING count(*) > 1)"
    ).fetchone()
    (ended_twice,) = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM ledger WHERE type = 'state_change' "
        "AND data ->> 'to' = 'completed' GROUP BY subject HAVING count(*) > 1)"
    ).fetchone()
    (integrity,) = db.execute("PRAGMA integrity_check").fetchone()
    db.close()
    return {
        "lost": sum(run not in completed for run in acknowledged),
        "two runs of a key": twice_by_key,
        "ended twice": ended_twice,
        "broken pages": int(integrity != "ok"),
    }


if __name__ == "__main__":
    main()

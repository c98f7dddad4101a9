"""Load shapes beside no-op runs: many handlers open, many runs parked in waits, many runs queued.

Each shape is a platform of its own. While it stands, runs are triggered one at a time on a job
beside it: what they take is set beside what they took on the empty platform, with the memory of
the server. Shorter by default; `--full` is 1,000 handlers for five minutes, 100,000 runs that wait
and 1,000,000 that are queued.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from benchmarks.bulk import held_job
from benchmarks.server import Load, Row, latency, platform_at
from strait import Client

TARGET = Path(__file__).with_name("shapes_target.py")
_SINGLE = 100
_ITEMS = 500


class Shape(NamedTuple):
    """How large the shapes are."""

    open: int
    open_secs: int
    parked: int
    queued: int


SHORT = Shape(open=200, open_secs=10, parked=2_000, queued=50_000)
FULL = Shape(open=1_000, open_secs=300, parked=100_000, queued=1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the shapes of the goals")
    parser.add_argument("only", nargs="*", choices=[*_BUILDS, []])
    options = parser.parse_args()
    print("| figure | measured | the platform before |\n|---|---|---|")
    for row in measure(FULL if options.full else SHORT, options.only):
        print("| " + " | ".join(row) + " |", flush=True)


def measure(shape: Shape = SHORT, only: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of the table, or of some of the shapes."""
    for build in [build for name, build in _BUILDS.items() if name in only or not only]:
        with (
            tempfile.TemporaryDirectory() as directory,
            platform_at(Path(directory), TARGET) as ready,
            Client(base_url=ready["base_url"], api_key=ready["api_key"]) as client,
        ):
            platform = _Platform(ready, client, Path(directory) / "bench.db")
            before = platform.look()
            title = build(platform, shape)
            after = platform.look()
            yield (
                f"{title}: trigger → completed beside them, p50 / p99",
                f"{after.p50:.2f} / {after.p99:.2f} ms",
                f"{before.p50:.2f} / {before.p99:.2f} ms",
            )
            yield f"{title}: memory of the server", f"{after.mib:.0f} MiB", f"{before.mib:.0f} MiB"
            if build is _queued:
                yield _refused(platform)


class _Look(NamedTuple):
    p50: float
    p99: float
    mib: float


class _Platform:
    def __init__(self, ready: dict[str, Any], client: Client, database: Path) -> None:
        self.database = database
        self.ready, self.client = ready, client
        self.jobs = {job.slug: job.id for job in client.jobs.list()}

    def look(self) -> _Look:
        load = Load(self.ready, f"/v1/jobs/{self.jobs['noop']}/trigger")
        asyncio.run(load.trigger(50, 1))
        sent = asyncio.run(load.one_at_a_time(_SINGLE))
        time.sleep(1)  # the last ones end; what stands beside them never drains
        return _Look(*latency(self.client, sent, drained=True), self.mib())

    def mib(self) -> float:
        status = Path(f"/proc/{self.ready['pid']}/status").read_text().splitlines()
        anonymous = next(line for line in status if line.startswith("RssAnon:"))
        return int(anonymous.split()[1]) / 1024

    def bulk(self, job_id: str, count: int) -> None:
        items = [{"payload": {"n": n}} for n in range(_ITEMS)]
        body = json.dumps({"items": items}).encode()
        load = Load(self.ready, f"/v1/jobs/{job_id}/trigger/bulk", body)
        asyncio.run(load.trigger(count // _ITEMS, 2))

    def until(self, status: str, count: int) -> None:
        """Wait until so many runs have a status."""
        with closing(sqlite3.connect(self.database)) as db:
            query = "SELECT count(*) FROM runs WHERE status = ?"
            while db.execute(query, (status,)).fetchone()[0] < count:
                time.sleep(0.1)


def _queued(platform: _Platform, shape: Shape) -> str:
    """Queue runs of a job whose one place is taken by a handler that does not let go."""
    platform.bulk(held_job(platform.client, platform.ready, of="holds"), shape.queued)
    return f"{shape.queued:,} runs queued"


def _open(platform: _Platform, shape: Shape) -> str:
    """Have handlers open at once."""
    body = json.dumps({"payload": {"secs": shape.open_secs}}).encode()
    load = Load(platform.ready, f"/v1/jobs/{platform.jobs['holds']}/trigger", body)
    asyncio.run(load.trigger(shape.open))
    platform.until("executing", shape.open)
    return f"{shape.open:,} handlers open"


def _parked(platform: _Platform, shape: Shape) -> str:
    """Have runs wait for an event each."""
    platform.bulk(str(platform.jobs["waits"]), shape.parked)
    platform.until("waiting", shape.parked)
    return f"{shape.parked:,} runs parked in waits"


_BUILDS = {"queued": _queued, "open": _open, "parked": _parked}


def _refused(platform: _Platform) -> Row:
    """Trigger a job beyond its limit; it must be refused at once, and told when to come again."""
    job = platform.client.jobs.create(
        project_id=platform.ready["project_id"],
        name="Limited",
        slug="limited",
        endpoint_url="http://127.0.0.1:9/none",
        rate_limit_max=1,
        rate_limit_window_secs=60,
    )
    headers = {"Authorization": f"Bearer {platform.ready['api_key']}"}
    url = f"{platform.ready['base_url']}/v1/jobs/{job.id}/trigger"
    answers = [httpx.post(url, json={}, headers=headers) for _ in range(2)]
    last = answers[-1]
    shown = f"{last.status_code}, Retry-After {last.headers.get('retry-after', 'missing')}"
    return "a trigger beyond its job's limit, meanwhile", shown, ""


if __name__ == "__main__":
    main()

"""`make bench-million`: a database of 1,000,000 runs, and a platform on it beside an empty one.

The runs are written by SQL in the shape that a platform gives them, spread over 30 days: one in 50
failed, one in 1,000 canceled, one in 20 with tags and metadata, some with checkpoints. Then `strait
dev` serves it, and another one an empty database, measured in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from benchmarks.server import Load, latency, platform_at
from strait import Client, ids
from strait.clock import SECOND, SystemClock, to_timestamp

_DAYS = 30
_CHUNK = 10_000
_ASKED = 60
_TURNS = 8
_SINGLE = 150
_RARE_TAG = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="build it in this directory, and leave it there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strait-million-") as temporary:
        directory = options.keep or Path(temporary)
        full, empty = directory / "full", Path(temporary) / "empty"
        empty.mkdir()
        if not full.exists():
            full.mkdir(parents=True)
            build(full, options.runs)
        print("| figure | measured | beside it |\n|---|---|---|")
        for row in measure(full, empty):
            print("| " + " | ".join(row) + " |", flush=True)


# ------------------------------------------------------------------------------------------- build


def build(directory: Path, count: int) -> None:
    """Make a platform's database and multiply the one run in it."""
    with (
        platform_at(directory) as ready,
        Client(base_url=ready["base_url"], api_key=ready["api_key"]) as client,
    ):
        (job,) = client.jobs.list(slug="noop")
        client.jobs.start(job.id, payload={"n": 1}).wait(timeout=30)
    started = time.perf_counter()
    with closing(sqlite3.connect(directory / "bench.db", isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.row_factory = sqlite3.Row
        model = dict(db.execute("SELECT * FROM runs").fetchone())
        lines = [dict(row) for row in db.execute("SELECT * FROM ledger ORDER BY seq")]
        db.execute("DELETE FROM runs")
        db.execute("DELETE FROM ledger")
        first = SystemClock().now() - _DAYS * 86_400 * SECOND
        step = _DAYS * 86_400 * SECOND // (count + 1)
        for start in range(0, count, _CHUNK):
            rows = [
                _run(model, n, first + n * step) for n in range(start, min(start + _CHUNK, count))
            ]
            db.execute("BEGIN")
            _insert(db, "runs", rows)
            _insert(db, "ledger", [line for run in rows for line in _history(lines, run)])
            _insert(db, "checkpoints", [made for run in rows[::20] for made in _checkpoints(run)])
            _insert(db, "run_tags", [tag for run in rows for tag in _tags(run)])
            db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    print(f"{count} runs built in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def _run(model: dict[str, Any], n: int, created: int) -> dict[str, Any]:
    chance = random.Random(n)
    doc = json.loads(model["doc"])
    at = to_timestamp(created)
    doc.update(
        id=ids.uuid7(created),
        created_at=at,
        started_at=to_timestamp(created + 1_000),
        finished_at=to_timestamp(created + 3_000),
    )
    if n % 50 == 7:
        doc.update(status="failed", error="the provider did not answer", error_class="server")
    if n % 1_000 == 9:
        doc.update(status="canceled", error="canceled by user")
    if n % 20 == 3:
        doc["tags"] = {"team": f"team-{n % 7}", "tenant": f"tenant-{n % _RARE_TAG}"}
        doc["metadata"] = {"source": "import"}
    payload = {"order": n, "items": ["x" * chance.randint(10, 40) for _ in range(6)]}
    return {
        **{name: value for name, value in model.items() if name != "seq"},
        "id": doc["id"],
        "status": doc["status"],
        "created_at": at,
        "finished_at": doc["finished_at"],
        "doc": json.dumps(doc, separators=(",", ":")),
        "payload": json.dumps(payload, separators=(",", ":")),
        "result": '{"ok":true}',
    }


def _history(lines: list[dict[str, Any]], run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for line in lines:
        rest = {name: value for name, value in line.items() if name != "id"}
        yield {**rest, "subject": run["id"], "at": run["created_at"]}


def _checkpoints(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    doc = {"id": f"cp-{run['id']}", "run_id": run["id"], "state": {"at": 3}, "sequence": 1}
    yield {
        "run_id": run["id"],
        "sequence": 1,
        "created_at": run["created_at"],
        "doc": json.dumps({**doc, "created_at": run["created_at"]}),
    }


def _tags(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key, value in json.loads(run["doc"]).get("tags", {}).items():
        yield {
            "project_id": run["project_id"],
            "key": key,
            "value": value,
            "created_at": run["created_at"],
            "run_id": run["id"],
        }


def _insert(db: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        db.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


# ----------------------------------------------------------------------------------------- measure


def measure(full: Path, empty: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of the table."""
    database = full / "bench.db"
    with closing(sqlite3.connect(database)) as db:
        (count,) = db.execute("SELECT count(*) FROM runs").fetchone()
    yield "runs, and size of the database", f"{count:,}, {_mib(database)}", ""
    began = time.perf_counter()
    with platform_at(full) as big:
        start = time.perf_counter() - began
        began = time.perf_counter()
        with platform_at(empty) as small:
            small_start = time.perf_counter() - began
            yield (
                "start to ready, with handlers",
                f"{start:.2f} s",
                f"empty database {small_start:.2f} s",
            )
            yield from _reads(big)
            yield from latencies(big, small)
            yield "memory of the server", _memory(big["pid"]), f"empty {_memory(small['pid'])}"
            yield _backup(database, full / "copy.db")


def _reads(big: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    headers = {"Authorization": f"Bearer {big['api_key']}"}
    with httpx.Client(base_url=big["base_url"], headers=headers, timeout=60) as api:
        deep = to_timestamp(SystemClock().now() - _DAYS // 2 * 86_400 * SECOND)
        page = api.get("/v1/runs", params={"cursor": deep, "limit": 100}).json()["data"]
        some = [run["id"] for run in page]
        lists: dict[str, dict[str, Any]] = {
            "first page": {},
            "deep page": {"cursor": deep},
            "status=failed": {"status": "failed"},
            "status=canceled, deep": {"status": "canceled", "cursor": deep},
            "status=queued (none)": {"status": "queued"},
            "two statuses": {"statuses": ["failed", "completed"]},
            "a tag of one in 140": {"tag_key": "team", "tag_value": "team-3"},
            "a tag of one in 20,000": {"tag_key": "tenant", "tag_value": "tenant-3"},
            "a tag key that none has": {"tag_key": "nobody"},
            "metadata": {"metadata_key": "source", "metadata_value": "import"},
            "metadata that none has": {"metadata_key": "source", "metadata_value": "x"},
            "triggered_by that none has": {"triggered_by": "cron"},
            "error_class": {"error_class": "server"},
        }
        for name, params in lists.items():
            times = [_timed(api, "/v1/runs", params) for _ in range(_ASKED)]
            yield f"list, {name}: p50 / p95", _percentiles(times), ""
        times = [_timed(api, f"/v1/runs/{run_id}", {}) for run_id in some]
        yield "get: p50 / p95", _percentiles(times), ""
        times = [_timed(api, f"/v1/runs/{run_id}/events", {}) for run_id in some]
        yield "history of a run: p50 / p95", _percentiles(times), ""
        times = [_timed(api, "/v1/stats", {}) for _ in range(_ASKED)]
        yield "`/v1/stats`: p50 / p95", _percentiles(times), ""


def _timed(api: httpx.Client, path: str, params: dict[str, Any]) -> float:
    began = time.perf_counter()
    answer = api.get(path, params=params)
    took = time.perf_counter() - began
    if answer.status_code != 200:
        raise RuntimeError(f"{path} {params}: {answer.status_code} {answer.text}")
    return took * 1000


def _percentiles(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} / {statistics.quantiles(times, n=20)[18]:.1f} ms"


def latencies(big: dict[str, Any], small: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Measure both platforms in turns, so that what else the machine does meets both."""
    figures: dict[str, list[tuple[float, float]]] = {"big": [], "small": []}
    for _ in range(_TURNS):
        for name, ready in (("small", small), ("big", big)):
            with Client(base_url=ready["base_url"], api_key=ready["api_key"]) as client:
                (job,) = client.jobs.list(slug="noop")
                load = Load(ready, f"/v1/jobs/{job.id}/trigger")
                asyncio.run(load.trigger(100))
                figures[name].append(latency(client, asyncio.run(load.one_at_a_time(_SINGLE))))
    shown = {
        name: tuple(statistics.median(column) for column in zip(*rows, strict=True))
        for name, rows in figures.items()
    }
    yield (
        "trigger → completed, one at a time, p50 / p99",
        f"{shown['big'][0]:.2f} / {shown['big'][1]:.2f} ms",
        f"empty {shown['small'][0]:.2f} / {shown['small'][1]:.2f} ms",
    )


def _backup(database: Path, copy: Path) -> tuple[str, str, str]:
    began = time.perf_counter()
    command = ["db", "backup", str(copy), "--db", str(database), "--force"]
    subprocess.run([sys.executable, "-m", "strait.cli", *command], check=True, capture_output=True)
    took = time.perf_counter() - began
    copy.unlink()
    return "backup beside the server", f"{took:.1f} s", ""


def _memory(pid: int) -> str:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return "unknown"
    found = {
        line.split()[0]: int(line.split()[1])
        for line in status.read_text().splitlines()
        if line.startswith(("RssAnon:", "VmRSS:"))
    }
    return f"{found['RssAnon:'] / 1024:.0f} MiB (with mapped file {found['VmRSS:'] / 1024:.0f} MiB)"


def _mib(path: Path) -> str:
    return f"{path.stat().st_size / 1024**2:,.0f} MiB"


if __name__ == "__main__":
    main()

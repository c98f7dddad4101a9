"""Bulk triggers: how many runs a second are accepted and on disk, 500 to a call."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.server import Load, Row, cpu_ms, platform_at
from strait import Client

_ITEMS = 500
_CALLS = 40
_CONNECTIONS = 4


def measure() -> list[Row]:
    """Trigger many runs of a job that runs one at a time, so that nearly all are only accepted."""
    with (
        tempfile.TemporaryDirectory() as directory,
        platform_at(Path(directory)) as ready,
        Client(base_url=ready["base_url"], api_key=ready["api_key"]) as client,
    ):
        job_id = held_job(client, ready)
        items = [{"payload": {"n": n}} for n in range(_ITEMS)]
        body = json.dumps({"items": items}).encode()
        load = Load(ready, f"/v1/jobs/{job_id}/trigger/bulk", body)
        asyncio.run(load.trigger(2, _CONNECTIONS))
        before, started = cpu_ms(ready["pid"]), time.perf_counter()
        asyncio.run(load.trigger(_CALLS, _CONNECTIONS))
        took = time.perf_counter() - started
        spent = cpu_ms(ready["pid"]) - before
    runs = _CALLS * _ITEMS
    return [
        (
            "triggers in bulk, accepted and on disk",
            f"{runs / took:.0f} /s",
            f"{runs} runs, {_ITEMS} a call, {spent / runs * 1000:.0f} µs of CPU each",
        )
    ]


def held_job(client: Client, ready: dict[str, Any], of: str = "noop") -> str:
    """Make a job whose runs start one after the other, with the handler of one that is served."""
    (served,) = client.jobs.list(slug=of)
    made = client.jobs.create(
        project_id=ready["project_id"],
        name="Held",
        slug="held",
        endpoint_url=served.endpoint_url,
        max_concurrency=1,
    )
    return str(made.id)

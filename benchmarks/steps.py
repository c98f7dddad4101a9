"""Durable steps a second: over HTTP with server and handlers apart, and in memory."""

from __future__ import annotations

import asyncio
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.server import Row, drain, platform_at
from benchmarks.steps_target import MARK, at_once
from strait import Client
from strait.authoring import create_test_context

if TYPE_CHECKING:
    from strait.models import JobRun

TARGET = Path(__file__).with_name("steps_target.py")
_RUNS = 20
_STEPS_EACH = 250
_LONG = 10_000
_IN_MEMORY = 5_000


def measure() -> list[Row]:
    """Measure many runs at once, one long run, and the steps themselves without a platform."""
    with (
        tempfile.TemporaryDirectory() as directory,
        platform_at(Path(directory), TARGET) as ready,
        Client(base_url=ready["base_url"], api_key=ready["api_key"]) as client,
    ):
        (job,) = client.jobs.list(slug="steps")
        _run(client, job.id, 100)
        started = time.perf_counter()
        for _ in range(_RUNS):
            client.jobs.trigger(job.id, payload={"steps": _STEPS_EACH})
        drain(client)
        together = _RUNS * _STEPS_EACH / (time.perf_counter() - started)
        marks = _run(client, job.id, _LONG).result
    spans = [after - before for before, after in pairwise(marks)]
    return [
        (
            "steps over HTTP, many runs at once",
            f"{together:.0f} /s",
            f"{_RUNS} runs of {_STEPS_EACH} steps, one after the other",
        ),
        (
            "steps over HTTP, one run",
            f"{_LONG / (marks[-1] - marks[0]):.0f} /s",
            f"{_LONG} steps; the last thousand took {spans[-1] / spans[0]:.2f}x the first",
        ),
        ("steps in memory, without a platform", f"{_in_memory():.0f} /s", f"{_IN_MEMORY} steps"),
    ]


def _run(client: Client, job_id: str, steps: int) -> JobRun:
    run = client.jobs.trigger_and_wait(job_id, payload={"steps": steps}, timeout=600)
    assert run.status == "completed", run.error
    assert len(run.result) == steps // MARK + 1
    return run


def _in_memory() -> float:
    async def steps() -> float:
        context: Any
        context, _ = create_test_context()
        started = time.perf_counter()
        for number in range(_IN_MEMORY):
            await context.step("s", at_once, number)
        return _IN_MEMORY / (time.perf_counter() - started)

    return asyncio.run(steps())

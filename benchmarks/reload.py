"""How long it takes from a save until the new code answers, for an application of 20 files."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import Queue
from typing import Any, TextIO

from benchmarks.server import Row
from strait import Client

_FILES = 20
_TIMES = 15
_PATIENCE_SECS = 60
_MODULE = """\
from dataclasses import dataclass
from strait.authoring import JobOptions, define_job

VERSION = 0


@dataclass
class Order{number}:
    id: str
    cents: int


def run(payload, ctx):
    return {{"version": VERSION}}


job = define_job(JobOptions(name="Job {number}", slug="job-{number}", run=run))
"""


def measure() -> list[Row]:
    """Save one file of 20 over and over; each time have a run of its job done by the new code."""
    with tempfile.TemporaryDirectory() as directory:
        package = Path(directory) / "shop"
        package.mkdir()
        (package / "__init__.py").touch()
        for number in range(_FILES - 1):
            (package / f"part{number}.py").write_text(_MODULE.format(number=number))
        answered, told = _saves(Path(directory), package / "part7.py")
    return [
        (
            f"save of one of {_FILES} files to a result of the new code, p50",
            f"{statistics.median(answered) * 1000:.0f} ms",
            f"slowest of {_TIMES}: {max(answered) * 1000:.0f} ms",
        ),
        (
            "of that, import, registration and switch, p50",
            f"{statistics.median(told):.0f} ms",
            "",
        ),
    ]


def _saves(directory: Path, file: Path) -> tuple[list[float], list[int]]:
    command = [sys.executable, "-m", "strait.cli", "dev", "shop", "--port", "0", "--ephemeral"]
    with subprocess.Popen(
        [*command, "--json", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=directory,
    ) as process:
        assert process.stdout is not None
        lines: Queue[dict[str, Any]] = Queue()
        try:
            ready = json.loads(process.stdout.readline())
            threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
            with Client(base_url=ready["base_url"], api_key=ready["api_key"]) as client:
                job = next(job.id for job in client.jobs.list() if job.slug == "job-7")
                return _measured(client, job, file, lines)
        finally:
            process.terminate()
            process.wait(_PATIENCE_SECS)


def _read(output: TextIO, lines: Queue[dict[str, Any]]) -> None:
    for line in output:
        lines.put(json.loads(line))


def _measured(
    client: Client, job: str, file: Path, lines: Queue[dict[str, Any]]
) -> tuple[list[float], list[int]]:
    answered, told = [], []
    source = file.read_text()
    for version in range(1, _TIMES + 1):
        # The process that waits for the next save is ready by then, as after any pause for thought.
        time.sleep(3)
        began = time.perf_counter()
        file.write_text(source.replace("VERSION = 0", f"VERSION = {version}"))
        line = lines.get(timeout=_PATIENCE_SECS)
        while line["event"] != "reload":
            line = lines.get(timeout=_PATIENCE_SECS)
        run = client.jobs.trigger_and_wait(job, payload={})
        answered.append(time.perf_counter() - began)
        told.append(int(line["took_ms"]))
        assert run.result == {"version": version}, run
    return answered, told

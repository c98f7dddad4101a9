"""How long a platform takes to start, and what it costs to have it."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.server import Row, cpu_ms, platform_at

_TIMES = 5


def measure() -> list[Row]:
    """Start platforms on new databases: without handlers until healthy, with them until ready."""
    healthy, ready, spent = [], [], []
    for _ in range(_TIMES):
        with tempfile.TemporaryDirectory() as directory:
            took, cpu = _until_healthy(Path(directory))
            healthy.append(took)
            spent.append(cpu)
        with tempfile.TemporaryDirectory() as directory:
            began = time.perf_counter()
            with platform_at(Path(directory)):
                ready.append(time.perf_counter() - began)
    return [
        (
            "start to healthy, without handlers",
            f"{statistics.median(healthy):.2f} s",
            f"{statistics.median(spent):.0f} ms of CPU",
        ),
        ("start to ready, with handlers registered", f"{statistics.median(ready):.2f} s", ""),
    ]


def _until_healthy(directory: Path) -> tuple[float, float]:
    """Return how long it took until `/health` answered, in s, and the CPU time of it in ms."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "strait.cli", "serve", "--port", str(port), "--json"]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "--db", str(directory / "bench.db")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            said = json.loads(process.stdout.readline())
            httpx.get(f"{said['base_url']}/health", timeout=10).raise_for_status()
            return time.perf_counter() - began, cpu_ms(process.pid)
        finally:
            process.terminate()
            process.wait(30)

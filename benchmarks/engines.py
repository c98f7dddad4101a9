"""Other durable engines beside ours: the same no-op load, in the same run, on the same disk.

Each is installed from PyPI into an environment of its own under `.bench/`, as the client's peers
are. Each keeps its state in SQLite and syncs every commit (`synchronous=FULL`). They are libraries
without a server: their load is enqueued in process, so that they are spared the HTTP calls that
ours answers. What cannot be installed or does not run is said in the table, and fails nothing.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import environment, version_of
from benchmarks.server import Load, drain, latency, platform_at
from strait import Client

PEERS = ("dbos", "huey")
HEAD = "| engine | no-op runs/s | of ours | one at a time, p50 / p99, ms | of ours |\n"
HEAD += "|---" * 5 + "|"
_ROUNDS = 2
_SINGLE = 100
_LIMIT_SECS = 120

Figures = dict[str, float]


def table(runs: int) -> Iterator[str]:
    """Yield the lines of the table; each engine does its work in turn, in `_ROUNDS` rounds."""
    yield HEAD
    found: dict[str, list[Figures | str]] = {name: [] for name in ("strait", *PEERS)}
    for _ in range(_ROUNDS):
        found["strait"].append(_ours(runs))
        for peer in PEERS:
            # A tenth of the runs is enough for what does a tenth of them in the same time.
            found[peer].append(_peer(peer, max(100, runs // 10)))
    ours = _best(found["strait"])
    for name, measured in found.items():
        yield _row(name, _best(measured), ours)


def _ours(runs: int) -> Figures:
    with (
        tempfile.TemporaryDirectory() as directory,
        platform_at(Path(directory)) as ready,
        Client(base_url=ready["base_url"], api_key=ready["api_key"]) as client,
    ):
        (job,) = client.jobs.list(slug="noop")
        load = Load(ready, f"/v1/jobs/{job.id}/trigger")
        asyncio.run(load.trigger(200))
        drain(client)
        started = time.perf_counter()
        asyncio.run(load.trigger(runs))
        drain(client)
        rate = runs / (time.perf_counter() - started)
        p50, p99 = latency(client, asyncio.run(load.one_at_a_time(_SINGLE)))
    return {"rate": rate, "p50_ms": p50, "p99_ms": p99}


def _peer(peer: str, runs: int) -> Figures | str:
    python = environment(peer)
    if python is None:
        return "cannot be installed here"
    probe = Path(__file__).with_name(f"engine_{peer}.py")
    with tempfile.TemporaryDirectory() as directory:
        command = [str(python), "-W", "ignore", str(probe), directory, str(runs), str(_SINGLE)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_LIMIT_SECS
            )
        except subprocess.TimeoutExpired:
            return f"did not do {runs} runs in {_LIMIT_SECS} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it failed"])[-1][:80]
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _best(measured: list[Figures | str]) -> Figures | str:
    """Return the round that other work on the machine has disturbed least."""
    whole = [figures for figures in measured if not isinstance(figures, str)]
    return max(whole, key=lambda figures: figures["rate"]) if whole else measured[0]


def _row(name: str, found: Figures | str, ours: Figures | str) -> str:
    shown = name if name == "strait" else f"{name} {version_of(environment(name), name)}".strip()
    if isinstance(found, str) or isinstance(ours, str):
        return f"| {shown} | {found} | | | |"
    rate, times = found["rate"] / ours["rate"], found["p50_ms"] / ours["p50_ms"]
    return (
        f"| {shown} | {found['rate']:.0f} | {rate:.2f}x "
        f"| {found['p50_ms']:.1f} / {found['p99_ms']:.1f} | {times:.1f}x |"
    )

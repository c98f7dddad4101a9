"""Durable runs a second and latency of `strait dev`: server, handlers and load apart."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from strait import Client

_CONNECTIONS = 32
_SINGLE = 300
_WORKFLOWS = 300
_STEPS = 10

TARGET = Path(__file__).with_name("noop.py")

Row = tuple[str, str, str]


def measure(runs: int) -> list[Row]:
    with (
        tempfile.TemporaryDirectory() as directory,
        platform_at(Path(directory)) as ready,
        Client(base_url=ready["base_url"], api_key=ready["api_key"]) as client,
    ):
        job_id = next(job.id for job in client.jobs.list() if job.slug == "noop")
        load = Load(ready, f"/v1/jobs/{job_id}/trigger")
        asyncio.run(load.trigger(200))  # connections, caches
        drain(client)
        p50, p99 = latency(client, asyncio.run(load.one_at_a_time(_SINGLE)))
        closed = latency(client, asyncio.run(load.one_after_another(_SINGLE)))
        started = time.perf_counter()
        asyncio.run(load.trigger(runs))
        accepted = time.perf_counter() - started
        drain(client)
        whole = time.perf_counter() - started
        workflows = _workflows(client, ready, job_id)
        cpu = Path(f"/proc/{ready['pid']}/stat")
        idle = _idle_percent(cpu) if cpu.exists() else float("nan")
    return [
        ("no-op runs, trigger over HTTP to completed", f"{runs / whole:.0f} /s", f"{runs} runs"),
        ("triggers accepted while they run", f"{runs / accepted:.0f} /s", ""),
        (
            f"{_STEPS}-step workflows, a chain of no-ops",
            f"{_WORKFLOWS / workflows:.0f} /s",
            f"{_WORKFLOWS} workflows, {_WORKFLOWS * _STEPS / workflows:.0f} runs/s",
        ),
        (
            "trigger → completed, one every 10 ms, p50 / p99",
            f"{p50:.2f} / {p99:.2f} ms",
            f"{_SINGLE} runs",
        ),
        (
            "trigger → completed, one after the other, p50 / p99",
            f"{closed[0]:.2f} / {closed[1]:.2f} ms",
            f"{_SINGLE} runs",
        ),
        ("idle, CPU of the server over 5 s", f"{idle:.2f} % of a core", ""),
    ]


def _workflows(client: Client, ready: dict[str, Any], job_id: str) -> float:
    """Return how long chains of steps take, from the first trigger to the last end."""
    load = Load(
        ready, f"/v1/workflows/{chain(client, ready['project_id'], job_id, _STEPS)}/trigger"
    )
    started = time.perf_counter()
    asyncio.run(load.trigger(_WORKFLOWS))
    drain(client)
    took = time.perf_counter() - started
    unfinished = [run.id for run in client.workflow_runs.list(status="running")]
    assert not unfinished, f"{len(unfinished)} workflow runs have not ended"
    return took


def chain(client: Client, project_id: str, job_id: str, length: int) -> str:
    """Make a workflow of steps of one job, one after the other, and return its id."""
    steps = [
        {"step_ref": f"s{n}", "job_id": job_id, "depends_on": [f"s{n - 1}"] if n else []}
        for n in range(length)
    ]
    made = client.workflows.create(project_id=project_id, name="Chain", slug="chain", steps=steps)
    return str(made.id)


class Load:
    """Raw sockets, so that the load costs little of the two cores."""

    def __init__(
        self, ready: dict[str, Any], path: str, body: bytes = b'{"payload":{"n":1}}'
    ) -> None:
        address = ready["base_url"].removeprefix("http://")
        self._host, _, self._port = address.partition(":")
        self._request = (
            f"POST {path} HTTP/1.1\r\nhost: {address}\r\n"
            f"authorization: Bearer {ready['api_key']}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode() + body
        self._caller = f"host: {address}\r\nauthorization: Bearer {ready['api_key']}\r\n\r\n"

    async def trigger(self, count: int, connections: int = _CONNECTIONS) -> None:
        left = iter(range(count))

        async def connection() -> None:
            reader, writer = await self._connect()
            for _ in left:
                await self._once(reader, writer)
            writer.close()

        await asyncio.gather(*(connection() for _ in range(connections)))

    async def one_at_a_time(self, count: int) -> list[tuple[str, float]]:
        """Trigger runs with pauses; return their ids and when each request was sent."""
        sent = []
        reader, writer = await self._connect()
        for _ in range(count):
            at = time.time()
            answer = await self._once(reader, writer)
            sent.append((json.loads(answer)["id"], at))
            await asyncio.sleep(0.01)
        writer.close()
        return sent

    async def one_after_another(self, count: int) -> list[tuple[str, float]]:
        """Trigger each run once the last one has completed; return what `one_at_a_time` does.

        A look at the run tells, every half millisecond; it takes some of the server's time.
        """
        sent = []
        reader, writer = await self._connect()
        for _ in range(count):
            at = time.time()
            run_id = json.loads(await self._once(reader, writer))["id"]
            sent.append((run_id, at))
            look = f"GET /v1/runs/{run_id} HTTP/1.1\r\n{self._caller}".encode()
            while b'"status":"completed"' not in await self._once(reader, writer, look):  # noqa: ASYNC110 - it is what is measured
                await asyncio.sleep(0.0005)  # as a client does that has no stream
        writer.close()
        return sent

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, int(self._port))

    async def _once(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes = b""
    ) -> bytes:
        writer.write(request or self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 201", b"HTTP/1.1 200")):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return await reader.readexactly(int(length))


@contextmanager
def platform_at(
    directory: Path, target: Path = TARGET, *, source: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Run `strait dev`; with `source`, that of another checkout."""
    command = [sys.executable, "-m", "strait.cli", "dev", str(target), "--port", "0", "--json"]
    with subprocess.Popen(
        # Watching files and telling runs are for people.
        [*command, "--no-reload", "--quiet", "--db", str(directory / "bench.db")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=None if source is None else {**os.environ, "PYTHONPATH": str(source)},
        cwd=directory,
    ) as process:
        assert process.stdout is not None
        try:
            yield {**json.loads(process.stdout.readline()), "pid": process.pid}
        finally:
            process.terminate()
            process.wait(30)


def drain(client: Client) -> None:
    """Wait until nothing is queued or executing."""
    while True:
        stats = client.stats.list()
        if not stats["queued"] and not stats["executing"]:
            return
        time.sleep(0.05)  # a question costs the server some of what is measured


def latency(
    client: Client, sent: list[tuple[str, float]], *, drained: bool = False
) -> tuple[float, float]:
    """Return p50 and p99 in ms from the send of a trigger to the run's terminal state."""
    if not drained:
        drain(client)
    times = []
    for run_id, at in sent:
        finished = client.runs.get(run_id).finished_at
        assert finished is not None
        times.append((finished.timestamp() - at) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def _idle_percent(stat: Path) -> float:
    def ticks() -> int:
        fields = stat.read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(5)
    return (ticks() - before) / 100 / 5 * 100


def cpu_ms(pid: int) -> float:
    """Return how much CPU time a process has taken, in ms; 0 where that is unknown."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        total += int(task.read_text().split()[0])
    return total / 1e6

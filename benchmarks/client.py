"""CPU of a typed call against the same call on raw httpx, sync and async, in the same run."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import httpx

from strait import AsyncClient, Client

_CALLS = 400
_ROUNDS = 7
_CONCURRENCY = 50

JOB = {
    "id": "01a1fc73-3b79-7424-a8ad-6d5604416815", "project_id": "proj_1", "name": "Process Order",
    "slug": "process-order", "description": "handles an order from receipt to shipping",
    "endpoint_url": "https://worker.example.com/run", "max_attempts": 3, "timeout_secs": 300,
    "enabled": True, "paused": False, "version": 7, "version_id": "ver_jznve3ihs1ro",
    "version_policy": "pin", "retry_priority_boost": 1, "execution_mode": "http",
    "queue": "default", "cron_overlap_policy": "allow", "tags": {"team": "orders", "tier": "1"},
    "payload_schema": {"type": "object", "required": ["order"]}, "max_concurrency": 10,
    "created_by": "apikey:1", "updated_by": "apikey:1",
    "created_at": "2026-11-21T04:52:52.729259Z", "updated_at": "2026-11-21T04:52:52.729259Z",
}  # fmt: skip

_SERVER = """
import asyncio, sys
BODY = sys.argv[1].encode()
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n"
ANSWER = HEAD % len(BODY) + BODY
async def answer(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def measure() -> list[tuple[str, str, str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, json.dumps(JOB)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        base_url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        try:
            sync_rows = _sync(base_url)
            async_rows = asyncio.run(_async(base_url))
        finally:
            process.kill()
    return [*sync_rows, *async_rows, *_construction()]


def _sync(base_url: str) -> list[tuple[str, str, str]]:
    url = f"{base_url}/v1/jobs/{JOB['id']}"
    with httpx.Client() as raw, Client(base_url=base_url, api_key="strait_x") as client:
        ours, theirs = _compare(
            lambda: client.jobs.get(str(JOB["id"])), lambda: raw.get(url).json()
        )
    return [_row("typed call, CPU, sync", ours, theirs)]


async def _async(base_url: str) -> list[tuple[str, str, str]]:
    url = f"{base_url}/v1/jobs/{JOB['id']}"
    async with (
        httpx.AsyncClient() as raw,
        AsyncClient(base_url=base_url, api_key="strait_x") as ours,
    ):

        async def get() -> None:
            (await raw.get(url)).json()

        async def typed() -> None:
            await ours.jobs.get(str(JOB["id"]))

        times: dict[str, list[float]] = {"typed": [], "raw": []}
        for _ in range(_ROUNDS):
            for name, call in (("typed", typed), ("raw", get)):
                started = time.process_time()
                for _ in range(_CALLS // _CONCURRENCY):
                    await asyncio.gather(*(call() for _ in range(_CONCURRENCY)))
                times[name].append((time.process_time() - started) / _CALLS)
    typed_time, raw_time = (statistics.median(times[name]) for name in ("typed", "raw"))
    return [_row(f"typed call, CPU, async at {_CONCURRENCY}", typed_time, raw_time)]


def _compare(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(_ROUNDS):
        for name, call in (("ours", ours), ("theirs", theirs)):
            started = time.process_time()
            for _ in range(_CALLS):
                call()
            times[name].append((time.process_time() - started) / _CALLS)
    return statistics.median(times["ours"]), statistics.median(times["theirs"])


def _construction() -> list[tuple[str, str, str]]:
    times = []
    for _ in range(50):
        started = time.perf_counter()
        client = Client(base_url="http://127.0.0.1:1", api_key="strait_x")
        times.append(time.perf_counter() - started)
        client.close()
    return [("each further `Client()`", f"{statistics.median(times) * 1000:.3f} ms", "")]


def _row(figure: str, ours: float, theirs: float) -> tuple[str, str, str]:
    return (
        figure,
        f"{ours * 1e6:.0f} µs = {ours / theirs:.2f}x",
        f"raw httpx `get().json()` {theirs * 1e6:.0f} µs",
    )

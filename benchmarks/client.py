"""CPU of a typed call against the raw call of the same library, and the parts of it."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httpx
import httpx2

from benchmarks.peers import serving
from strait import AsyncClient, Client
from strait.client import Body, Request, Response
from strait.client.middleware import SyncNext
from strait.models import Job

_CALLS = 300
_ROUNDS = 9
_CONCURRENCY = 50
_LISTED = 100
_KEY = "strait_x"

Row = tuple[str, str, str]

JOB: dict[str, object] = {
    "id": "01a1fc73-3b79-7424-a8ad-6d5604416815", "project_id": "proj_1", "group_id": "group_1",
    "name": "Process Order", "slug": "process-order", "cron": "*/5 * * * *",
    "description": "handles an order from receipt to shipping",
    "payload_schema": {"type": "object", "required": ["order"]},
    "tags": {"team": "orders", "tier": "1"}, "endpoint_url": "https://worker.example.com/run",
    "fallback_endpoint_url": "https://spare.example.com/run", "max_attempts": 3,
    "timeout_secs": 300, "max_concurrency": 10, "max_concurrency_per_key": 2,
    "execution_window_cron": "* 9-17 * * *", "timezone": "Europe/Berlin", "rate_limit_max": 100,
    "rate_limit_window_secs": 60, "dedup_window_secs": 60, "enabled": True, "paused": False,
    "webhook_url": "https://hooks.example.com/x", "run_ttl_secs": 3600,
    "retry_strategy": "exponential", "retry_delays_secs": [1, 2, 3], "retry_priority_boost": 1,
    "dlq_alert_threshold": 5, "queue_depth_alert_threshold": 50, "poison_pill_threshold": 3,
    "environment_id": "env_1", "default_run_metadata": {"a": "b"}, "version": 7,
    "version_id": "ver_jznve3ihs1ro", "version_policy": "pin", "backwards_compatible": True,
    "cron_overlap_policy": "allow", "execution_mode": "http", "queue": "default",
    "on_complete_trigger_job": "ship", "on_failure_trigger_job": "apologise",
    "created_by": "apikey:1", "updated_by": "apikey:1",
    "created_at": "2026-11-21T04:52:52.729259Z", "updated_at": "2026-11-21T04:52:52.729259Z",
}  # fmt: skip
_BODY = json.dumps(JOB).encode()


def measure() -> list[Row]:
    with serving(JOB) as base_url:
        rows = [_sync(httpx, base_url), _sync(httpx2, base_url), _layers()]
        rows += [asyncio.run(_async(library, base_url)) for library in (httpx, httpx2)]
        rows.append(asyncio.run(_aiohttp(base_url)))
    return [*rows, _decoding(), _construction()]


def _sync(library: Any, base_url: str) -> Row:
    url = f"{base_url}/v1/jobs/one"
    name = library.__name__
    with (
        library.Client() as raw,
        Client(base_url=base_url, api_key=_KEY, transport=name) as client,
    ):
        ours, theirs = _compared(
            lambda: client.jobs.get("one"), lambda: raw.get(url).json(), calls=_CALLS
        )
    return _row(f"typed call, CPU, sync, {name}", ours, theirs, f"raw {name} `get().json()`")


class _Instant:
    """A transport that answers at once: what a network costs would hide what layers do."""

    def send(self, request: Request, deadline: float | None = None) -> Response:
        return Response(200, {}, _BODY)

    def open(self, request: Request) -> tuple[Response, Body]:
        raise NotImplementedError("nothing is streamed here")

    def close(self) -> None:
        pass


def _layers() -> Row:
    def layer(request: Request, call_next: SyncNext) -> Response:
        return call_next(request)

    options: Any = {"base_url": "http://platform.test", "api_key": _KEY, "transport": _Instant()}
    layered, plain = Client(**options, middleware=[layer] * 3), Client(**options)
    ours, theirs = _compared(
        lambda: layered.jobs.get("one"), lambda: plain.jobs.get("one"), calls=2_000
    )
    return (
        "three no-op layers of middleware",
        f"+{(ours - theirs) * 1e6:.1f} µs",
        f"a call without network {theirs * 1e6:.0f} µs",
    )


async def _async(library: Any, base_url: str) -> Row:
    url = f"{base_url}/v1/jobs/one"
    name = library.__name__
    async with (
        library.AsyncClient() as raw,
        AsyncClient(base_url=base_url, api_key=_KEY, transport=name) as client,
    ):

        async def get() -> object:
            return (await raw.get(url)).json()

        ours, theirs = await _gathered(lambda: client.jobs.get("one"), get)
    return _row(
        f"typed call, CPU, async at {_CONCURRENCY}, {name}",
        ours,
        theirs,
        f"raw {name} `get().json()`",
    )


async def _aiohttp(base_url: str) -> Row:
    url = f"{base_url}/v1/jobs/one"
    async with (
        aiohttp.ClientSession() as raw,
        AsyncClient(base_url=base_url, api_key=_KEY, transport="aiohttp") as client,
    ):

        async def get() -> object:
            async with raw.get(url) as answer:
                return await answer.json()

        ours, theirs = await _gathered(lambda: client.jobs.get("one"), get)
    figure = f"typed call, CPU, async at {_CONCURRENCY}, aiohttp"
    return _row(figure, ours, theirs, "raw aiohttp `get()`, `json()`")


def _decoding() -> Row:
    data = json.dumps([JOB] * _LISTED).encode()
    ours, theirs = _compared(lambda: Job.list_from_json(data), lambda: json.loads(data), calls=20)
    return _row(f"{_LISTED} jobs of {len(JOB)} fields decoded", ours, theirs, "`json.loads`")


def _construction() -> Row:
    times = []
    for _ in range(50):
        started = time.perf_counter()
        client = Client(base_url="http://127.0.0.1:1", api_key=_KEY)
        times.append(time.perf_counter() - started)
        client.close()
    return ("each further `Client()`", f"{statistics.median(times) * 1000:.3f} ms", "")


def _compared(
    ours: Callable[[], object], theirs: Callable[[], object], calls: int
) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for found, call in zip(times, (ours, theirs), strict=True):
            started = time.process_time()
            for _ in range(calls):
                call()
            found.append((time.process_time() - started) / calls)
    return statistics.median(times[0]), statistics.median(times[1])


async def _gathered(
    ours: Callable[[], Awaitable[object]], theirs: Callable[[], Awaitable[object]]
) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for found, call in zip(times, (ours, theirs), strict=True):
            started = time.process_time()
            for _ in range(_CALLS // _CONCURRENCY):
                await asyncio.gather(*(call() for _ in range(_CONCURRENCY)))
            found.append((time.process_time() - started) / _CALLS)
    return statistics.median(times[0]), statistics.median(times[1])


def _row(figure: str, ours: float, theirs: float, baseline: str) -> Row:
    measured = f"{ours * 1e6:.0f} µs = {ours / theirs:.2f}x"
    return (figure, measured, f"{baseline} {theirs * 1e6:.0f} µs")

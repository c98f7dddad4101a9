"""What one client costs. It runs in that client's own environment, and prints JSON.

`python probe.py NAME BASE_URL [TRANSPORT]`: it must not import anything of this repository.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

CALLS, ROUNDS, CONCURRENCY = 200, 7, 50
Call = Callable[[], Any]


@dataclass(frozen=True)
class Probe:
    """How to use a client: make one, get one thing, list a hundred."""

    module: str
    make: Callable[[Any, str], Any]
    make_async: Callable[[Any, str], Any]
    one: Callable[[Any], Any]
    many: Callable[[Any], Any]


def _strait(name: str, module: Any, url: str) -> Any:
    transport = sys.argv[3:4] or ["httpx"]
    made: Any = getattr(module, name)
    return made(base_url=url, api_key="strait_x", transport=transport[0])


def _published(name: str, module: Any, url: str) -> Any:
    return getattr(module, name)(base_url=url, api_key="strait_x")


def _stripe(module: Any, url: str, http: Any = None) -> Any:
    return module.StripeClient("sk_test_x", base_addresses={"api": url}, http_client=http)


PROBES = {
    "strait": Probe(
        "strait",
        lambda m, url: _strait("Client", m, url),
        lambda m, url: _strait("AsyncClient", m, url),
        lambda c: c.jobs.get("one"),
        lambda c: c.jobs.list(),
    ),
    "strait-python==0.1.1": Probe(
        "strait",
        lambda m, url: _published("Client", m, url),
        lambda m, url: _published("AsyncClient", m, url),
        lambda c: c.jobs.get("one"),
        lambda c: c.jobs.list(),
    ),
    "openai": Probe(
        "openai",
        lambda m, url: m.OpenAI(base_url=f"{url}/v1", api_key="x"),
        lambda m, url: m.AsyncOpenAI(base_url=f"{url}/v1", api_key="x"),
        lambda c: c.models.retrieve("one"),
        lambda c: c.models.list(),
    ),
    "anthropic": Probe(
        "anthropic",
        lambda m, url: m.Anthropic(base_url=url, api_key="x"),
        lambda m, url: m.AsyncAnthropic(base_url=url, api_key="x"),
        lambda c: c.models.retrieve("one"),
        lambda c: c.models.list(),
    ),
    "stripe": Probe(
        "stripe",
        _stripe,
        lambda m, url: _stripe(m, url, m.HTTPXClient()),
        lambda c: getattr(c, "v1", c).customers.retrieve("one"),
        lambda c: getattr(c, "v1", c).customers.list(),
    ),
}


def cpu_us(call: Call, calls: int) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(calls):
            call()
        times.append((time.process_time() - started) / calls)
    return statistics.median(times) * 1e6


async def per_second(call: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """Return calls a second, and CPU µs of one, with many under way."""
    rates, costs = [], []
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(CALLS // CONCURRENCY):
            await asyncio.gather(*(call() for _ in range(CONCURRENCY)))
        rates.append(CALLS / (time.perf_counter() - wall))
        costs.append((time.process_time() - cpu) / CALLS * 1e6)
    return statistics.median(rates), statistics.median(costs)


async def asynchronous(probe: Probe, module: Any, url: str) -> tuple[float, float]:
    client = probe.make_async(module, url)
    one = probe.one
    if probe.module == "stripe":
        return await per_second(
            lambda: getattr(client, "v1", client).customers.retrieve_async("one")
        )
    return await per_second(lambda: one(client))


def main() -> None:
    name, url = sys.argv[1:3]
    probe = PROBES[name]
    started = time.process_time()
    module = importlib.import_module(probe.module)
    imported = time.process_time()
    client = probe.make(module, url) if sys.argv[3:4] != ["aiohttp"] else None
    first = time.process_time()
    found: dict[str, float] = {"import_ms": (imported - started) * 1e3}
    if client is not None:
        found["first_ms"] = (first - imported) * 1e3
        found["next_ms"] = cpu_us(lambda: probe.make(module, url), 5) / 1e3
        found["one_us"] = cpu_us(lambda: probe.one(client), CALLS)
        found["many_us"] = cpu_us(lambda: probe.many(client), 20)
    found["async_rps"], found["async_us"] = asyncio.run(asynchronous(probe, module, url))
    print(json.dumps(found))


if __name__ == "__main__":
    main()

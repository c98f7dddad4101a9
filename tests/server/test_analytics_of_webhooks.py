"""Figures over what webhooks were sent, by receivers that answer, refuse and hang."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.analytics import get, period, stranger
from support.handlers import Answer, Gate, Handlers, ok
from support.receivers import deliveries, subscribe, until_deliveries, until_received
from support.world import World

HOUR = 3600
_OVER = frozenset({"delivered", "dead"})
# The virtual clock begins here.
FIRST, SECOND = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


@pytest.fixture
async def refusing() -> AsyncIterator[Handlers]:
    """A receiver at an address of its own that wants nothing."""
    made = Handlers()
    made.script = lambda call: Answer(404)
    await made.start()
    yield made
    await made.stop()


async def subscribed(world: World, refusing: Handlers) -> dict[str, Any]:
    """Have the ends of runs told to two receivers; return a job."""
    await subscribe(world, "run.completed")
    await subscribe(world, "run.completed", webhook_url=f"{refusing.url}hook")
    return await world.job()


async def told_of(world: World, job: dict[str, Any], secs: float) -> None:
    """Complete a run of which the first receiver takes the message after so long."""
    world.handlers.script = lambda call: ok()
    world.handlers.scripts["/hook"] = gate = Gate()
    so_far = len(await deliveries(world))
    await world.until(await world.trigger(job), "completed")
    await until_received(world, so_far // 2 + 1)
    await world.settled()
    await world.pass_time(secs)
    gate.open()
    await until_deliveries(
        world,
        lambda rows: (
            len(rows) == so_far + 2 and {r["status"] for r in rows} <= {"delivered", "dead"}
        ),
    )


def origin(receiver: Handlers) -> str:
    """A receiver as analytics name it: without the path, which may be a secret."""
    return receiver.url.removesuffix("/")


async def test_deliveries_are_counted_by_receiver_with_their_latencies(
    steady: World, refusing: Handlers
) -> None:
    job = await subscribed(steady, refusing)
    for secs in (0.1, 0.2, 0.6):
        await told_of(steady, job, secs)
    # 0.95 * (3 - 1) = 1.9: 200 ms + 0.9 * 400 ms.
    willing = {
        "url": origin(steady.handlers), "total": 3, "delivered": 3, "failed": 0, "dead": 0,
        "avg_latency_ms": 300, "p95_latency_ms": 560,
    }  # fmt: skip
    unwilling = {
        "url": origin(refusing), "total": 3, "delivered": 0, "failed": 0, "dead": 3,
        "avg_latency_ms": 0, "p95_latency_ms": 0,
    }  # fmt: skip
    shown = await get(steady, "/webhooks/delivery-stats")
    assert shown == sorted([willing, unwilling], key=lambda row: str(row["url"]))
    foreign = await stranger(steady)
    path = "/v1/analytics/webhooks/delivery-stats"
    assert (await foreign.get(path, params=period(steady))).json() == []


async def test_the_health_of_receivers_is_by_hour_or_day(steady: World, refusing: Handlers) -> None:
    job = await subscribed(steady, refusing)
    await told_of(steady, job, 0.1)
    await steady.pass_time(HOUR)
    refusing.script = lambda call: ok()
    await told_of(steady, job, 0.3)

    async def health(url: str, **params: str) -> list[tuple[str, float, float]]:
        rows = await get(steady, "/webhooks/endpoint-health", **params)
        return [
            (row["period"], row["success_rate"], row["avg_latency_ms"])
            for row in rows
            if row["url"] == url
        ]

    willing, unwilling = origin(steady.handlers), origin(refusing)
    assert await health(willing, bucket="hour") == [(FIRST, 1, 100), (SECOND, 1, 300)]
    assert await health(willing) == [(FIRST, 1, 200)]
    in_hours = await health(unwilling, bucket="hour")
    assert [row[:2] for row in in_hours] == [(FIRST, 0), (SECOND, 1)]
    assert [row[:2] for row in await health(unwilling)] == [(FIRST, 0.5)]


async def test_the_receiver_that_failed_most_often_comes_first_with_its_last_error(
    steady: World, refusing: Handlers
) -> None:
    job = await subscribed(steady, refusing)
    await told_of(steady, job, 0.1)
    assert [row["url"] for row in await get(steady, "/webhooks/top-failing")] == [origin(refusing)]
    refusing.script = lambda call: Answer(410)
    await told_of(steady, job, 0.1)
    (row,) = await deliveries(steady, status="dead", limit="1")
    assert row["last_status_code"] == 410
    assert await get(steady, "/webhooks/top-failing") == [
        {"url": origin(refusing), "failed": 2, "total": 2, "failure_rate": 1,
         "last_error": row["last_error"]},
    ]  # fmt: skip
    foreign = await stranger(steady)
    path = "/v1/analytics/webhooks/top-failing"
    assert (await foreign.get(path, params=period(steady))).json() == []

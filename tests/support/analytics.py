"""What tests of analytics need: runs that took as long as is said, and the figures over them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from support.handlers import Answer, Gate, ok
from support.world import World

OVER = ("completed", "failed", "dead_letter", "timed_out", "canceled")
BROKEN = Answer(500, b"broken")


def period(world: World, days: float = 30, **more: Any) -> dict[str, Any]:
    """The last days until a day from now, by the clock of the server."""
    now = datetime.fromtimestamp(world.platform.clock.now() / 1_000_000, UTC)
    return {
        "from": (now - timedelta(days=days - 1)).isoformat().replace("+00:00", "Z"),
        "to": (now + timedelta(days=1)).isoformat().replace("+00:00", "Z"),
        **more,
    }


async def get(world: World, path: str, **params: Any) -> Any:
    """A figure over the period, which is the last 30 days unless `params` say otherwise.

    Spans of time are rounded to tenths of a millisecond: what a standing clock calls one instant,
    the server orders by a few microseconds.
    """
    answer = await world.api.get(f"/v1/analytics{path}", params=period(world) | params)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, object_hook=_rounded)


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    digits = {"ms": 1, "secs": 4}
    return {
        name: round(value, digits[unit]) if (unit := name.rpartition("_")[2]) in digits else value
        for name, value in row.items()
    }


async def spend(world: World, run_id: str, token: str, cost: int) -> None:
    """Report a cost as the handler of a run does."""
    body = {"provider": "p", "model": "m", "cost_microusd": cost}
    answer = await world.handler(token).post(f"/sdk/v1/runs/{run_id}/usage", json=body)
    assert answer.status_code == 201, answer.text


async def took(
    world: World,
    job: dict[str, Any],
    secs: float = 0,
    answer: Answer | None = None,
    *,
    cost: int = 0,
    trigger: Callable[[], Awaitable[str]] | None = None,
    **fields: Any,
) -> str:
    """Have a run of a job take so long, on virtual time, and return its id.

    Args:
        world: a world whose time stands still.
        job: a job that `World.job` made.
        secs: how long its handler takes.
        answer: what the handler answers then.
        cost: what it reports as spent before that, in microdollars.
        trigger: what makes the run and returns its id, if not the trigger of the job.
        fields: fields of the trigger.
    """
    world.handlers.script = gate = Gate(answer or ok())
    run_id = await (trigger() if trigger else world.trigger(job, **fields))
    (call,) = await world.handlers.wait(1, run_id)
    await world.until(run_id, "executing")
    await world.pass_time(secs)
    if cost:
        await spend(world, run_id, call.token, cost)
    gate.open()
    await world.until(run_id, *OVER)
    return run_id


async def canceled(world: World, job: dict[str, Any], secs: float = 0) -> str:
    """Cancel a run of a job that has executed for so long, and return its id."""
    world.handlers.script = Gate()
    run_id, _ = await world.executing(job)
    await world.pass_time(secs)
    assert (await world.api.delete(f"/v1/runs/{run_id}")).status_code == 200
    await world.until(run_id, "canceled")
    return run_id


async def stranger(world: World) -> httpx.AsyncClient:
    """A client with a key for everything in another project."""
    return world.client(await world.key_for("*", project="proj-2"))

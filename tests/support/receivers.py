"""Receivers of webhooks: subscriptions, what came in, and waiting for what becomes of it."""

from __future__ import annotations

import asyncio
from typing import Any

from support.handlers import PATIENCE_SECS, Received
from support.world import PROJECT, World


def address(world: World, path: str = "hook") -> str:
    """The URL of a receiver."""
    return f"{world.handlers.url}{path}"


async def subscribe(world: World, *types: str, path: str = "hook", **fields: Any) -> dict[str, Any]:
    """Subscribe a receiver; return the subscription, with its secret as `signing_secret`."""
    body = {
        "project_id": PROJECT,
        "webhook_url": address(world, path),
        "event_types": list(types),
        **fields,
    }
    answer = await world.api.post("/v1/webhooks/subscriptions", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return {**made["subscription"], "signing_secret": made["signing_secret"]}


def received(world: World, path: str = "hook") -> list[Received]:
    """What a receiver was sent so far."""
    return [call for call in world.handlers.received if call.path == f"/{path}"]


async def until_received(world: World, count: int = 1, path: str = "hook") -> list[Received]:
    """What a receiver was sent, once there is that much."""
    async with asyncio.timeout(PATIENCE_SECS):
        while len(received(world, path)) < count:
            await world.handlers.wait(len(world.handlers.received) + 1)
    return received(world, path)


async def deliveries(world: World, **query: str) -> list[dict[str, Any]]:
    """The webhook deliveries of the project, newest first."""
    answer = await world.api.get("/v1/webhooks/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def until_settled(world: World, count: int = 1) -> list[dict[str, Any]]:
    """The deliveries, once there are that many and none waits to be sent for the first time."""
    return await until_deliveries(
        world, lambda rows: len(rows) >= count and all(row["attempts"] for row in rows)
    )


async def until_deliveries(world: World, fits: Any) -> list[dict[str, Any]]:
    """The deliveries, once they fit."""
    async with asyncio.timeout(PATIENCE_SECS):
        while not fits(rows := await deliveries(world)):
            await world.settled()
    return rows

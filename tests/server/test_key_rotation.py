"""Keys that are rotated by the clock: handed over first, and ended only then (§5.7)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from strait import webhooks
from strait.clock import VirtualClock
from support.handlers import Answer, Gate, Handlers, ok
from support.receivers import address, received, until_deliveries, until_received
from support.world import PROJECT, World, world

from .conftest import STEADY

DAY = 24 * 3600


async def rotating(world: World, days: int = 90) -> dict[str, Any]:
    body = {
        "project_id": PROJECT,
        "name": "robot",
        "scopes": ["jobs:read"],
        "expires_in_days": days,
        "rotation_interval_days": 7,
        "rotation_webhook_url": address(world, "keys"),
    }
    answer = await world.api.post("/v1/api-keys", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def works(world: World, key: str) -> bool:
    return (await world.client(key).get("/v1/jobs")).status_code == 200


async def _told(world: World) -> list[tuple[str, str, str]]:
    """What the audit log says of keys: what, by whom, and to which."""
    answer = await world.api.get("/v1/audit-events", params={"order": "asc"})
    events = [event for event in answer.json()["data"] if event["resource_type"] == "api_key"]
    return [(event["action"], event["actor_type"], event["resource_id"]) for event in events]


async def test_a_key_is_rotated_in_its_time_and_the_new_one_is_handed_over(steady: World) -> None:
    old = await rotating(steady)
    await steady.pass_time(7 * DAY + 1)
    (call,) = await until_received(steady, path="keys")
    now = float(call.headers["x-strait-timestamp"])
    event = webhooks.unwrap(call.body, call.headers, old["rotation_webhook_secret"], now=now)
    assert (event.type, event.data["old_key_id"]) == ("api_key.rotated", old["id"])
    await until_deliveries(steady, lambda rows: rows[0]["status"] == "delivered")
    assert await works(steady, event.data["key"])
    assert await works(steady, old["key"])  # for the grace period
    await steady.pass_time(3601)
    assert not await works(steady, old["key"])
    assert await works(steady, event.data["key"])
    assert await _told(steady) == [
        ("api_key.created", "api_key", old["id"]),
        ("api_key.created", "system", event.data["new_key_id"]),
        ("api_key.rotated", "system", old["id"]),
    ]
    dump = "\n".join(steady.platform.reader.iterdump())
    assert event.data["key"] not in dump
    assert old["rotation_webhook_secret"] not in dump
    # The new one is rotated too, signed with the same secret.
    await steady.pass_time(7 * DAY)
    *_, call = await until_received(steady, 2, "keys")
    now = float(call.headers["x-strait-timestamp"])
    again = webhooks.unwrap(call.body, call.headers, old["rotation_webhook_secret"], now=now)
    assert again.data["old_key_id"] == event.data["new_key_id"]


async def test_a_key_that_ends_before_its_interval_is_rotated_in_time(steady: World) -> None:
    old = await rotating(steady, days=2)
    (shown,) = [
        row
        for row in (await steady.api.get("/v1/api-keys")).json()["data"]
        if row["id"] == old["id"]
    ]
    assert shown["next_rotation_at"] < shown["expires_at"]
    await steady.pass_time(2 * DAY - 3599)
    (call,) = await until_received(steady, path="keys")
    new = json.loads(call.body)["key"]
    await until_deliveries(steady, lambda rows: rows[0]["status"] == "delivered")
    assert await works(steady, old["key"])
    assert await works(steady, new)
    await steady.pass_time(DAY)
    assert not await works(steady, old["key"])
    assert await works(steady, new)


async def test_a_receiver_that_is_down_locks_nobody_out(steady: World) -> None:
    steady.handlers.scripts["/keys"] = lambda call: Answer(404)
    old = await rotating(steady)
    await steady.pass_time(7 * DAY + 1)
    await until_deliveries(steady, lambda rows: rows and rows[0]["status"] == "dead")
    lost = json.loads(received(steady, "keys")[0].body)
    assert not await works(steady, lost["key"])
    assert (await _told(steady))[1:] == [
        ("api_key.created", "system", lost["new_key_id"]),
        ("api_key.revoked", "system", lost["new_key_id"]),
    ]
    await steady.pass_time(2 * 3600)
    assert await works(steady, old["key"])
    (delivery,) = (await steady.api.get("/v1/webhooks/deliveries")).json()["data"]
    path = f"/v1/webhooks/deliveries/{delivery['id']}"
    assert (await steady.api.post(f"{path}/retry")).status_code == 409
    assert (await steady.api.post(f"{path}/replay")).status_code == 409
    steady.handlers.scripts["/keys"] = lambda call: ok()
    await steady.pass_time(DAY)
    *_, call = await until_received(steady, 2, "keys")
    await until_deliveries(steady, lambda rows: rows[0]["status"] == "delivered")
    assert await works(steady, call.json["key"])


async def test_a_key_that_was_revoked_is_not_rotated(steady: World) -> None:
    old = await rotating(steady)
    assert (await steady.api.delete(f"/v1/api-keys/{old['id']}")).status_code == 200
    await steady.pass_time(8 * DAY)
    assert received(steady, "keys") == []


async def test_a_restart_forgets_neither_the_time_nor_a_key_on_its_way(
    handlers: Handlers, tmp_path: Path
) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    handlers.scripts["/keys"] = Gate()
    async with world(handlers, database, clock=clock, outside=STEADY) as first:
        await rotating(first)
    clock.advance(7 * DAY + 1)
    async with world(handlers, database, clock=clock, outside=STEADY) as second:
        await until_received(second, path="keys")
    handlers.scripts.clear()
    async with world(handlers, database, clock=clock, outside=STEADY) as third:
        *_, call = await until_received(third, 2, "keys")
        await until_deliveries(third, lambda rows: rows[0]["status"] == "delivered")
        first_call, last_call = received(third, "keys")
        assert first_call.body == last_call.body
        assert await works(third, call.json["key"])

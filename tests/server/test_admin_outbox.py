"""The outbox for administrators: what is on its way, what was given up, and what to do about it."""

from __future__ import annotations

from typing import Any

import pytest

from strait import AsyncClient, ConflictError
from support.handlers import Answer, Handlers, ok
from support.receivers import subscribe, until_deliveries, until_received
from support.world import World


async def refused(world: World) -> dict[str, Any]:
    """A message that its receiver did not want."""
    await subscribe(world, "run.completed")
    world.handlers.scripts["/hook"] = lambda call: Answer(400)
    run_id = await world.trigger(await world.job(), {"n": 1})
    await world.until(run_id, "completed")
    (row,) = await until_deliveries(world, lambda rows: rows and rows[0]["status"] == "dead")
    return dict(row)


async def test_a_message_that_was_given_up_is_shown_and_sent_again_as_a_new_one(
    world: World,
) -> None:
    given_up = await refused(world)
    world.handlers.scripts["/hook"] = lambda call: ok()
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        (row,) = (await client.admin_outbox.list()).data
        assert row.id == given_up["id"]
        assert row.error == "the receiver answered 400"
        assert row.consumed_at is None
        again = await client.admin_outbox.retry(row.id)
        await until_received(world, 2)
        await until_deliveries(world, lambda rows: rows[0]["status"] == "delivered")
        (left,) = (await client.admin_outbox.list()).data
        sent = await client.admin_outbox.get(again.retry_outbox_id)
    assert left.id == given_up["id"]
    assert (sent.retry_of_outbox_id, sent.idempotency_key) == (given_up["id"], given_up["id"])
    assert sent.consumed_at is not None
    assert sent.payload == row.payload


async def test_a_message_that_was_given_up_can_be_deleted_and_one_that_arrived_cannot(
    world: World,
) -> None:
    given_up = await refused(world)
    world.handlers.scripts["/hook"] = lambda call: ok()
    path = f"/v1/admin/outbox/{given_up['id']}"
    retried = (await world.api.post(f"{path}/retry")).json()["retry_outbox_id"]
    await until_deliveries(world, lambda rows: rows[0]["status"] == "delivered")
    for wish in ("retry", "purge"):
        answer = await world.api.post(f"/v1/admin/outbox/{retried}/{wish}")
        assert answer.status_code == 409
        assert answer.json()["error"]["message"].startswith("it has arrived")
    assert (await world.api.post(f"{path}/purge")).json() == {
        "outbox_id": given_up["id"],
        "ok": True,
    }
    assert (await world.api.get(path)).status_code == 404
    assert (await world.api.get("/v1/admin/outbox")).json() == {"data": [], "has_more": False}


async def test_a_message_on_its_way_is_left_alone(steady: World) -> None:
    await subscribe(steady, "run.completed")
    steady.handlers.scripts["/hook"] = lambda call: Answer(503)
    await steady.until(await steady.trigger(await steady.job()), "completed")
    (row,) = await until_deliveries(steady, lambda rows: rows and rows[0]["attempts"] == 1)
    async with AsyncClient(base_url=steady.server.base_url, api_key=steady.key) as client:
        shown = await client.admin_outbox.get(row["id"])
        assert shown.scheduled_at is not None
        with pytest.raises(ConflictError, match="still being sent"):
            await client.admin_outbox.purge(row["id"])


async def test_the_outbox_is_paged_and_none_of_another_project(
    world: World, handlers: Handlers
) -> None:
    await subscribe(world, "run.completed")
    handlers.scripts["/hook"] = lambda call: Answer(400)
    job = await world.job()
    for _ in range(3):
        await world.until(await world.trigger(job), "completed")
    rows = await until_deliveries(
        world, lambda rows: [row["status"] for row in rows] == ["dead"] * 3
    )
    first = (await world.api.get("/v1/admin/outbox", params={"limit": 2})).json()
    params = {"limit": 2, "cursor": first["next_cursor"]}
    second = (await world.api.get("/v1/admin/outbox", params=params)).json()
    found = [row["id"] for row in first["data"] + second["data"]]
    assert found == [row["id"] for row in rows]
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get("/v1/admin/outbox")).json()["data"] == []
    for method, path in (("GET", ""), ("POST", "/retry"), ("POST", "/purge")):
        answer = await stranger.request(method, f"/v1/admin/outbox/{found[0]}{path}")
        assert answer.status_code == 404
    reader = world.client(await world.key_for("outbox:read"))
    assert (await reader.get("/v1/admin/outbox")).status_code == 200
    assert (await reader.post(f"/v1/admin/outbox/{found[0]}/retry")).status_code == 403
    assert (await world.api.get("/v1/admin/outbox", params={"cursor": "x"})).status_code == 400

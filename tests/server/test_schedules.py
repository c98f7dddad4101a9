"""Everything that runs by itself, in one list; the embedded platform only."""

from __future__ import annotations

import pytest

from strait.clock import from_timestamp
from strait.cron import next_fire
from support.workflows import Flows, sleep
from support.world import PROJECT, World

pytestmark = pytest.mark.e2e


async def test_what_runs_by_itself_is_listed_with_its_next_instants(virtual: World) -> None:
    world = virtual
    await world.job()
    yearly = await world.job(cron="0 0 1 1 *")
    flow = await Flows(world).create(sleep("nap", 1), cron="@daily", cron_timezone="Europe/Berlin")
    rows = (await world.api.get("/v1/schedules")).json()
    assert [(row["type"], row["id"]) for row in rows] == [
        ("workflow", flow["id"]),
        ("job", yearly["id"]),
    ]
    daily = rows[0]
    assert (daily["slug"], daily["cron"], daily["active"]) == (flow["slug"], "@daily", True)
    at = world.clock.now()
    for told in daily["next_runs"]:
        fires_at = next_fire("@daily", "Europe/Berlin", at)
        assert fires_at == from_timestamp(told)
        at = fires_at
    assert len(daily["next_runs"]) == 5
    assert rows[1]["timezone"] == "UTC"


async def test_what_is_paused_has_no_next_instant_and_comes_last(world: World) -> None:
    paused = await world.job(cron="*/5 * * * *")
    await world.api.post(f"/v1/jobs/{paused['id']}/pause")
    never = await world.job(cron="0 0 30 2 *")
    first = await world.job(cron="0 0 1 1 *")
    rows = (await world.api.get("/v1/schedules")).json()
    assert rows[0]["id"] == first["id"]
    shown = {row["id"]: (row["active"], row["next_runs"]) for row in rows[1:]}
    assert shown == {paused["id"]: (False, []), never["id"]: (True, [])}


async def test_a_key_of_one_environment_sees_the_schedules_of_its_jobs(world: World) -> None:
    body = {"project_id": PROJECT, "name": "Shop", "slug": "shop"}
    shop = (await world.api.post("/v1/environments", json=body)).json()["id"]
    own = await world.job(cron="0 3 * * *", environment_id=shop)
    await world.job(cron="0 4 * * *")
    made = await world.api.post(
        "/v1/api-keys",
        json={
            "project_id": PROJECT,
            "name": "k",
            "scopes": ["jobs:read"],
            "expires_in_days": 1,
            "environment_id": shop,
        },
    )
    listed = await world.client(made.json()["key"]).get("/v1/schedules")
    assert [row["id"] for row in listed.json()] == [own["id"]]

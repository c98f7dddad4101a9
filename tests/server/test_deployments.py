"""Deployments: drafts, promotion, and the way back (`contract/workflows.md` §5.2)."""

from __future__ import annotations

from typing import Any

import pytest

from strait.client import AsyncClient
from support.workflows import told
from support.world import PROJECT, World

BODY = {
    "project_id": PROJECT,
    "environment": "live",
    "runtime": "python3.12",
    "artifact_uri": "https://artifacts.example.com/1.tar.gz",
}


async def made(world: World, **fields: Any) -> dict[str, Any]:
    answer = await world.api.post("/v1/deployments", json={**BODY, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def do(
    world: World, deployment: dict[str, Any], what: str, environment: str = "live"
) -> dict[str, Any]:
    answer = await world.api.post(
        f"/v1/deployments/{deployment['id']}/{what}",
        json={"project_id": PROJECT, "environment": environment},
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def listed(world: World, **params: Any) -> dict[str, dict[str, Any]]:
    answer = await world.api.get("/v1/deployments", params=params)
    return {each["id"]: each for each in answer.json()["data"]}


async def test_a_draft_is_shown_with_what_was_given(world: World) -> None:
    deployment = await made(
        world, manifest={"a": 1}, checksum="abc", strategy="canary", canary_percent=5,
        canary_duration="30m",
    )  # fmt: skip
    assert deployment["status"] == "draft"
    assert (deployment["strategy"], deployment["canary_percent"]) == ("canary", 5)
    assert deployment["canary_duration"] == 1_800_000_000_000
    assert (deployment["manifest"], deployment["checksum"]) == ({"a": 1}, "abc")
    assert deployment["created_by"].startswith("apikey:")
    assert await listed(world) == {deployment["id"]: deployment}


async def test_one_deployment_of_an_environment_is_promoted(world: World) -> None:
    first, second = await made(world), await made(world)
    elsewhere = await made(world, environment="staging")
    await do(world, elsewhere, "promote", "staging")
    finalized = await do(world, first, "finalize")
    assert (finalized["status"], bool(finalized["finalized_at"])) == ("finalized", True)
    assert (await do(world, first, "promote"))["promoted_at"]
    await do(world, second, "promote")
    found = await listed(world)
    assert {each["id"]: each["status"] for each in found.values()} == {
        first["id"]: "finalized",
        second["id"]: "promoted",
        elsewhere["id"]: "promoted",
    }
    assert "promoted_at" not in found[first["id"]]
    assert set(await listed(world, environment="staging")) == {elsewhere["id"]}


async def test_what_is_promoted_is_not_finalized_away(world: World) -> None:
    deployment = await made(world)
    await do(world, deployment, "promote")
    assert (await do(world, deployment, "finalize"))["status"] == "promoted"


async def test_a_rollback_says_what_it_left(world: World) -> None:
    first, second = await made(world), await made(world)
    await do(world, first, "promote")
    await do(world, second, "promote")
    back = await do(world, first, "rollback")
    assert (back["status"], back["rollback_from_deployment_id"]) == ("promoted", second["id"])
    assert await do(world, first, "rollback") == back  # asked again, it is what it was
    assert (await listed(world))[second["id"]]["status"] == "finalized"


async def test_a_rollback_works_where_nothing_was_promoted(world: World) -> None:
    back = await do(world, await made(world), "rollback")
    assert back["status"] == "promoted"
    assert "rollback_from_deployment_id" not in back


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strategy": "blue"}, 'invalid strategy: must be "direct" or "canary"'),
        ({"strategy": "canary"}, "canary strategy requires canary_percent between 1 and 99"),
        (
            {"canary_duration": "soon"},
            "invalid canary_duration: must be a valid Go duration string",
        ),
    ],
)
async def test_a_deployment_that_makes_no_sense_is_refused(
    world: World, fields: dict[str, Any], message: str
) -> None:
    answer = await world.api.post("/v1/deployments", json={**BODY, **fields})
    assert told(answer) == (400, message)


async def test_a_deployment_of_another_environment_or_project_is_not_there(world: World) -> None:
    deployment = await made(world)
    path = f"/v1/deployments/{deployment['id']}/promote"
    body = {"project_id": PROJECT, "environment": "staging"}
    assert told(await world.api.post(path, json=body)) == (404, "deployment version not found")
    stranger = world.client(await world.key_for("*", project="proj-2"))
    theirs = {"project_id": "proj-2", "environment": "live"}
    assert (await stranger.post(path, json=theirs)).status_code == 404
    assert (await stranger.post(path, json=BODY)).status_code == 403
    assert (await stranger.get("/v1/deployments")).json()["data"] == []
    reader = world.client(await world.key_for("workflows:read"))
    assert (await reader.post(path, json=body)).status_code == 403


async def test_our_own_client_deploys(world: World) -> None:
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        first = await client.deployments.create(**BODY)
        promoted = await client.deployments.promote(
            first.id, project_id=PROJECT, environment="live"
        )
        assert promoted.status == "promoted"

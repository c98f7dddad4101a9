"""API keys: made, listed, told about before they end, and revoked (`contract/runs.md` §7.1)."""

from __future__ import annotations

from typing import Any

from strait.clock import SECOND, from_timestamp
from support.workflows import told
from support.world import PROJECT, World

DAY = 24 * 3600


async def made(world: World, name: str, days: int = 30, *scopes: str) -> dict[str, Any]:
    body = {"name": name, "scopes": list(scopes) or ["jobs:read"], "expires_in_days": days}
    answer = await world.api.post("/v1/api-keys", json={"project_id": PROJECT, **body})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_new_key_does_what_its_scopes_say_until_it_ends(virtual: World) -> None:
    key = await made(virtual, "ci", 2, "jobs:read", "runs:read")
    assert (key["name"], key["scopes"], key["project_id"]) == (
        "ci", ["jobs:read", "runs:read"], PROJECT
    )  # fmt: skip
    assert key["key"].startswith("strait_")
    assert (len(key["key"]), key["key_prefix"]) == (71, key["key"][:12])
    lasts = from_timestamp(key["expires_at"]) - from_timestamp(key["created_at"])
    assert lasts == 2 * DAY * SECOND
    client = virtual.client(key["key"])
    assert (await client.get("/v1/jobs")).status_code == 200
    refused = await client.get("/v1/stats")
    assert told(refused) == (403, "insufficient permissions: requires stats:read")
    await virtual.pass_time(2 * DAY + 1)
    assert told(await client.get("/v1/jobs")) == (401, "api key has expired")


async def test_keys_are_listed_newest_first_without_their_secrets(world: World) -> None:
    keys = [await made(world, name) for name in ("one", "two", "three")]
    first = await world.api.get("/v1/api-keys", params={"limit": 2})
    assert [row["name"] for row in first.json()["data"]] == ["three", "two"]
    assert not any(key["key"] in first.text for key in keys)
    params = {"limit": 2, "cursor": first.json()["next_cursor"]}
    rest = (await world.api.get("/v1/api-keys", params=params)).json()
    # The last one is the key that the test itself asks with.
    assert [row["name"] for row in rest["data"]] == ["one", "all"]
    assert (rest["data"][0]["id"], rest["data"][0]["scopes"]) == (keys[0]["id"], ["jobs:read"])
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert [row["name"] for row in (await stranger.get("/v1/api-keys")).json()["data"]] == ["test"]


async def test_keys_that_end_soon_or_never_are_told_with_the_days_they_have(virtual: World) -> None:
    soon, late = await made(virtual, "soon", 5), await made(virtual, "late", 60)
    await virtual.pass_time(1.5 * DAY)

    async def expiring(**params: Any) -> dict[str, Any]:
        answer = await virtual.api.get("/v1/api-keys/expiring-soon", params=params)
        assert answer.status_code == 200, answer.text
        return {row["name"]: row["days_left"] for row in answer.json()}

    assert await expiring() == {"all": None, "soon": 3}
    assert await expiring(within_days=90) == {"all": None, "late": 58, "soon": 3}
    assert await expiring(within_days=3) == {"all": None}
    assert (await virtual.api.delete(f"/v1/api-keys/{soon['id']}")).status_code == 200
    assert await expiring() == {"all": None}
    stranger = virtual.client(await virtual.key_for("*", project="proj-2", days=1))
    listed = (await stranger.get("/v1/api-keys/expiring-soon")).json()
    assert [(row["name"], row["no_expiry"]) for row in listed] == [("test", False)]
    assert late["id"] not in {row["id"] for row in listed}
    for days in (0, 366):
        odd = await virtual.api.get("/v1/api-keys/expiring-soon", params={"within_days": days})
        assert odd.status_code == 400


async def test_the_successor_of_a_key_that_never_ends_is_said_to_never_end(
    virtual: World,
) -> None:
    (own,) = (await virtual.api.get("/v1/api-keys")).json()["data"]
    answer = await virtual.api.post(f"/v1/api-keys/{own['id']}/rotate", json={})
    assert answer.status_code == 201
    assert answer.json()["expires_at"] is None


async def test_a_rotated_key_lives_no_longer_than_its_project_lets_keys_live(
    virtual: World,
) -> None:
    long, short = await made(virtual, "long", 60), await made(virtual, "short", 5)
    endless = await virtual.api.get("/v1/api-keys", params={"limit": 100})
    (own,) = [row["id"] for row in endless.json()["data"] if row["name"] == "all"]
    settings = {"max_key_lifetime_days": 10}
    await virtual.api.put(f"/v1/projects/{PROJECT}/settings", json=settings)
    for old, days in ((long["id"], 10), (short["id"], 5), (own, 10)):
        answer = await virtual.api.post(f"/v1/api-keys/{old}/rotate", json={})
        assert answer.status_code == 201, answer.text
        new = answer.json()
        lasts = from_timestamp(new["expires_at"]) - from_timestamp(new["created_at"])
        assert lasts == days * DAY * SECOND


async def test_a_revoked_key_ends_at_once_and_can_be_revoked_again(world: World) -> None:
    key = await made(world, "ci")
    client, path = world.client(key["key"]), f"/v1/api-keys/{key['id']}"
    assert (await client.get("/v1/jobs")).status_code == 200
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert told(await stranger.delete(path)) == (404, "api key not found")
    for _ in range(2):
        revoked = await world.api.delete(path)
        assert (revoked.status_code, revoked.json()) == (200, {"status": "revoked"})
    assert told(await client.get("/v1/jobs")) == (401, "api key has been revoked")
    (row,) = [row for row in (await world.api.get("/v1/api-keys")).json()["data"]
              if row["id"] == key["id"]]  # fmt: skip
    assert row["revoked_at"]


async def test_nobody_comes_to_more_by_rotating_the_key_of_another(world: World) -> None:
    whole = await made(world, "whole", 30, "*")
    manager = world.client(await world.key_for("api-keys:manage", "jobs:read"))
    refused = await manager.post(f"/v1/api-keys/{whole['id']}/rotate", json={})
    assert told(refused) == (403, "cannot grant permission *: caller does not have it")
    assert (await world.client(whole["key"]).get("/v1/jobs")).status_code == 200
    little = await made(world, "little", 30, "jobs:read")
    assert (await manager.post(f"/v1/api-keys/{little['id']}/rotate")).status_code == 201


async def test_a_key_of_one_project_makes_no_successor_for_the_organization(world: World) -> None:
    body = {"project_id": PROJECT, "org_id": "org-1", "name": "org", "scopes": ["jobs:read"]}
    answer = await world.internal(PROJECT).post(
        "/v1/api-keys", json={**body, "expires_in_days": 30}
    )
    assert answer.status_code == 201, answer.text
    path = f"/v1/api-keys/{answer.json()['id']}/rotate"
    refused = await world.api.post(path)
    assert told(refused) == (
        403, "an org-scoped key is made with internal secret or an org-scoped key"
    )  # fmt: skip
    assert (await world.client(answer.json()["key"]).post(path)).status_code == 403
    assert (await world.internal(PROJECT).post(path)).status_code == 201

"""Roles, members and policies, and that they act (`contract/workflows.md` §5.6)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from strait.client import AsyncClient
from support.workflows import told
from support.world import PROJECT, World


async def role(world: World, name: str, *permissions: str, **fields: Any) -> dict[str, Any]:
    body = {"name": name, "permissions": list(permissions), **fields}
    answer = await world.api.post("/v1/roles", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def member(world: World, user: str, role_id: str) -> dict[str, Any]:
    answer = await world.api.post("/v1/members", json={"user_id": user, "role_id": role_id})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def acting(world: World, user: str) -> httpx.AsyncClient:
    client = world.internal(PROJECT)
    client.headers["X-Actor-Id"] = user
    return client


# ------------------------------------------------------------------------------------------- roles


async def test_a_project_is_made_with_the_roles_of_the_system(world: World) -> None:
    body = {"id": "proj-new", "org_id": "org-1", "name": "New"}
    assert (await world.internal().post("/v1/projects", json=body)).status_code == 201
    roles = (await world.internal("proj-new").get("/v1/roles")).json()["data"]
    by_name = {each["name"]: each for each in roles}
    assert set(by_name) == {"admin", "operator", "viewer", "triggerer"}
    assert by_name["admin"]["permissions"] == ["*"]
    assert all(each["is_system"] for each in roles)
    again = await world.internal("proj-new").post("/v1/seed-roles")
    assert {each["id"] for each in again.json()} == {each["id"] for each in roles}


async def test_a_role_of_the_system_cannot_be_changed(world: World) -> None:
    (admin, *_) = (await world.api.post("/v1/seed-roles")).json()
    path = f"/v1/roles/{admin['id']}"
    changed = await world.api.patch(path, json={"name": "x", "permissions": ["jobs:read"]})
    deleted = await world.api.delete(path)
    for answer in (changed, deleted):
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == "role not found or is a system role"


async def test_a_role_is_shown_with_what_it_inherits_from(world: World) -> None:
    base = await role(world, "base", "jobs:read", description="looks")
    middle = await role(world, "middle", "runs:read", parent_role_id=base["id"])
    top = await role(world, "top", "jobs:trigger", parent_role_id=middle["id"])
    plain = (await world.api.get(f"/v1/roles/{top['id']}")).json()
    assert plain == top
    shown = await world.api.get(f"/v1/roles/{top['id']}", params={"include_lineage": "true"})
    assert shown.json() == {"role": top, "lineage": [middle, base]}
    listed = (await world.api.get("/v1/roles", params={"limit": 2})).json()
    assert [each["name"] for each in listed["data"]] == ["top", "middle"]
    assert listed["has_more"] is True


async def test_a_change_replaces_the_whole_role(world: World) -> None:
    made = await role(world, "r", "jobs:read", description="old")
    path = f"/v1/roles/{made['id']}"
    body = {"name": "r2", "permissions": ["runs:read", "runs:read"]}
    changed = (await world.api.patch(path, json=body)).json()
    assert (changed["name"], changed["permissions"]) == ("r2", ["runs:read"])
    assert "description" not in changed
    assert (await world.api.delete(path)).status_code == 204
    assert (await world.api.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"name": "r", "permissions": []}, 422, "validation failed"),
        ({"name": "r", "permissions": ["x"]}, 400, 'unknown scope: "x"'),
        ({"name": "r"}, 422, "validation failed"),
        (
            {"name": "r", "permissions": ["*"], "parent_role_id": "nope"},
            400,
            "parent role not found",
        ),
    ],
)
async def test_a_role_that_makes_no_sense_is_refused(
    world: World, body: dict[str, Any], status: int, message: str
) -> None:
    answer = await world.api.post("/v1/roles", json=body)
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, message)


async def test_a_name_is_there_once(world: World) -> None:
    await role(world, "r", "jobs:read")
    answer = await world.api.post("/v1/roles", json={"name": "r", "permissions": ["jobs:read"]})
    assert answer.status_code == 409


async def test_roles_do_not_inherit_in_a_circle(world: World) -> None:
    first = await role(world, "first", "jobs:read")
    second = await role(world, "second", "jobs:read", parent_role_id=first["id"])
    body = {"name": "first", "permissions": ["jobs:read"], "parent_role_id": second["id"]}
    answer = await world.api.patch(f"/v1/roles/{first['id']}", json=body)
    assert answer.status_code == 400


async def test_nobody_hands_on_what_it_does_not_have(world: World) -> None:
    admin = await role(world, "all", "*")
    manager = world.client(await world.key_for("rbac:manage", "jobs:read"))
    refusal = "cannot grant permission {}: caller does not have it"
    bodies = [
        ("/v1/roles", {"name": "x", "permissions": ["jobs:write"]}, "jobs:write"),
        (
            "/v1/roles",
            {"name": "x", "permissions": ["jobs:read"], "parent_role_id": admin["id"]},
            "*",
        ),
        ("/v1/members", {"user_id": "u", "role_id": admin["id"]}, "*"),
        (
            "/v1/resource-policies",
            {"project_id": PROJECT, "resource_type": "job", "resource_id": "j", "user_id": "u",
             "actions": ["jobs:write"]},
            "jobs:write",
        ),
    ]  # fmt: skip
    for path, body, scope in bodies:
        answer = await manager.post(path, json=body)
        assert answer.status_code == 403
        assert answer.json()["error"]["message"] == refusal.format(scope)
    assert (
        await manager.post("/v1/roles", json={"name": "x", "permissions": ["jobs:read"]})
    ).status_code == 201


async def test_nobody_takes_away_what_it_could_not_give_back(world: World) -> None:
    everything = await role(world, "all", "*")
    small = await role(world, "small", "jobs:read")
    for user in ("chief", "other"):
        await member(world, user, everything["id"])
    await member(world, "helper", small["id"])
    manager = world.client(await world.key_for("rbac:manage", "jobs:read"))
    demoted = {"user_id": "chief", "role_id": small["id"]}
    weaker = {"name": "all", "permissions": ["jobs:read"]}
    for answer in (
        await manager.delete("/v1/members/chief"),
        await manager.post("/v1/members", json=demoted),
        await manager.patch(f"/v1/roles/{everything['id']}", json=weaker),
        await manager.delete(f"/v1/roles/{everything['id']}"),
    ):
        assert answer.status_code == 403
        assert "with permission *: caller does not have it" in answer.json()["error"]["message"]
    (many,) = (await manager.post("/v1/members/bulk", json={"items": [demoted]})).json()["results"]
    assert many["status"] == "error"
    assert (await manager.delete("/v1/members/helper")).status_code == 204
    leaving = acting(world, "other")
    assert (await leaving.delete("/v1/members/other")).status_code == 204


async def test_a_role_that_is_in_use_cannot_be_deleted(world: World) -> None:
    base = await role(world, "base", "jobs:read")
    child = await role(world, "child", "jobs:read", parent_role_id=base["id"])
    await member(world, "u", child["id"])
    for each in (base, child):
        assert (await world.api.delete(f"/v1/roles/{each['id']}")).status_code == 400
    assert (await world.api.delete("/v1/members/u")).status_code == 204
    assert (await world.api.delete(f"/v1/roles/{child['id']}")).status_code == 204
    assert (await world.api.delete(f"/v1/roles/{base['id']}")).status_code == 204


# ----------------------------------------------------------------------------------------- members


async def test_a_member_gets_another_role_in_place_of_the_first(world: World) -> None:
    first, second = await role(world, "a", "jobs:read"), await role(world, "b", "runs:read")
    made = await member(world, "u", first["id"])
    assert made["granted_by"].startswith("apikey:")
    again = await member(world, "u", second["id"])
    assert again == {**made, "role_id": second["id"]}
    assert (await world.api.get("/v1/members")).json()["data"] == [again]
    assert (await world.api.delete("/v1/members/u")).status_code == 204
    assert (await world.api.delete("/v1/members/u")).status_code == 404
    assert (await world.api.get("/v1/members")).json()["data"] == []


async def test_members_are_assigned_many_at_once_each_by_itself(world: World) -> None:
    made = await role(world, "a", "jobs:read")
    items = [{"user_id": "u", "role_id": made["id"]}, {"user_id": "v", "role_id": "nope"}]
    answer = await world.api.post("/v1/members/bulk", json={"items": items})
    assert answer.json() == {
        "results": [
            {**items[0], "status": "assigned"},
            {**items[1], "status": "error", "error": "role not found"},
        ],
        "total": 2,
    }
    listed = (await world.api.get("/v1/members")).json()["data"]
    assert [each["user_id"] for each in listed] == ["u"]
    assert (await world.api.post("/v1/members/bulk", json={"items": []})).status_code in {400, 422}


async def test_members_are_listed_newest_first_in_pages_and_taken_out(world: World) -> None:
    looks = await role(world, "looks", "jobs:read")
    members = [await member(world, user, looks["id"]) for user in ("u", "v", "w")]
    assert (members[0]["user_id"], members[0]["role_id"]) == ("u", looks["id"])
    assert members[0]["granted_by"].startswith("apikey:")
    first = (await world.api.get("/v1/members", params={"limit": 2})).json()
    assert (first["data"], first["has_more"]) == (members[:0:-1], True)
    params = {"limit": 2, "cursor": first["next_cursor"]}
    rest = (await world.api.get("/v1/members", params=params)).json()
    assert rest == {"data": members[:1], "has_more": False}
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get("/v1/members")).json()["data"] == []
    assert (await stranger.delete("/v1/members/v")).status_code == 404
    user = acting(world, "v")
    assert (await user.get("/v1/jobs")).status_code == 200
    assert (await world.api.delete("/v1/members/v")).status_code == 204
    assert (await user.get("/v1/jobs")).status_code == 403
    assert (await world.api.delete("/v1/members/v")).status_code == 404
    left = (await world.api.get("/v1/members")).json()["data"]
    assert left == [members[2], members[0]]


async def test_policies_are_found_by_whom_and_what_they_are_for(world: World) -> None:
    one, two = await world.job(), await world.job()
    of_resource = {
        (user, job["id"]): await policy(
            world, "resource", resource_type="job", resource_id=job["id"], user_id=user,
            actions=["jobs:read"],
        )
        for user, job in (("u", one), ("v", one), ("u", two))
    }  # fmt: skip
    params = {"resource_type": "job", "resource_id": one["id"]}
    listed = (await world.api.get("/v1/resource-policies", params=params)).json()["data"]
    assert listed == [of_resource["v", one["id"]], of_resource["u", one["id"]]]
    params["resource_type"] = "workflow"
    assert (await world.api.get("/v1/resource-policies", params=params)).json()["data"] == []
    of_tag = {
        (kind, user): await policy(
            world, "tag", resource_type=kind, user_id=user, tag_key="team", actions=["jobs:read"]
        )
        for kind, user in (("job", "u"), ("workflow", "u"), ("job", "v"))
    }
    path = "/v1/tag-policies"
    listed = (await world.api.get(path)).json()["data"]
    assert listed == list(of_tag.values())[::-1]
    listed = (await world.api.get(path, params={"resource_type": "job"})).json()["data"]
    assert listed == [of_tag["job", "v"], of_tag["job", "u"]]
    both = {"resource_type": "workflow", "user_id": "u"}
    assert (await world.api.get(path, params=both)).json()["data"] == [of_tag["workflow", "u"]]
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get(path)).json()["data"] == []
    foreign = of_tag["job", "v"]["id"]
    assert (await stranger.delete(f"{path}/{foreign}")).status_code == 404


async def test_nobody_gives_itself_a_role(world: World) -> None:
    made = await role(world, "a", "*")
    answer = await acting(world, "u").post(
        "/v1/members", json={"user_id": "u", "role_id": made["id"]}
    )
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == "cannot assign a role to yourself"
    unknown = await world.api.post("/v1/members", json={"user_id": "u", "role_id": "nope"})
    assert (unknown.status_code, unknown.json()["error"]["message"]) == (400, "role not found")


# ------------------------------------------------------------------------------- what they may do


async def test_a_user_may_do_what_its_role_and_those_above_it_allow(world: World) -> None:
    job = await world.job()
    base = await role(world, "base", "jobs:read")
    top = await role(world, "top", "jobs:trigger", parent_role_id=base["id"])
    await member(world, "u", top["id"])
    user = acting(world, "u")
    path = f"/v1/jobs/{job['id']}"
    assert (await user.get(path)).status_code == 200
    assert (await user.post(f"{path}/trigger", json={})).status_code == 201
    refused = await user.patch(path, json={"name": "x"})
    assert refused.status_code == 403
    assert refused.json()["error"]["message"] == "insufficient permissions: requires jobs:write"
    await world.api.patch(
        f"/v1/roles/{base['id']}", json={"name": "base", "permissions": ["jobs:write"]}
    )
    assert (await user.patch(path, json={"name": "x"})).status_code == 200
    assert (await user.get(path)).status_code == 403


async def test_nobody_comes_to_everything_by_taking_out_the_last_member(world: World) -> None:
    made = await role(world, "a", "rbac:manage", "jobs:read")
    await member(world, "u", made["id"])
    await member(world, "v", made["id"])
    user = acting(world, "u")
    assert (await user.delete("/v1/members/v")).status_code == 204
    refused = await user.delete("/v1/members/u")
    why = "without members every user may do everything, which the caller may not"
    assert told(refused) == (403, f"cannot remove the last member: {why}")
    assert (await user.get("/v1/stats")).status_code == 403
    assert (await world.api.delete("/v1/members/u")).status_code == 204
    assert (await user.get("/v1/stats")).status_code == 200


async def test_who_is_no_member_may_nothing_once_there_are_members(world: World) -> None:
    stranger, trusted = acting(world, "stranger"), world.internal(PROJECT)
    assert (await stranger.get("/v1/jobs")).status_code == 200
    made = await role(world, "a", "jobs:read")
    await member(world, "u", made["id"])
    assert (await stranger.get("/v1/jobs")).status_code == 403
    assert (await trusted.get("/v1/jobs")).status_code == 200
    assert (await world.api.get("/v1/jobs")).status_code == 200


async def policy(world: World, kind: str, **fields: Any) -> dict[str, Any]:
    body = {"project_id": PROJECT, **fields}
    answer = await world.api.post(f"/v1/{kind}-policies", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_policy_opens_one_resource_to_a_user(world: World) -> None:
    job, other = await world.job(), await world.job()
    made = await role(world, "a", "jobs:read")
    await member(world, "u", made["id"])
    user = acting(world, "u")
    fields = {"resource_type": "job", "resource_id": job["id"], "user_id": "u"}
    first = await policy(world, "resource", **fields, actions=["jobs:trigger"])
    again = await policy(world, "resource", **fields, actions=["jobs:trigger", "jobs:write"])
    assert again == {**first, "actions": ["jobs:trigger", "jobs:write"]}
    assert (await user.post(f"/v1/jobs/{job['id']}/trigger", json={})).status_code == 201
    assert (await user.post(f"/v1/jobs/{other['id']}/trigger", json={})).status_code == 403
    params = {"resource_type": "job", "resource_id": job["id"]}
    listed = await world.api.get("/v1/resource-policies", params=params)
    assert listed.json()["data"] == [again]
    assert (await world.api.get("/v1/resource-policies")).status_code == 400
    assert (await world.api.delete(f"/v1/resource-policies/{first['id']}")).status_code == 204
    assert (await user.post(f"/v1/jobs/{job['id']}/trigger", json={})).status_code == 403


async def test_a_policy_opens_all_with_a_tag(world: World) -> None:
    tagged = await world.job(tags={"team": "a"})
    other = await world.job(tags={"team": "b"})
    made = await role(world, "a", "jobs:read")
    await member(world, "u", made["id"])
    user = acting(world, "u")
    fields = {"resource_type": "job", "user_id": "u", "tag_key": "team"}
    one = await policy(world, "tag", **fields, tag_value="a", actions=["jobs:trigger"])
    assert (await user.post(f"/v1/jobs/{tagged['id']}/trigger", json={})).status_code == 201
    assert (await user.post(f"/v1/jobs/{other['id']}/trigger", json={})).status_code == 403
    every = await policy(world, "tag", **fields, actions=["jobs:trigger"])
    assert (await user.post(f"/v1/jobs/{other['id']}/trigger", json={})).status_code == 201
    listed = await world.api.get("/v1/tag-policies", params={"user_id": "u"})
    assert listed.json()["data"] == [every, one]
    for each in (one, every):
        assert (await world.api.delete(f"/v1/tag-policies/{each['id']}")).status_code == 204
    assert (await user.post(f"/v1/jobs/{tagged['id']}/trigger", json={})).status_code == 403


async def test_who_was_taken_out_is_out_whatever_policies_say(world: World) -> None:
    job = await world.job(tags={"team": "a"})
    made = await role(world, "a", "stats:read")
    for user in ("u", "v"):
        await member(world, user, made["id"])
    one = {"resource_type": "job", "user_id": "u", "actions": ["jobs:read"]}
    await policy(world, "tag", **one, tag_key="team")
    await policy(world, "resource", **one, resource_id=job["id"])
    user = acting(world, "u")
    assert (await user.get(f"/v1/jobs/{job['id']}")).status_code == 200
    assert (await world.api.delete("/v1/members/u")).status_code == 204
    refused = await user.get(f"/v1/jobs/{job['id']}")
    assert told(refused) == (403, "insufficient permissions: requires jobs:read")


async def test_a_policy_never_widens_an_api_key(world: World) -> None:
    job = await world.job()
    key = await world.key_for("jobs:read")
    keys = (await world.api.get("/v1/api-keys")).json()["data"]
    actor = f"apikey:{next(k['id'] for k in keys if k['scopes'] == ['jobs:read'])}"
    await policy(
        world, "resource", resource_type="job", resource_id=job["id"], user_id=actor,
        actions=["jobs:trigger"],
    )  # fmt: skip
    answer = await world.client(key).post(f"/v1/jobs/{job['id']}/trigger", json={})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"actions": ["jobs:dance"]}, "invalid action: jobs:dance"),
        (
            {"resource_type": "moon"},
            "resource_type must be one of job, workflow, run, workflow_run",
        ),
    ],
)
async def test_a_policy_that_makes_no_sense_is_refused(
    world: World, fields: dict[str, Any], message: str
) -> None:
    body = {"project_id": PROJECT, "resource_type": "job", "resource_id": "j", "user_id": "u",
            "tag_key": "k", "actions": ["jobs:read"], **fields}  # fmt: skip
    for kind in ("resource", "tag"):
        answer = await world.api.post(f"/v1/{kind}-policies", json=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


async def test_another_projects_roles_members_and_policies_are_not_there(world: World) -> None:
    made = await role(world, "a", "jobs:read")
    await member(world, "u", made["id"])
    theirs = await policy(
        world, "tag", resource_type="job", user_id="u", tag_key="k", actions=["jobs:read"]
    )
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get(f"/v1/roles/{made['id']}")).status_code == 404
    assert (await stranger.delete(f"/v1/roles/{made['id']}")).status_code == 404
    assert (await stranger.delete("/v1/members/u")).status_code == 404
    assert (await stranger.delete(f"/v1/tag-policies/{theirs['id']}")).status_code == 404
    for path in ("roles", "members", "tag-policies"):
        assert (await stranger.get(f"/v1/{path}")).json()["data"] == []
        reader = world.client(await world.key_for("jobs:read"))
        assert (await reader.get(f"/v1/{path}")).status_code == 403
    body = {"project_id": PROJECT, "resource_type": "job", "user_id": "u", "tag_key": "k",
            "actions": ["jobs:read"]}  # fmt: skip
    assert (await stranger.post("/v1/tag-policies", json=body)).status_code == 403
    assigned = await stranger.post("/v1/members", json={"user_id": "x", "role_id": made["id"]})
    assert assigned.status_code == 400


async def test_our_own_client_makes_roles_and_members(world: World) -> None:
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        made = await client.rbac.create_role(name="r", permissions=["jobs:read"])
        await client.rbac.create_member(user_id="u", role_id=made.id)
        assert [m.user_id async for m in await client.rbac.list_members()] == ["u"]


async def test_no_role_loses_what_it_inherits_to_a_chain_that_is_too_long(world: World) -> None:
    chain = [await role(world, "r0", "stats:read")]
    for number in range(1, 21):
        parent = chain[-1]["id"]
        chain.append(await role(world, f"r{number}", "jobs:read", parent_role_id=parent))
    top = await role(world, "top", "runs:read")
    body = {"name": "r0", "permissions": ["stats:read"], "parent_role_id": top["id"]}
    answer = await world.api.patch(f"/v1/roles/{chain[0]['id']}", json=body)
    assert told(answer) == (400, "roles inherit at most 20 levels deep")
    shown = await world.api.get(f"/v1/roles/{chain[20]['id']}", params={"include_lineage": True})
    assert [each["name"] for each in shown.json()["lineage"]][-1] == "r0"

"""Login of the command line by a device code (`contract/workflows.md` §5.16)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.handlers import Handlers
from support.workflows import told
from support.world import PROJECT, World
from support.world import world as running


async def begun(world: World) -> dict[str, Any]:
    answer = await world.client().post("/v1/cli/auth/device-code")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def approved(world: World, code: dict[str, Any]) -> None:
    body = {"user_code": code["user_code"], "project_id": PROJECT}
    answer = await world.api.post("/v1/cli/device-codes/approve", json=body)
    assert (answer.status_code, answer.json()) == (200, {"status": "approved"})


async def polled(world: World, code: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    body = {"device_code": code["device_code"], "grant_type": "device_code"}
    answer = await world.client().post("/v1/cli/auth/token", json=body)
    return answer.status_code, dict(answer.json())


async def test_a_code_that_was_approved_is_exchanged_for_a_key_once(world: World) -> None:
    code = await begun(world)
    assert len(code["device_code"]) == 64
    assert len(code["user_code"]) == 8
    assert not set(code["user_code"]) & set("IO01")
    assert await polled(world, code) == (400, {"error": "authorization_pending"})
    await approved(world, code)
    status, token = await polled(world, code)
    assert (status, token["project_id"]) == (200, PROJECT)
    client = world.client(token["api_key"])
    assert (await client.get("/v1/jobs")).status_code == 200
    assert (await client.get("/v1/roles")).status_code == 403
    assert await polled(world, code) == (400, {"error": "token_already_exchanged"})


async def test_a_code_ends_after_a_quarter_of_an_hour(virtual: World) -> None:
    late, pending = await begun(virtual), await begun(virtual)
    await approved(virtual, late)
    await virtual.pass_time(901)
    for code in (late, pending):
        assert await polled(virtual, code) == (400, {"error": "expired_token"})
    body = {"user_code": pending["user_code"], "project_id": PROJECT}
    answer = await virtual.api.post("/v1/cli/device-codes/approve", json=body)
    assert told(answer) == (400, "device code has expired")


async def test_a_code_is_approved_once_and_only_where_one_may(world: World) -> None:
    code = await begun(world)
    path = "/v1/cli/device-codes/approve"
    body = {"user_code": code["user_code"], "project_id": PROJECT}
    foreign = {**body, "project_id": "proj-2"}
    assert (await world.api.post(path, json=foreign)).status_code == 403
    reader = world.client(await world.key_for("jobs:read"))
    assert (await reader.post(path, json=body)).status_code == 403
    unknown = await world.api.post(path, json={**body, "user_code": "NOSUCHCD"})
    assert told(unknown) == (404, "device code not found")
    await approved(world, code)
    assert told(await world.api.post(path, json=body)) == (409, "device code is not pending")


async def test_the_key_can_do_no_more_than_who_approved_it(world: World) -> None:
    code = await begun(world)
    manager = world.client(await world.key_for("api-keys:manage", "jobs:read"))
    body = {"user_code": code["user_code"], "project_id": PROJECT}
    assert (await manager.post("/v1/cli/device-codes/approve", json=body)).status_code == 200
    assert (await polled(world, code))[1]["scopes"] == ["jobs:read"]


async def test_the_key_of_a_login_is_in_the_audit_log(world: World) -> None:
    code = await begun(world)
    await approved(world, code)
    _, login = await polled(world, code)
    answer = await world.api.get("/v1/audit-events", params={"order": "asc"})
    approval, made = answer.json()["data"]
    assert (approval["action"], made["action"]) == ("device_code.approved", "api_key.created")
    assert (made["actor_type"], made["actor_id"]) == ("api_key", approval["actor_id"])
    keys = (await world.api.get("/v1/api-keys")).json()["data"]
    assert made["resource_id"] in {key["id"] for key in keys if key["name"] == "command line"}
    assert login["api_key"] not in answer.text
    assert (await world.api.get("/v1/audit-events/verify")).json()["valid"]


async def test_who_has_nothing_to_hand_on_lets_nobody_in(world: World) -> None:
    code = await begun(world)
    manager = world.client(await world.key_for("api-keys:manage"))
    body = {"user_code": code["user_code"], "project_id": PROJECT}
    refused = await manager.post("/v1/cli/device-codes/approve", json=body)
    assert told(refused) == (
        403, "the caller has no permission that it could hand on to a command line"
    )  # fmt: skip
    assert (await polled(world, code))[1] == {"error": "authorization_pending"}


async def test_a_bad_exchange_is_refused(world: World) -> None:
    client = world.client()
    path = "/v1/cli/auth/token"
    none = await client.post(path, json={"device_code": "", "grant_type": "device_code"})
    assert none.status_code in {400, 422}
    other = await client.post(path, json={"device_code": "x", "grant_type": "password"})
    assert other.status_code in {400, 422}


async def test_a_login_goes_on_after_a_restart_and_its_code_is_not_on_the_disk(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    async with running(handlers, database) as world:
        code = await begun(world)
        await approved(world, code)
    assert code["device_code"].encode() not in database.read_bytes()
    async with running(handlers, database) as world:
        assert (await polled(world, code))[0] == 200


async def test_a_code_of_a_project_that_was_deleted_is_worth_nothing(world: World) -> None:
    operator = world.internal()
    project = {"id": "proj-2", "org_id": "org-1", "name": "Second"}
    assert (await operator.post("/v1/projects", json=project)).status_code == 201
    own = world.client(await world.key_for("*", project="proj-2"))
    code, elsewhere = await begun(world), await begun(world)
    body = {"user_code": code["user_code"], "project_id": "proj-2"}
    assert (await own.post("/v1/cli/device-codes/approve", json=body)).status_code == 200
    await approved(world, elsewhere)
    assert (await operator.delete("/v1/projects/proj-2")).status_code == 204
    assert await polled(world, code) == (400, {"error": "expired_token"})
    # Nor when the project is there again.
    assert (await operator.post("/v1/projects", json=project)).status_code == 201
    assert await polled(world, code) == (400, {"error": "expired_token"})
    assert (await polled(world, elsewhere))[0] == 200


async def test_a_code_is_worth_no_more_than_the_key_that_approved_it(virtual: World) -> None:
    world = virtual
    scopes = ["api-keys:manage", "jobs:read"]
    key = {"project_id": PROJECT, "name": "k", "scopes": scopes, "expires_in_days": 1}
    made = (await world.api.post("/v1/api-keys", json=key)).json()
    revoked, rotated = await begun(world), await begun(world)
    manager = world.client(made["key"])
    for code in (revoked, rotated):
        body = {"user_code": code["user_code"], "project_id": PROJECT}
        assert (await manager.post("/v1/cli/device-codes/approve", json=body)).status_code == 200
    path = f"/v1/api-keys/{made['id']}"
    rotation = await world.api.post(f"{path}/rotate", json={"grace_period_minutes": 5})
    assert rotation.status_code == 201
    assert (await polled(world, rotated))[0] == 200  # it may still be used itself
    assert (await world.api.delete(path)).status_code == 200
    assert await polled(world, revoked) == (400, {"error": "expired_token"})

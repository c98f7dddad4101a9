"""Projects: made, seen and deleted, and by whom (`contract/workflows.md` §5.12)."""

from __future__ import annotations

from typing import Any

from support.workflows import Flows, told
from support.world import PROJECT, World


async def made(world: World, project: str, org: str = "org-1") -> dict[str, Any]:
    body = {"id": project, "org_id": org, "name": project.title()}
    answer = await world.internal().post("/v1/projects", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_projects_are_listed_of_one_organization_to_its_operator_only(world: World) -> None:
    ours = await made(world, "ours")
    theirs = await made(world, "theirs", "org-2")
    operator = world.internal()
    listed = (await operator.get("/v1/projects", params={"org_id": "org-1"})).json()
    assert {row["id"] for row in listed} == {PROJECT, "ours"}
    assert ours in listed
    assert (ours["name"], ours["org_id"]) == ("Ours", "org-1")
    foreign = await operator.get("/v1/projects", params={"org_id": "org-2"})
    assert foreign.json() == [theirs]
    assert (await operator.get("/v1/projects", params={"org_id": "org-3"})).json() == []
    refused = await world.api.get("/v1/projects", params={"org_id": "org-1"})
    assert told(refused) == (403, "project listing requires internal secret")
    assert (await operator.get("/v1/projects")).status_code == 400


async def test_a_project_is_shown_to_its_own_keys(world: World) -> None:
    project = await made(world, "proj-2")
    own = world.client(await world.key_for("projects:read", project="proj-2"))
    shown = await own.get("/v1/projects/proj-2")
    assert (shown.status_code, shown.json()) == (200, project)
    assert told(await world.api.get("/v1/projects/proj-2")) == (403, "access denied")
    # Whether another project is there is nobody's business.
    assert told(await world.api.get("/v1/projects/unknown")) == (403, "access denied")
    assert (await world.internal().get("/v1/projects/proj-2")).json() == project
    unknown = await world.internal().get("/v1/projects/unknown")
    assert told(unknown) == (404, "project not found")


async def test_a_project_is_deleted_once_it_has_no_jobs_and_workflows(flows: Flows) -> None:
    world, path = flows.world, f"/v1/projects/{PROJECT}"
    operator = world.internal()
    left = (409, "project has jobs or workflows -- delete them first")
    job = await world.job()
    assert told(await operator.delete(path)) == left
    workflow = await flows.create()
    assert (await world.api.delete(f"/v1/jobs/{job['id']}")).status_code == 204
    assert told(await operator.delete(path)) == left
    assert (await world.api.delete(f"/v1/workflows/{workflow['id']}")).status_code == 204
    refused = await world.api.delete(path)
    assert told(refused) == (403, "project deletion requires internal secret")
    assert (await operator.delete(path)).status_code == 204
    assert told(await operator.get(path)) == (404, "project not found")
    assert (await operator.get("/v1/projects", params={"org_id": "org-1"})).json() == []
    assert told(await operator.delete(path)) == (404, "project not found")


async def test_nobody_gets_into_what_was_left_by_a_project_that_was_deleted(world: World) -> None:
    await made(world, "proj-2")
    key = await world.key_for("*", project="proj-2")
    own, body = world.client(key), {"project_id": "proj-2", "secret_key": "A", "value": "v"}
    kept = (await own.post("/v1/secrets", json=body)).json()
    assert (await world.internal().delete("/v1/projects/proj-2")).status_code == 204
    assert told(await own.get("/v1/secrets")) == (401, "api key has been revoked")
    taken = {"id": "proj-2", "org_id": "org-2", "name": "Taken"}
    refused = await world.internal().post("/v1/projects", json=taken)
    assert told(refused) == (409, "project existed in a different organization")
    # Its own organization has it back, and its old keys stay at an end.
    await made(world, "proj-2")
    assert (await own.get("/v1/secrets")).status_code == 401
    again = world.client(await world.key_for("*", project="proj-2"))
    assert (await again.get("/v1/secrets")).json()["data"] == [kept]


async def test_settings_of_a_project_are_its_own(world: World) -> None:
    await made(world, "proj-2")
    own, path = f"/v1/projects/{PROJECT}/settings", "/v1/projects/proj-2/settings"
    shown = {"project_id": PROJECT, "plan_tier": "free", "max_key_lifetime_days": None}
    assert (await world.api.get(own)).json() == shown
    changed = await world.api.put(own, json={"max_key_lifetime_days": 30})
    assert changed.json() == {**shown, "max_key_lifetime_days": 30}
    assert (await world.api.get(own)).json() == changed.json()
    reader = world.client(await world.key_for("jobs:read"))
    assert (await reader.put(own, json={"max_key_lifetime_days": 60})).status_code == 403
    for answer in (
        await world.api.get(path),
        await world.api.put(path, json={"max_key_lifetime_days": 1}),
    ):
        assert told(answer) == (403, "access denied")
    other = (await world.internal("proj-2").get(path)).json()
    assert (other["project_id"], other["max_key_lifetime_days"]) == ("proj-2", None)

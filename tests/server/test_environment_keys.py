"""Keys of one environment: what they see and may do (`contract/runs.md` §7.1)."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx
import pytest

from support.workflows import Flows, event, told
from support.world import PROJECT, World


class Bound(NamedTuple):
    """An environment, a key of it, and a job inside of it and one outside."""

    client: httpx.AsyncClient
    environment: dict[str, Any]
    inside: dict[str, Any]
    outside: dict[str, Any]


@pytest.fixture
async def bound(world: World) -> Bound:
    made = []
    for slug in ("staging", "live"):
        body = {"project_id": PROJECT, "name": slug, "slug": slug}
        made.append((await world.api.post("/v1/environments", json=body)).json())
    body = {
        "project_id": PROJECT, "name": "staging only", "scopes": ["*"], "expires_in_days": 1,
        "environment_id": made[0]["id"],
    }  # fmt: skip
    key = (await world.api.post("/v1/api-keys", json=body)).json()["key"]
    inside, outside = [await world.job(environment_id=each["id"]) for each in made]
    return Bound(world.client(key), made[0], inside, outside)


async def test_a_key_of_an_environment_sees_its_jobs_and_runs_only(
    world: World, bound: Bound
) -> None:
    client, _, inside, outside = bound
    theirs = await world.trigger(outside)
    ours = (await client.post(f"/v1/jobs/{inside['id']}/trigger", json={})).json()["id"]
    assert [j["id"] for j in (await client.get("/v1/jobs")).json()["data"]] == [inside["id"]]
    assert [r["id"] for r in (await client.get("/v1/runs")).json()["data"]] == [ours]
    assert (await client.get(f"/v1/runs/{ours}")).status_code == 200
    for method, path in (
        ("GET", f"/v1/jobs/{outside['id']}"),
        ("POST", f"/v1/jobs/{outside['id']}/trigger"),
        ("DELETE", f"/v1/jobs/{outside['id']}"),
        ("GET", f"/v1/runs/{theirs}"),
        ("DELETE", f"/v1/runs/{theirs}"),
    ):
        assert (await client.request(method, path)).status_code == 404, path


async def test_a_workflow_is_no_way_around_the_environment(world: World, bound: Bound) -> None:
    client, _, inside, outside = bound

    async def workflow(slug: str, **step: object) -> str:
        body = {
            "project_id": PROJECT, "name": slug, "slug": slug, "steps": [{"step_ref": "a", **step}]
        }  # fmt: skip
        return str((await world.api.post("/v1/workflows", json=body)).json()["id"])

    ours = await workflow("ours", job_id=inside["id"])
    theirs = await workflow("theirs", job_id=outside["id"])
    around = await workflow("around", step_type="sub_workflow", sub_workflow_id=theirs)
    started = await client.post(f"/v1/workflows/{ours}/trigger", json={})
    assert started.status_code == 201, started.text
    run = await world.api.post(f"/v1/workflows/{theirs}/trigger", json={})
    for method, path in (
        ("POST", f"/v1/workflows/{theirs}/trigger"),
        ("POST", f"/v1/workflows/{around}/trigger"),
        ("GET", f"/v1/workflows/{theirs}"),
        ("GET", f"/v1/workflow-runs/{run.json()['id']}"),
        ("DELETE", f"/v1/workflow-runs/{run.json()['id']}"),
    ):
        assert (await client.request(method, path, json={})).status_code == 404, path


async def test_a_job_of_such_a_key_is_in_its_environment(bound: Bound) -> None:
    client, environment, inside, outside = bound
    body = {"project_id": PROJECT, "name": "n", "slug": "n", "endpoint_url": "http://127.0.0.1:1"}
    made = await client.post("/v1/jobs", json=body)
    assert made.json()["environment_id"] == environment["id"]
    elsewhere = {**body, "slug": "m", "environment_id": outside["environment_id"]}
    assert (await client.post("/v1/jobs", json=elsewhere)).status_code == 403
    moved = await client.patch(
        f"/v1/jobs/{inside['id']}", json={"environment_id": outside["environment_id"]}
    )
    assert moved.status_code == 403


async def test_such_a_key_reaches_no_other_environment_and_not_all_of_the_project(
    world: World, bound: Bound
) -> None:
    client, environment, _, outside = bound
    listed = (await client.get("/v1/environments")).json()["data"]
    assert [each["id"] for each in listed] == [environment["id"]]
    other = f"/v1/environments/{outside['environment_id']}"
    assert (await client.get(f"{other}/variables")).status_code == 404
    assert (await client.patch(other, json={"name": "x"})).status_code == 404
    cancel = await client.post("/v1/runs/bulk-cancel", json={"run_ids": ["x"]})
    assert cancel.status_code == 403
    assert cancel.json()["error"]["message"] == "bulk-cancel-runs requires a project-wide key"
    body = {"project_id": PROJECT, "name": "new", "slug": "new"}
    assert (await client.post("/v1/environments", json=body)).status_code == 403


async def test_such_a_key_makes_its_environment_neither_another_nor_the_heir_of_another(
    world: World, bound: Bound
) -> None:
    client, environment, _, outside = bound
    other, path = outside["environment_id"], f"/v1/environments/{environment['id']}"
    variables = {"DSN": "live"}
    await world.api.patch(f"/v1/environments/{other}", json={"variables": variables})
    for name, value in (("parent_id", other), ("name", "live"), ("slug", "live-2")):
        refused = await client.patch(path, json={name: value})
        assert told(refused) == (403, f"an environment-scoped key cannot change {name}")
    assert (await client.get(f"{path}/variables")).json() == {"variables": {}}
    kept = await client.patch(path, json={"name": "staging", "variables": {"A": "1"}})
    assert kept.status_code == 200, kept.text
    # What it inherits by who may see both is its own.
    assert (await world.api.patch(path, json={"parent_id": other})).status_code == 200
    inherited = await client.get(f"{path}/variables")
    assert inherited.json() == {"variables": {"A": "1", **variables}}


async def test_such_a_key_ties_nothing_to_a_job_outside(bound: Bound) -> None:
    client, _, inside, outside = bound
    path = f"/v1/jobs/{inside['id']}/dependencies"
    tied = await client.post(path, json={"depends_on_job_id": outside["id"]})
    assert told(tied) == (404, "dependency job not found")
    body = {"project_id": PROJECT, "secret_key": "K", "value": "v"}
    secret = await client.post("/v1/secrets", json={**body, "job_id": outside["id"]})
    assert told(secret) == (404, "job not found")
    ours = await client.post("/v1/secrets", json={**body, "job_id": inside["id"]})
    assert ours.status_code == 201, ours.text


async def test_such_a_key_makes_keys_of_its_environment_only(world: World, bound: Bound) -> None:
    client, environment, _, outside = bound
    body = {"project_id": PROJECT, "name": "k", "scopes": ["jobs:read"], "expires_in_days": 1}
    made = (await client.post("/v1/api-keys", json=body)).json()
    theirs = (await world.api.post("/v1/api-keys", json=body)).json()
    listed = (await client.get("/v1/api-keys")).json()["data"]
    assert {each["environment_id"] for each in listed} == {environment["id"]}
    assert made["id"] in {each["id"] for each in listed}
    foreign = {**body, "environment_id": outside["environment_id"]}
    assert (await client.post("/v1/api-keys", json=foreign)).status_code == 403
    assert (await client.delete(f"/v1/api-keys/{theirs['id']}")).status_code == 404
    nowhere = await world.api.post("/v1/api-keys", json={**body, "environment_id": "nope"})
    assert nowhere.status_code == 400


async def test_such_a_key_keeps_secrets_of_its_environment_only(world: World, bound: Bound) -> None:
    client, environment, _, outside = bound
    body = {"project_id": PROJECT, "secret_key": "K", "value": "v"}
    ours = (await client.post("/v1/secrets", json=body)).json()
    assert ours["environment"] == environment["id"]
    foreign = {**body, "environment": outside["environment_id"]}
    assert (await client.post("/v1/secrets", json=foreign)).status_code == 403
    theirs = (await world.api.post("/v1/secrets", json=foreign)).json()
    listed = (await client.get("/v1/secrets")).json()["data"]
    assert [each["id"] for each in listed] == [ours["id"]]
    assert (await client.get(f"/v1/secrets/{theirs['id']}")).status_code == 404
    assert (await client.get("/v1/secrets", params={"environment": "live"})).json()["data"] == []


async def test_such_a_key_makes_no_workflow_that_reaches_outside(
    world: World, bound: Bound
) -> None:
    client, _, inside, outside = bound

    async def make(of: httpx.AsyncClient, slug: str, **step: object) -> httpx.Response:
        body = {
            "project_id": PROJECT, "name": slug, "slug": slug, "steps": [{"step_ref": "a", **step}]
        }  # fmt: skip
        return await of.post("/v1/workflows", json=body)

    theirs = (await make(world.api, "theirs", job_id=outside["id"])).json()
    ours = (await make(client, "ours", job_id=inside["id"])).json()
    unknown_job = (400, f"step a references unknown job {outside['id']}")
    unknown_child = (400, f"step a references unknown sub_workflow {theirs['id']}")
    child = {"step_type": "sub_workflow", "sub_workflow_id": theirs["id"]}
    undoing = {"job_id": inside["id"], "compensation_job_id": outside["id"]}
    assert told(await make(client, "b", job_id=outside["id"])) == unknown_job
    assert told(await make(client, "c", **undoing)) == unknown_job
    assert told(await make(client, "d", **child)) == unknown_child
    changed = {"steps": [{"step_ref": "a", "job_id": outside["id"]}]}
    answer = await client.patch(f"/v1/workflows/{ours['id']}", json=changed)
    assert told(answer) == unknown_job
    nested = {"step_type": "sub_workflow", "sub_workflow_id": ours["id"]}
    assert (await make(client, "e", **nested)).status_code == 201


async def test_such_a_key_begins_no_canary_elsewhere(world: World, bound: Bound) -> None:
    client, _, inside, outside = bound
    for job, status in ((outside, 404), (inside, 201)):
        steps = [{"step_ref": "a", "job_id": job["id"]}]
        body = {"project_id": PROJECT, "name": "w", "slug": job["slug"], "steps": steps}
        workflow = (await world.api.post("/v1/workflows", json=body)).json()
        await world.api.patch(f"/v1/workflows/{workflow['id']}", json={"timeout_secs": 9})
        canary = {"workflow_id": workflow["id"], "source_version": 1, "target_version": 2}
        answer = await client.post("/v1/canary-deployments", json={**canary, "traffic_pct": 50})
        assert answer.status_code == status, answer.text


async def test_such_a_key_has_no_job_followed_by_what_is_outside(
    world: World, bound: Bound
) -> None:
    client, _, inside, outside = bound
    steps = [{"step_ref": "a", "job_id": outside["id"]}]
    flow = {"project_id": PROJECT, "name": "f", "slug": "f", "steps": steps}
    assert (await world.api.post("/v1/workflows", json=flow)).status_code == 201
    made = {"project_id": PROJECT, "name": "n", "endpoint_url": world.handlers.url}
    for number, end in enumerate(("complete", "failure")):
        for what, slug in (("job", outside["slug"]), ("workflow", "f")):
            link = f"on_{end}_trigger_{what}"
            refusal = (403, f"{link} is not in the environment of the key")
            body = {**made, "slug": f"{what}-{number}", link: slug}
            assert told(await client.post("/v1/jobs", json=body)) == refusal
            path = f"/v1/jobs/{inside['id']}"
            assert told(await client.patch(path, json={link: slug})) == refusal
            # Who sees the whole project may have one followed by the other.
            assert (await world.api.post("/v1/jobs", json=body)).status_code == 201
        follow = {f"on_{end}_trigger_job": inside["slug"]}
        body = {**made, "slug": f"ours-{number}", **follow}
        assert (await client.post("/v1/jobs", json=body)).status_code == 201


async def test_such_a_key_changes_nothing_that_all_of_the_project_shares(
    world: World, bound: Bound
) -> None:
    client = bound.client
    own = {"project_id": PROJECT}
    drain = {"name": "d", "drain_type": "http", "endpoint_url": world.handlers.url,
             "auth_type": "none", **own}  # fmt: skip
    room = {"name": "r", "channel_type": "webhook", "config": {"url": world.handlers.url}}
    hook = {"webhook_url": world.handlers.url, "event_types": ["run.completed"], **own}
    source = {"name": "s", **own}
    for path, body, change in (
        ("/v1/log-drains", drain, {"endpoint_url": "http://127.0.0.1:9"}),
        ("/v1/notification-channels", room, {"enabled": False}),
        ("/v1/webhooks/subscriptions", hook, None),
        ("/v1/event-sources", source, {"enabled": False}),
        ("/v1/roles", {"name": "r", "permissions": ["jobs:read"]}, None),
    ):
        answer = await world.api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        place = f"{path}/{made.get('id') or made['subscription']['id']}"
        if path != "/v1/event-sources":
            assert (await client.post(path, json=body)).status_code == 403
        if change:
            assert (await client.patch(place, json=change)).status_code == 403
        refused = await client.delete(place)
        assert refused.status_code == 403
        assert "requires a project-wide key" in told(refused)[1]
    budget = {"budget_microusd": 1, "action": "block", **own}
    assert (await client.put("/v1/project-budget", json=budget)).status_code == 403
    settings = f"/v1/projects/{PROJECT}/settings"
    assert (await client.put(settings, json={"max_key_lifetime_days": 1})).status_code == 403


async def test_such_a_key_deletes_no_environment(world: World, bound: Bound) -> None:
    client, environment, inside, _ = bound
    moved = await world.api.patch(f"/v1/jobs/{inside['id']}", json={"environment_id": ""})
    assert moved.status_code == 200
    refused = await client.delete(f"/v1/environments/{environment['id']}")
    assert told(refused) == (403, "an environment-scoped key cannot delete environments")


async def test_an_event_that_such_a_key_has_held_is_for_its_environment(
    world: World, bound: Bound
) -> None:
    flows = Flows(world)
    client, environment, inside, outside = bound
    held = {"payload": "ours", "hold_secs": 600}
    answer = await client.post("/v1/events/paid/send", json=held)
    assert answer.json()["environment_id"] == environment["id"]
    theirs = {"step_ref": "b", "job_id": outside["id"], "depends_on": ["w"]}
    ours = {"step_ref": "b", "job_id": inside["id"], "depends_on": ["w"]}
    elsewhere = await flows.start(event("w", "paid"), theirs)
    assert (await flows.statuses(elsewhere))["w"] == "waiting"
    await world.api.post("/v1/events/paid/send", json={"payload": "theirs"})
    run_id = await flows.start(event("w", "paid"), ours)
    assert (await flows.steps(run_id))["w"]["output"] == "ours"
    # Each was held for one.
    again = await flows.start(event("w", "paid"), ours)
    assert (await flows.statuses(again))["w"] == "waiting"

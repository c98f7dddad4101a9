"""Canaries: which version a run follows, and how they go on (`contract/workflows.md` §5.1)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strait.client import AsyncClient
from strait.clock import SECOND, VirtualClock
from support.handlers import Handlers
from support.workflows import Flows, sleep, told
from support.world import PROJECT, World
from support.world import world as running

MINUTE_NS = 60 * 10**9
HOUR = 3600


async def two_versions(flows: Flows) -> dict[str, Any]:
    """A workflow whose second version has another timeout."""
    workflow = await flows.create(sleep("nap", 1), timeout_secs=100)
    changed = await flows.api.patch(f"/v1/workflows/{workflow['id']}", json={"timeout_secs": 200})
    assert changed.json()["version"] == 2
    return dict(changed.json())


async def canary(flows: Flows, workflow: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {"workflow_id": workflow["id"], "source_version": 1, "target_version": 2, **fields}
    answer = await flows.api.post("/v1/canary-deployments", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def chances(world: World, *values: float) -> None:
    """Have the next decisions fall so."""
    left = iter(values)
    world.platform.outside = replace(world.platform.outside, chance=lambda: next(left, 0.0))


async def version_of_a_run(flows: Flows, workflow: dict[str, Any]) -> int:
    run = await flows.run(await flows.trigger(workflow))
    return int(run["workflow_version"])


async def test_a_canary_is_shown_moved_and_completed(flows: Flows) -> None:
    workflow = await two_versions(flows)
    path = f"/v1/workflows/{workflow['id']}/canary"
    missing = await flows.api.get(path)
    assert told(missing) == (404, "no active canary deployment found for this workflow")
    made = await canary(flows, workflow, traffic_pct=10)
    assert (made["status"], made["traffic_pct"]) == ("active", 10)
    assert (await flows.api.get(path)).json() == made
    moved = (await flows.api.patch(path, json={"traffic_pct": 50})).json()
    assert (moved["status"], moved["traffic_pct"]) == ("active", 50)
    assert (await flows.api.patch(path, json={})).status_code == 400
    assert (await flows.api.patch(path, json={"traffic_pct": 101})).status_code == 422
    done = (await flows.api.patch(path, json={"traffic_pct": 100})).json()
    assert (done["status"], done["traffic_pct"]) == ("completed", 100)
    assert done["completed_at"] == done["updated_at"]
    assert (await flows.api.get(path)).status_code == 404


async def test_chance_decides_which_version_a_run_follows(flows: Flows) -> None:
    workflow = await two_versions(flows)
    await canary(flows, workflow, traffic_pct=30)
    chances(flows.world, 0.29, 0.3, 0.9)
    assert [await version_of_a_run(flows, workflow) for _ in range(3)] == [2, 1, 1]


async def test_the_settings_and_steps_are_those_of_the_version(still: Flows) -> None:
    workflow = await still.create(sleep("short", 1), timeout_secs=100)
    body = {"steps": [sleep("short", 1), sleep("more", 1)], "timeout_secs": 200}
    await still.api.patch(f"/v1/workflows/{workflow['id']}", json=body)
    await canary(still, workflow, traffic_pct=0)
    run_id = await still.trigger(workflow)
    assert set(await still.statuses(run_id)) == {"short"}
    run = await still.run(run_id)
    assert run["workflow_version"] == 1


async def test_a_completed_canary_leaves_its_target_in_place(flows: Flows) -> None:
    workflow = await two_versions(flows)
    await flows.api.patch(f"/v1/workflows/{workflow['id']}", json={"timeout_secs": 300})
    await canary(flows, workflow, traffic_pct=10)
    await flows.api.patch(f"/v1/workflows/{workflow['id']}/canary", json={"traffic_pct": 100})
    assert await version_of_a_run(flows, workflow) == 2
    await flows.api.patch(f"/v1/workflows/{workflow['id']}", json={"timeout_secs": 400})
    assert await version_of_a_run(flows, workflow) == 4


async def test_a_canary_that_is_rolled_back_leaves_its_source_in_place(flows: Flows) -> None:
    workflow = await two_versions(flows)
    await canary(flows, workflow, traffic_pct=90)
    path = f"/v1/workflows/{workflow['id']}/canary/rollback"
    assert (await flows.api.post(path)).json() == {
        "workflow_id": workflow["id"], "traffic_pct": 0, "status": "rolled_back",
    }  # fmt: skip
    assert await version_of_a_run(flows, workflow) == 1
    assert (await flows.api.post(path)).status_code == 404
    again = await canary(flows, workflow, traffic_pct=100)
    assert again["status"] == "completed"


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"target_version": 1}, (400, "source and target versions must be different")),
        ({"target_version": 9}, (400, "the workflow has no version 9")),
        ({"workflow_id": "nope"}, (404, "workflow not found")),
        ({"traffic_pct": 101}, (422, "validation failed")),
        (
            {"auto_promote": {"enabled": True, "steps": [50, 10]}},
            (400, "auto_promote.steps must be percentages that grow, from 1 to 100"),
        ),
        (
            {"auto_promote": {"enabled": True}},
            (400, "auto_promote needs `steps`, or a `traffic_pct` above 0 to be promoted from"),
        ),
        (
            {"traffic_pct": 0, "auto_promote": {"enabled": True, "steps": []}},
            (400, "auto_promote needs `steps`, or a `traffic_pct` above 0 to be promoted from"),
        ),
    ],
)
async def test_a_canary_that_makes_no_sense_is_refused(
    flows: Flows, fields: dict[str, Any], answer: tuple[int, str]
) -> None:
    workflow = await two_versions(flows)
    body = {"workflow_id": workflow["id"], "source_version": 1, "target_version": 2, **fields}
    assert told(await flows.api.post("/v1/canary-deployments", json=body)) == answer


async def test_a_workflow_has_one_active_canary(flows: Flows) -> None:
    workflow = await two_versions(flows)
    await canary(flows, workflow)
    body = {"workflow_id": workflow["id"], "source_version": 1, "target_version": 2}
    answer = await flows.api.post("/v1/canary-deployments", json=body)
    assert told(answer) == (409, "an active canary deployment already exists for this workflow")


async def test_another_projects_canary_is_not_there(flows: Flows) -> None:
    workflow = await two_versions(flows)
    await canary(flows, workflow)
    world = flows.world
    stranger = world.client(await world.key_for("*", project="proj-2"))
    path = f"/v1/workflows/{workflow['id']}/canary"
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.post(f"{path}/rollback")).status_code == 404
    body = {"workflow_id": workflow["id"], "source_version": 1, "target_version": 2}
    assert (await stranger.post("/v1/canary-deployments", json=body)).status_code == 404
    reader = world.client(await world.key_for("workflows:read"))
    assert (await reader.get(path)).status_code == 200
    assert (await reader.patch(path, json={"traffic_pct": 1})).status_code == 403


# --------------------------------------------------------------------------------- by themselves


AUTO = {"enabled": True, "steps": [10, 50], "interval": MINUTE_NS, "failure_rate_threshold": 50}


async def shown(flows: Flows, workflow: dict[str, Any]) -> tuple[int, int]:
    answer = await flows.api.get(f"/v1/workflows/{workflow['id']}/canary")
    return answer.status_code, answer.json().get("traffic_pct", -1)


async def good_runs(flows: Flows, workflow: dict[str, Any], count: int = 5) -> None:
    chances(flows.world, *[0.0] * count)
    for _ in range(count):
        await flows.trigger(workflow)
    await flows.world.pass_time(2)


async def test_a_healthy_canary_is_promoted_step_by_step(still: Flows) -> None:
    workflow = await two_versions(still)
    await canary(still, workflow, traffic_pct=10, auto_promote=AUTO)
    await still.world.pass_time(61)
    assert await shown(still, workflow) == (200, 10)  # nothing has run: hold
    await good_runs(still, workflow)
    await still.world.pass_time(60)
    assert await shown(still, workflow) == (200, 50)
    await good_runs(still, workflow)
    await still.world.pass_time(61)
    assert await shown(still, workflow) == (404, -1)
    assert await version_of_a_run(still, workflow) == 2
    params = {"actor_id": "system:canary", "order": "asc"}
    events = (await still.api.get("/v1/audit-events", params=params)).json()["data"]
    assert [event["action"] for event in events] == ["canary_deployment.promoted"] * 2


@pytest.mark.parametrize(("given", "share"), [({}, 10), ({"traffic_pct": 0}, 0)])
async def test_a_canary_that_goes_on_by_itself_begins_with_its_first_step(
    still: Flows, given: dict[str, int], share: int
) -> None:
    workflow = await two_versions(still)
    made = await canary(still, workflow, auto_promote=AUTO, **given)
    assert made["traffic_pct"] == share
    await good_runs(still, workflow)
    await still.world.pass_time(60)
    assert await shown(still, workflow) == (200, 50 if share else 0)


async def test_runs_that_were_canceled_say_nothing_of_a_canary(still: Flows) -> None:
    workflow = await two_versions(still)
    await canary(still, workflow, traffic_pct=10, auto_promote=AUTO)
    chances(still.world, *[0.0] * 5)
    for _ in range(5):
        run_id = await still.trigger(workflow)
        assert (await still.api.delete(f"/v1/workflow-runs/{run_id}")).status_code == 200
        await still.until(run_id, "canceled")
    await still.world.pass_time(61)
    assert await shown(still, workflow) == (200, 10)


async def test_a_canary_whose_runs_fail_is_rolled_back(still: Flows) -> None:
    workflow = await still.create(sleep("nap", 100), timeout_secs=1_000)
    await still.api.patch(f"/v1/workflows/{workflow['id']}", json={"timeout_secs": 1})
    await canary(still, workflow, traffic_pct=10, auto_promote=AUTO)
    chances(still.world, *[0.0] * 5)
    for _ in range(5):
        await still.trigger(workflow)
    await still.world.pass_time(61)
    assert await shown(still, workflow) == (404, -1)
    assert await version_of_a_run(still, workflow) == 1
    events = await still.api.get("/v1/audit-events", params={"actor_id": "system:canary"})
    assert [e["action"] for e in events.json()["data"]] == ["canary_deployment.rolled_back"]


async def test_a_canary_goes_on_after_a_restart(handlers: Handlers, tmp_path: Path) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    async with running(handlers, database, clock=clock) as world:
        flows = Flows(world)
        workflow = await two_versions(flows)
        await canary(flows, workflow, traffic_pct=10, auto_promote=AUTO)
        await good_runs(flows, workflow)
    async with running(handlers, database, clock=clock) as world:
        await world.pass_time(61)
        assert await shown(Flows(world), workflow) == (200, 50)


async def test_the_newest_canary_counts_where_a_clock_was_set_back(
    handlers: Handlers, tmp_path: Path
) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    async with running(handlers, database, clock=clock) as world:
        flows = Flows(world)
        workflow = await two_versions(flows)
        await world.pass_time(HOUR)
        await canary(flows, workflow, traffic_pct=10)
        path = f"/v1/workflows/{workflow['id']}/canary"
        assert (await flows.api.post(f"{path}/rollback")).status_code == 200
    clock = VirtualClock(clock.now() - HOUR // 2 * SECOND)
    async with running(handlers, database, clock=clock) as world:
        flows = Flows(world)
        made = await canary(flows, workflow, traffic_pct=90)
        assert (await flows.api.get(path)).json() == made


async def test_our_own_client_drives_a_canary(flows: Flows) -> None:
    workflow = await two_versions(flows)
    world = flows.world
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        made = await client.canary_deployments.create(
            workflow_id=workflow["id"], source_version=1, target_version=2, traffic_pct=5
        )
        assert (made.project_id, made.traffic_pct) == (PROJECT, 5)


async def test_a_run_that_was_undone_still_counts_as_failed(still: Flows) -> None:
    undo = await still.job("undo")
    paid = await still.job("paid", compensation_job_id=undo["job_id"])
    workflow = await still.create(paid, sleep("nap", 100, "paid"), timeout_secs=1_000)
    await still.api.patch(f"/v1/workflows/{workflow['id']}", json={"timeout_secs": 1})
    await canary(still, workflow, traffic_pct=10, auto_promote=AUTO)
    chances(still.world, *[0.0] * 5)
    for _ in range(5):
        run_id = await still.trigger(workflow)
        await still.until_step(run_id, "paid", "completed")
        await still.world.pass_time(2)
        await still.did(run_id, "compensate")
        await still.until(run_id, "compensated")
    await still.world.pass_time(61)
    assert await version_of_a_run(still, workflow) == 1
    events = await still.api.get("/v1/audit-events", params={"actor_id": "system:canary"})
    assert [e["action"] for e in events.json()["data"]] == ["canary_deployment.rolled_back"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("interval", 300, "is in nanoseconds: at least 1000000000, which is 1 s"),
        ("interval", -1, "is in nanoseconds: at least 1000000000, which is 1 s"),
        ("failure_rate_threshold", -0.5, "must be a percentage"),
        ("failure_rate_threshold", 101, "must be a percentage"),
        ("latency_p99_threshold", -1, "must not be negative"),
    ],
)
async def test_a_canary_that_would_never_rest_or_always_fail_is_refused(
    flows: Flows, field: str, value: float, message: str
) -> None:
    workflow = await two_versions(flows)
    body = {
        "workflow_id": workflow["id"], "source_version": 1, "target_version": 2, "traffic_pct": 5,
        "auto_promote": {"enabled": True, field: value},
    }  # fmt: skip
    answer = await flows.api.post("/v1/canary-deployments", json=body)
    assert told(answer) == (400, f"auto_promote.{field} {message}")

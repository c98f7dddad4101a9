"""Versions of workflows, and who follows which (`contract/workflows.md` §6)."""

from __future__ import annotations

from typing import Any

from support.workflows import Flows, approval, sleep, told


async def test_versions_can_be_read_and_compared(flows: Flows) -> None:
    made = await flows.create(sleep("a", 1))
    path = f"/v1/workflows/{made['id']}"
    body = {"steps": [sleep("a", 5), sleep("b", 1, "a")]}
    changed = (await flows.api.patch(path, json=body)).json()
    first, second = made["version_id"], changed["version_id"]
    listed = (await flows.api.get(f"{path}/versions")).json()
    assert [row["version_id"] for row in listed] == [second, first]
    one = (await flows.api.get(f"{path}/versions/{first}")).json()
    assert (one["id"], one["version"]) == (f"{made['id']}:v1", 1)
    steps = (await flows.api.get(f"{path}/versions/{first}/steps")).json()
    assert [(row["step_ref"], row["sleep_duration_secs"]) for row in steps] == [("a", 1)]
    diff = (await flows.api.get(f"{path}/versions/{first}/diff/{second}")).json()
    assert (diff["added_steps"], diff["removed_steps"]) == (["b"], [])
    back = (await flows.api.get(f"{path}/versions/{second}/diff/{first}")).json()
    assert (back["added_steps"], back["removed_steps"]) == ([], ["b"])
    for tail, text in (
        ("nope", "workflow version not found"),
        ("nope/steps", "workflow version not found"),
        ("nope/impact", "workflow version not found"),
        (f"nope/diff/{second}", "from workflow version not found"),
        (f"{first}/diff/nope", "to workflow version not found"),
    ):
        assert told(await flows.api.get(f"{path}/versions/{tail}")) == (404, text)


async def test_the_runs_of_a_version_are_counted(flows: Flows) -> None:
    made = await flows.create(approval("a"))
    path = f"/v1/workflows/{made['id']}"
    running, paused = [await flows.trigger(made) for _ in range(2)]
    await flows.did(paused, "pause")
    changed = (await flows.api.patch(path, json={})).json()
    later = await flows.trigger(made)
    impact = (await flows.api.get(f"{path}/versions/{made['version_id']}/impact")).json()
    assert (impact["matching_runs"], impact["sampled_runs"]) == (2, 3)

    def row(version: dict[str, Any], **counts: int) -> dict[str, Any]:
        named = {"version_id": version["version_id"], "version": version["version"]}
        return {**named, "pending": 0, "running": 1, "paused": 0, "total": 1, **counts}

    active = (await flows.api.get(f"{path}/active-versions")).json()
    assert active["versions"] == [row(changed), row(made, paused=1, total=2)]
    for run_id in (running, paused, later):
        await flows.api.delete(f"/v1/workflow-runs/{run_id}")
    assert (await flows.api.get(f"{path}/active-versions")).json()["versions"] == []


async def test_a_run_keeps_its_version_and_so_does_its_retry(flows: Flows) -> None:
    made = await flows.create(approval("a"))
    first = await flows.trigger(made)
    await flows.api.patch(f"/v1/workflows/{made['id']}", json={"name": "Other"})
    second = await flows.trigger(made)
    await flows.did(first, "steps/a/approve")
    again = await flows.did(first, "retry")
    versions = [(await flows.run(run_id))["workflow_version"] for run_id in (first, second)]
    assert [*versions, again["workflow_version"]] == [1, 2, 1]

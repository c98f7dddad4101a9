"""Job groups: made, changed, and what becomes of their jobs (`contract/workflows.md` §5.5)."""

from __future__ import annotations

from typing import Any

from support.handlers import Answer, Gate
from support.world import PROJECT, World


async def made(world: World, slug: str = "group", **fields: Any) -> dict[str, Any]:
    body = {"project_id": PROJECT, "name": "Group", "slug": slug, **fields}
    answer = await world.api.post("/v1/job-groups", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_group_is_shown_as_it_was_made_and_changed(world: World) -> None:
    group = await made(world, description="all of them")
    path = f"/v1/job-groups/{group['id']}"
    assert (await world.api.get(path)).json() == group
    changed = await world.api.patch(path, json={"name": "Renamed"})
    assert changed.json() == {
        **group, "name": "Renamed", "updated_at": changed.json()["updated_at"]
    }  # fmt: skip
    assert changed.json()["updated_at"] > group["updated_at"]
    assert (await world.api.get(path)).json() == changed.json()


async def test_groups_are_listed_newest_first_in_pages(world: World) -> None:
    groups = [await made(world, f"group-{number}") for number in range(3)]
    first = (await world.api.get("/v1/job-groups", params={"limit": 2})).json()
    assert [g["id"] for g in first["data"]] == [groups[2]["id"], groups[1]["id"]]
    assert first["has_more"] is True
    params = {"limit": 2, "cursor": first["next_cursor"]}
    second = (await world.api.get("/v1/job-groups", params=params)).json()
    assert [g["id"] for g in second["data"]] == [groups[0]["id"]]
    assert second["has_more"] is False


async def test_a_slug_is_there_once_in_a_project(world: World) -> None:
    await made(world)
    body = {"project_id": PROJECT, "name": "Other", "slug": "group"}
    answer = await world.api.post("/v1/job-groups", json=body)
    assert answer.status_code == 409
    assert answer.json()["error"]["message"] == (
        "a job group with slug 'group' already exists in this project"
    )
    other = await made(world, "other")
    renamed = await world.api.patch(f"/v1/job-groups/{other['id']}", json={"slug": "group"})
    assert renamed.status_code == 409


async def test_a_repeat_under_an_idempotency_key_makes_one_group(world: World) -> None:
    body = {"project_id": PROJECT, "name": "Group", "slug": "group"}
    headers = {"Idempotency-Key": "k"}
    first = await world.api.post("/v1/job-groups", json=body, headers=headers)
    again = await world.api.post("/v1/job-groups", json=body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"


async def test_another_projects_group_is_not_there(world: World) -> None:
    group = await made(world)
    stranger = world.client(await world.key_for("*", project="proj-2"))
    path = f"/v1/job-groups/{group['id']}"
    answers = [
        await stranger.get(path),
        await stranger.patch(path, json={"name": "Mine"}),
        await stranger.delete(path),
        await stranger.post(f"{path}/pause-all"),
        await stranger.get(f"{path}/stats"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert (await stranger.get("/v1/job-groups")).json()["data"] == []
    body = {"project_id": PROJECT, "name": "Group", "slug": "theirs"}
    assert (await stranger.post("/v1/job-groups", json=body)).status_code == 403


async def test_a_scope_is_needed(world: World) -> None:
    reader = world.client(await world.key_for("jobs:read"))
    assert (await reader.get("/v1/job-groups")).status_code == 200
    body = {"project_id": PROJECT, "name": "Group", "slug": "group"}
    assert (await reader.post("/v1/job-groups", json=body)).status_code == 403


async def test_the_jobs_of_a_group_are_paused_and_resumed_together(world: World) -> None:
    group = await made(world)
    jobs = [await world.job(group_id=group["id"]) for _ in range(2)]
    outside = await world.job()
    path = f"/v1/job-groups/{group['id']}"
    assert (await world.api.post(f"{path}/pause-all")).json() == {"status": "paused"}
    shown = [(await world.api.get(f"/v1/jobs/{job['id']}")).json() for job in (*jobs, outside)]
    assert [job["paused"] for job in shown] == [True, True, False]
    assert shown[0]["pause_reason"] == "group pause"
    refused = await world.api.post(f"/v1/jobs/{jobs[0]['id']}/trigger", json={})
    assert refused.status_code == 409
    assert (await world.api.post(f"{path}/resume-all")).json() == {"status": "resumed"}
    await world.until(await world.trigger(jobs[0]), "completed")
    stats = (await world.api.get(f"{path}/stats")).json()
    assert stats == {"group_id": group["id"], "run_counts": {"completed": 1}}


async def test_the_jobs_of_a_group_are_listed_newest_first_in_pages(world: World) -> None:
    group, other = await made(world), await made(world, "other")
    jobs = [await world.job(group_id=group["id"]) for _ in range(3)]
    await world.job(group_id=other["id"])
    await world.job()
    path = f"/v1/job-groups/{group['id']}/jobs"
    first = (await world.api.get(path, params={"limit": 2})).json()
    assert (first["data"], first["has_more"]) == (jobs[:0:-1], True)
    params = {"limit": 2, "cursor": first["next_cursor"]}
    assert (await world.api.get(path, params=params)).json() == {
        "data": jobs[:1], "has_more": False
    }  # fmt: skip
    left = await world.api.patch(f"/v1/jobs/{jobs[2]['id']}", json={"group_id": other["id"]})
    assert left.status_code == 200
    assert [row["id"] for row in (await world.api.get(path)).json()["data"]] == [
        jobs[1]["id"], jobs[0]["id"]
    ]  # fmt: skip
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get(path)).json() == {"data": [], "has_more": False}


async def test_the_runs_of_a_group_are_counted_by_status(world: World) -> None:
    group = await made(world)
    jobs = [await world.job(group_id=group["id"], max_attempts=1) for _ in range(2)]
    path = f"/v1/job-groups/{group['id']}/stats"
    assert (await world.api.get(path)).json() == {"group_id": group["id"], "run_counts": {}}
    for job in (*jobs, await world.job()):
        await world.until(await world.trigger(job), "completed")
    world.handlers.script = lambda call: Answer(500)
    await world.until(await world.trigger(jobs[0]), "dead_letter")
    world.handlers.script = Gate()
    await world.executing(jobs[1])
    assert (await world.api.get(path)).json()["run_counts"] == {
        "completed": 2, "dead_letter": 1, "executing": 1
    }  # fmt: skip
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get(path)).status_code == 404


async def test_the_jobs_of_a_group_outlive_it(world: World) -> None:
    group = await made(world)
    job = await world.job(group_id=group["id"])
    path = f"/v1/job-groups/{group['id']}"
    listed = (await world.api.get(f"{path}/jobs")).json()
    assert [entry["id"] for entry in listed["data"]] == [job["id"]]
    assert (await world.api.delete(path)).status_code == 204
    assert (await world.api.get(path)).status_code == 404
    assert "group_id" not in (await world.api.get(f"/v1/jobs/{job['id']}")).json()
    assert (await world.api.get(f"{path}/jobs")).json()["data"] == []

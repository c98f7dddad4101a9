"""Jobs: made, changed, versioned, cloned, paused, deleted (`contract/runs.md` §6.13)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from strait import signing
from support.handlers import Answer, Gate, Received, ok
from support.world import PROJECT, World


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["message"])


def body(world: World, **changes: Any) -> dict[str, Any]:
    made = {
        "project_id": PROJECT,
        "name": "Job",
        "slug": "job",
        "endpoint_url": world.handlers.url,
    }
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


async def test_a_new_job_has_the_defaults_of_the_contract(world: World) -> None:
    job = await world.job()
    assert {
        name: job[name]
        for name in (
            "max_attempts", "timeout_secs", "retry_priority_boost", "queue", "version",
            "version_policy", "cron_overlap_policy", "execution_mode", "enabled", "paused",
        )
    } == {
        "max_attempts": 3,
        "timeout_secs": 300,
        "retry_priority_boost": 1,
        "queue": "default",
        "version": 1,
        "version_policy": "pin",
        "cron_overlap_policy": "allow",
        "execution_mode": "http",
        "enabled": True,
        "paused": False,
    }  # fmt: skip
    assert job["version_id"].startswith("ver_")
    assert (await world.api.get(f"/v1/jobs/{job['id']}")).json() == job


async def test_a_secret_is_never_shown(world: World) -> None:
    job = await world.job(endpoint_signing_secret="a-very-secret-secret")
    answer = await world.api.get(f"/v1/jobs/{job['id']}")
    assert "a-very-secret-secret" not in answer.text


async def test_a_job_is_deleted_once_nothing_of_it_is_under_way(world: World) -> None:
    job, other = await world.job(), await world.job()
    path = f"/v1/jobs/{job['id']}"
    world.handlers.script = gate = Gate()
    run_id, _ = await world.executing(job)
    busy = (409, "job has active runs — cancel them first or wait for completion")
    assert told(await world.api.delete(path)) == busy
    gate.open()
    ended = await world.until(run_id, "completed")
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert told(await stranger.delete(path)) == (404, "job not found")
    assert (await world.api.delete(path)).status_code == 204
    for answer in (
        await world.api.get(path),
        await world.api.patch(path, json={"name": "again"}),
        await world.api.post(f"{path}/trigger", json={}),
        await world.api.delete(path),
    ):
        assert told(answer) == (404, "job not found")
    listed = (await world.api.get("/v1/jobs")).json()["data"]
    assert [row["id"] for row in listed] == [other["id"]]
    # What it has done can still be read.
    assert await world.run(run_id) == ended


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"slug": "x" * 129}, 400, "slug too long (max 128 characters)"),
        ({"slug": "x" * 256}, 422, "validation failed"),
        ({"name": "x" * 256}, 422, "validation failed"),
        ({"endpoint_url": None}, 400, "endpoint_url is required"),
        ({"endpoint_url": "ftp://h/"}, 400, "invalid endpoint_url: "),
        ({"endpoint_url": "http://10.0.0.1/"}, 400, "invalid endpoint_url: "),
        ({"endpoint_url": "http://169.254.169.254/"}, 400, "invalid endpoint_url: "),
        ({"endpoint_url": "http://u:p@127.0.0.1/"}, 400, "invalid endpoint_url: "),
        ({"endpoint_url": "http://127.0.0.1:99999/"}, 400, "invalid endpoint_url: "),
        ({"timeout_secs": 86_401}, 400, "timeout_secs must be at most 86400"),
        ({"max_attempts": 101}, 422, "validation failed"),
        ({"queue_name": "no spaces"}, 400, "queue_name must match"),
        ({"debounce_window_secs": 5, "batch_window_secs": 5}, 400, "debounce and batch"),
        ({"endpoint_signing_secret": "short"}, 422, "validation failed"),
        ({"on_complete_payload_mapping": ["id"]}, 400, "on_complete_payload_mapping must be an"),
        ({"on_complete_payload_mapping": "id"}, 400, "on_complete_payload_mapping must be an"),
        ({"on_failure_payload_mapping": {"id": 1}}, 400, "on_failure_payload_mapping: 'id' must"),
        ({"on_failure_payload_mapping": {"id": ""}}, 400, "on_failure_payload_mapping: 'id' must"),
    ],
)
async def test_jobs_that_cannot_work_are_refused(
    world: World, changes: dict[str, Any], status: int, text: str
) -> None:
    code, message = told(await world.api.post("/v1/jobs", json=body(world, **changes)))
    assert code == status
    assert message.startswith(text)


async def test_a_mapping_of_payloads_is_paths_in_a_change_too_and_null_takes_it_away(
    world: World,
) -> None:
    job = await world.job(on_complete_payload_mapping={"id": "order.id"})
    path = f"/v1/jobs/{job['id']}"
    refused = await world.api.patch(path, json={"on_complete_payload_mapping": 7})
    assert told(refused)[0] == 400
    assert (await world.api.get(path)).json()["on_complete_payload_mapping"] == {"id": "order.id"}
    changed = await world.api.patch(path, json={"on_complete_payload_mapping": None})
    assert "on_complete_payload_mapping" not in changed.json()


async def test_a_slug_is_taken_once_in_a_project(world: World) -> None:
    first = await world.api.post("/v1/jobs", json=body(world))
    assert first.status_code == 201
    again = await world.api.post("/v1/jobs", json=body(world))
    assert again.status_code == 409
    other = await world.job()
    renamed = await world.api.patch(f"/v1/jobs/{other['id']}", json={"slug": "job"})
    assert renamed.status_code == 409


async def test_a_change_makes_a_version_and_leaves_the_rest(world: World) -> None:
    job = await world.job(description="first", tags={"a": "b"})
    answer = await world.api.patch(f"/v1/jobs/{job['id']}", json={"description": "second"})
    changed = answer.json()
    assert (changed["version"], changed["description"]) == (2, "second")
    assert changed["version_id"] != job["version_id"]
    assert changed["tags"] == {"a": "b"}
    path = f"/v1/jobs/{job['id']}/versions"
    listed = (await world.api.get(path)).json()["data"]
    assert [(row["version"], row["description"]) for row in listed] == [
        (2, "second"),
        (1, "first"),
    ]
    first = await world.api.get(f"{path}/{job['version_id']}")
    assert first.json()["description"] == "first"
    assert (await world.api.get(f"{path}/none")).status_code == 404


@pytest.mark.parametrize(
    ("policy", "compatible", "path"),
    [
        ("pin", False, "/old"),
        ("latest", False, "/new"),
        ("minor", False, "/old"),
        ("minor", True, "/new"),
    ],
)
async def test_a_run_follows_the_version_that_the_policy_says(
    virtual: World, policy: str, compatible: bool, path: str
) -> None:
    job = await virtual.job("old", version_policy=policy)
    run_id = await virtual.trigger(job, scheduled_at="2026-01-01T00:01:00Z")
    url = virtual.handlers.url + "new"
    change = {"endpoint_url": url, "backwards_compatible": compatible}
    assert (await virtual.api.patch(f"/v1/jobs/{job['id']}", json=change)).status_code == 200
    await virtual.pass_time(61)
    await virtual.until(run_id, "completed")
    assert virtual.handlers.received[0].path == path


async def test_a_job_with_runs_under_way_is_not_deleted(world: World) -> None:
    gate = Gate()
    world.handlers.script = gate
    job = await world.job()
    run_id, _ = await world.executing(job)
    path = f"/v1/jobs/{job['id']}"
    assert (await world.api.delete(path)).status_code == 409
    gate.open()
    await world.until(run_id, "completed")
    assert (await world.api.delete(path)).status_code == 204
    assert (await world.api.get(path)).status_code == 404
    assert (await world.api.post(f"{path}/trigger")).status_code == 404
    assert (await world.run(run_id))["status"] == "completed"


async def test_pausing_twice_is_pausing_once(world: World) -> None:
    job = await world.job()
    path = f"/v1/jobs/{job['id']}"
    first = (await world.api.post(f"{path}/pause", json={"reason": "why"})).json()
    again = (await world.api.post(f"{path}/pause")).json()
    assert (first["paused"], first["pause_reason"]) == (True, "why")
    assert again == first
    resumed = (await world.api.post(f"{path}/resume")).json()
    assert resumed["paused"] is False
    assert "pause_reason" not in resumed
    assert "paused_at" not in resumed


async def test_a_clone_is_a_job_of_its_own(world: World) -> None:
    job = await world.job(tags={"a": "b"}, endpoint_signing_secret="0123456789abcdef")
    answer = await world.api.post(
        f"/v1/jobs/{job['id']}/clone", json={"name": "Copy", "slug": "copy"}
    )
    clone = answer.json()
    assert (answer.status_code, clone["slug"], clone["tags"]) == (201, "copy", {"a": "b"})
    assert clone["id"] != job["id"]
    await world.until(await world.trigger(clone), "completed")
    assert "x-strait-signature" in world.handlers.received[0].headers


async def test_several_jobs_are_made_at_once_and_the_wrong_ones_told(world: World) -> None:
    jobs = [body(world, slug="a"), body(world, slug="a"), body(world, slug="b", endpoint_url=None)]
    answer = await world.api.post("/v1/jobs/batch", json={"jobs": jobs})
    assert answer.status_code == 201
    assert [row["slug"] for row in answer.json()["created"]] == ["a"]
    assert [row["index"] for row in answer.json()["errors"]] == [1, 2]
    none = await world.api.post("/v1/jobs/batch", json={"jobs": jobs[2:]})
    assert (none.status_code, none.json()["created"]) == (400, None)


async def test_several_jobs_are_switched_at_once(world: World) -> None:
    ids = [(await world.job())["id"] for _ in range(2)]
    off = await world.api.post("/v1/jobs/batch-disable", json={"ids": [*ids, "none"]})
    assert off.json() == {"updated": 2}
    assert told(await world.api.post(f"/v1/jobs/{ids[0]}/trigger")) == (400, "job is disabled")
    on = await world.api.post("/v1/jobs/batch-enable", json={"ids": ids})
    assert on.json() == {"updated": 2}
    assert (await world.api.post(f"/v1/jobs/{ids[0]}/trigger")).status_code == 201


async def test_jobs_are_listed_by_slug_tag_and_page(world: World) -> None:
    made = [await world.job(tags={"n": str(n)}) for n in range(5)]

    async def slugs(**query: Any) -> list[str]:
        answer = await world.api.get("/v1/jobs", params=query)
        return [row["slug"] for row in answer.json()["data"]]

    newest_first = [job["slug"] for job in reversed(made)]
    assert await slugs() == newest_first
    assert await slugs(tag_key="n", tag_value="3") == [made[3]["slug"]]
    assert await slugs(tag_key="none") == []
    page = (await world.api.get("/v1/jobs?limit=2")).json()
    rest = await slugs(cursor=page["next_cursor"])
    assert [row["slug"] for row in page["data"]] + rest == newest_first


async def test_an_endpoint_is_moved_and_gets_a_new_secret(world: World) -> None:
    job = await world.job("old")
    answer = await world.api.post(
        f"/v1/jobs/{job['id']}/endpoint",
        json={"endpoint_url": world.handlers.url + "new", "rotate_signing_secret": True},
    )
    secret = answer.json()["signing_secret"]
    assert secret.startswith("esec_")
    await world.until(await world.trigger(job), "completed")
    (call,) = world.handlers.received
    assert call.path == "/new"
    stamp = int(call.headers["x-strait-timestamp"])
    assert call.headers["x-strait-signature"] == signing.sign(secret, stamp, call.body)


async def test_an_endpoint_can_be_tried(world: World) -> None:
    def script(call: Received) -> Answer:
        assert call.json == {"type": "endpoint.test"}
        assert call.headers["user-agent"] == "Strait-Endpoint-Verify/1.0"
        return ok() if "x-strait-signature" in call.headers else Answer(500)

    world.handlers.script = script
    signed = await world.job(endpoint_signing_secret="0123456789abcdef")
    good = await world.api.post(f"/v1/jobs/{signed['id']}/endpoint/verify")
    assert (good.json()["success"], good.json()["status_code"]) == (True, 200)
    bad = await world.api.post(f"/v1/jobs/{(await world.job())['id']}/endpoint/verify")
    assert (bad.status_code, bad.json()["success"]) == (200, False)
    assert bad.json()["error"] == "endpoint returned 500"


async def test_runs_for_workers_wait_for_one(world: World) -> None:
    job = await world.job(execution_mode="worker", queue_name="gpu")
    run = await world.run(await world.trigger(job))
    await world.settled()
    assert (run["status"], run["queue_name"]) == ("queued", "gpu")
    assert world.handlers.received == []

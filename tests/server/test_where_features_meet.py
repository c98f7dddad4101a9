"""Features of runs that a user has together: each keeps its promise beside the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from support.handlers import Answer, Gate, Handlers, ok
from support.world import PROJECT, World

DEAD_LETTERS = "/v1/runs/bulk-dlq-replay"


async def post(
    world: World, job: dict[str, Any], payload: object, key: str = "", **fields: object
) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"payload": payload, **fields}
    return await world.api.post(f"/v1/jobs/{job['id']}/trigger", json=body, headers=headers)


async def runs_of(world: World, job: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await world.api.get("/v1/runs", params={"job_id": job["id"]})
    return list(answer.json()["data"])


async def dead_letters(world: World, job: dict[str, Any], count: int = 1) -> list[str]:
    world.handlers.script = lambda _: Answer(400)
    run_ids = [await world.trigger(job, {"n": n}) for n in range(count)]
    for run_id in run_ids:
        await world.until(run_id, "dead_letter")
    world.handlers.script = lambda _: ok()
    return run_ids


async def depend(world: World, job: dict[str, Any], on: dict[str, Any]) -> None:
    body = {"depends_on_job_id": on["id"], "condition": "completed"}
    answer = await world.api.post(f"/v1/jobs/{job['id']}/dependencies", json=body)
    assert answer.status_code == 201, answer.text


# -------------------------------------------------------------------------------- idempotency keys


async def test_a_key_that_another_run_answered_for_makes_none_after_the_window(
    virtual: World,
) -> None:
    job = await virtual.job(dedup_window_secs=5)
    first = (await post(virtual, job, {"n": 1})).json()["id"]
    assert (await post(virtual, job, {"n": 1}, key="k")).json()["id"] == first
    await virtual.pass_time(10)
    again = await post(virtual, job, {"n": 1}, key="k")
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (first, "true")
    assert len(await runs_of(virtual, job)) == 1


@pytest.mark.parametrize(
    "field", ["debounce_window_secs", "batch_window_secs", "dedup_window_secs"]
)
async def test_a_dry_run_does_not_use_up_the_key_of_the_trigger_after_it(
    virtual: World, field: str
) -> None:
    job = await virtual.job(**{field: 5})
    assert (await post(virtual, job, {}, key="k", dry_run=True)).status_code == 200
    made = await post(virtual, job, {}, key="k")
    assert made.status_code == 201
    assert "idempotency-replayed" not in made.headers
    await virtual.pass_time(6)
    assert len(await runs_of(virtual, job)) == 1


@pytest.mark.parametrize("field", ["debounce_window_secs", "batch_window_secs"])
async def test_a_freed_key_of_a_trigger_that_was_buffered_makes_another_run(
    virtual: World, field: str
) -> None:
    job = await virtual.job(**{field: 5})
    await post(virtual, job, {}, key="k")
    await virtual.pass_time(6)
    (run,) = await runs_of(virtual, job)
    freed = await virtual.api.delete(f"/v1/runs/{run['id']}/idempotency-key")
    assert freed.status_code == 200
    assert "idempotency-replayed" not in (await post(virtual, job, {}, key="k")).headers
    await virtual.pass_time(6)
    assert len(await runs_of(virtual, job)) == 2


async def test_a_repeated_trigger_of_a_run_that_waits_for_others_has_the_first_answer(
    world: World,
) -> None:
    before, job = await world.job(), await world.job()
    await depend(world, job, before)
    first = await post(world, job, {}, key="k")
    assert first.json()["status"] == "waiting"
    await world.until(await world.trigger(before, key="k"), "completed")
    await world.until(first.json()["id"], "completed")
    assert (await post(world, job, {}, key="k")).json() == first.json()


# ------------------------------------------------------------------------------------ dead letters


async def test_dead_letters_of_a_deleted_job_keep_no_others_from_being_replayed(
    world: World,
) -> None:
    gone, job = await world.job(), await world.job()
    (orphan,) = await dead_letters(world, gone)
    (first, second) = await dead_letters(world, job, 2)
    assert (await world.api.delete(f"/v1/jobs/{gone['id']}")).status_code == 204
    answer = await world.api.post(DEAD_LETTERS, json={"project_id": PROJECT, "limit": 1})
    assert [run["id"] for run in answer.json()["replayed"]] == [first]
    assert "skipped" not in answer.json()
    await world.until(first, "completed")

    named = await world.api.post(DEAD_LETTERS, json={"run_ids": [orphan, "none", first, second]})
    assert (named.status_code, named.json()["count"]) == (200, 1)
    assert [run["id"] for run in named.json()["replayed"]] == [second]
    assert [(row["id"], row["error"]) for row in named.json()["skipped"]] == [
        (orphan, "job not found"),
        ("none", "run not found"),
        (first, "run is not in dead_letter status"),
    ]
    await world.until(second, "completed")

    none = await world.api.post(DEAD_LETTERS, json={"run_ids": [orphan]})
    assert none.status_code == 409
    assert none.json()["error"]["details"] == [f"{orphan}: job not found"]


async def test_dead_letters_behind_a_throttle_wait_for_their_turn(virtual: World) -> None:
    await virtual.api.put("/v1/throttles/slow", json={"limit": 1, "period_secs": 600})
    job = await virtual.job(throttles=[{"name": "slow"}], timeout_secs=10)
    virtual.handlers.script = lambda _: Answer(400)
    run_ids = [await virtual.trigger(job) for _ in range(3)]
    await virtual.pass_time(1300)
    virtual.handlers.script = lambda _: ok()
    answer = await virtual.api.post(DEAD_LETTERS, json={"run_ids": run_ids})
    assert answer.json()["count"] == 3
    await virtual.pass_time(2000)
    assert [(await virtual.run(run_id))["status"] for run_id in run_ids] == ["completed"] * 3


async def test_what_waits_under_a_dependency_key_is_let_go_by_a_replay(world: World) -> None:
    before, job = await world.job(), await world.job()
    await depend(world, job, before)
    gate = world.handlers.script = Gate()
    failing, handler = await world.executing(before, {"dependency_key": "order-7"})
    waiting = await world.trigger(job, {"dependency_key": "order-7"})
    failed = await handler.post(f"/sdk/v1/runs/{failing}/fail", json={"error": "boom"})
    assert failed.status_code == 200
    gate.open()
    other = await world.trigger(before, {"dependency_key": "order-8"})
    await world.until(other, "completed")
    assert (await world.run(waiting))["status"] == "waiting"
    replay = (await world.api.post(f"/v1/runs/{failing}/replay")).json()
    assert replay["metadata"]["dependency_key"] == "order-7"
    await world.until(waiting, "completed")


# ------------------------------------------------------------------------------- moving, canceling


async def test_a_moved_run_must_fit_the_schema_of_its_job_too(virtual: World) -> None:
    job = await virtual.job(payload_schema={"type": "object", "required": ["order"]})
    run_id = await virtual.trigger(job, {"order": 1}, scheduled_at="2026-01-01T05:00:00Z")
    path, at = f"/v1/runs/{run_id}/reschedule", "2026-01-01T06:00:00Z"
    for payload, why in (({}, "$.order is required"), (None, "$ must be of type object")):
        refused = await virtual.api.post(path, json={"scheduled_at": at, "payload": payload})
        assert refused.status_code == 400
        assert why in refused.json()["error"]["message"]
    kept = await virtual.run(run_id)
    assert (kept["payload"], kept["scheduled_at"][11:19]) == ({"order": 1}, "05:00:00")
    moved = await virtual.api.post(path, json={"scheduled_at": at, "payload": {"order": 2}})
    assert (moved.status_code, moved.json()["payload"]) == (200, {"order": 2})


async def test_a_moved_run_counts_under_the_throttle_key_of_its_new_payload(
    virtual: World,
) -> None:
    await virtual.api.put("/v1/throttles/model", json={"limit": 1, "period_secs": 600})
    job = await virtual.job(throttles=[{"name": "model", "key": "{{model}}"}])
    await virtual.until(await virtual.trigger(job, {"model": "large"}), "completed")
    at = "2026-01-01T00:01:00Z"
    held = await virtual.trigger(job, {"model": "large"}, scheduled_at=at)
    free = await virtual.trigger(job, {"model": "large"}, scheduled_at=at)
    body = {"scheduled_at": at, "payload": {"model": "small"}}
    assert (await virtual.api.post(f"/v1/runs/{free}/reschedule", json=body)).status_code == 200
    await virtual.pass_time(61)
    await virtual.until(free, "completed")
    assert (await virtual.run(held))["status"] == "queued"


async def test_all_runs_of_a_job_are_canceled_those_that_wait_or_are_held_too(
    world: World,
) -> None:
    before, job = await world.job(), await world.job()
    world.handlers.script = Gate()
    held, _ = await world.executing(job)
    assert (await world.api.post(f"/v1/runs/{held}/pause")).json()["status"] == "paused"
    await depend(world, job, before)
    waiting = await world.trigger(job)
    by_status = await world.api.post("/v1/runs/bulk-cancel-all", json={"status": "waiting"})
    assert by_status.json() == {"canceled": 1, "run_ids": [waiting]}
    by_job = await world.api.post("/v1/runs/bulk-cancel-all", json={"job_id": job["id"]})
    assert by_job.json() == {"canceled": 1, "run_ids": [held]}
    assert (await world.api.delete(f"/v1/jobs/{job['id']}")).status_code == 204


# ------------------------------------------------------------------------------------------- names


async def test_a_job_names_environments_and_groups_of_its_own_project(world: World) -> None:
    internal = world.internal()
    await internal.post("/v1/projects", json={"id": "proj-2", "org_id": "org-1", "name": "Two"})
    other = world.client(await world.key_for("*", project="proj-2"))
    named = {"project_id": "proj-2", "name": "Other", "slug": "other"}
    environment = (await other.post("/v1/environments", json=named)).json()["id"]
    group = (await other.post("/v1/job-groups", json=named)).json()["id"]
    path = f"/v1/jobs/{(await world.job())['id']}"
    for field, what, given in (
        ("environment_id", "environment", environment),
        ("environment_id", "environment", "nope"),
        ("group_id", "job group", group),
    ):
        refused = await world.api.patch(path, json={field: given})
        assert refused.status_code == 400
        assert refused.json()["error"]["message"] == f"{field}: {what} {given!r} not found"


# ----------------------------------------------------------------------------------------- streams


async def key_of(world: World, *scopes: str) -> tuple[str, str]:
    """Make a key and return its id and the key."""
    answer = await world.api.post(
        "/v1/api-keys",
        json={"project_id": PROJECT, "name": "r", "scopes": scopes, "expires_in_days": 1},
    )
    return answer.json()["id"], answer.json()["key"]


async def next_data(lines: AsyncIterator[str]) -> str:
    async with asyncio.timeout(30):
        async for line in lines:
            if line.startswith("data: "):
                return line
    return "the stream has ended"


@pytest.mark.parametrize("end", ["revoked", "expired", "rotated"])
async def test_a_stream_tells_nothing_more_once_its_key_is_over(
    virtual: World, handlers: Handlers, end: str
) -> None:
    handlers.script = Gate()
    job = await virtual.job(timeout_secs=86_400)
    run_id, handler = await virtual.executing(job)
    key_id, key = await key_of(virtual, "runs:read")
    path = f"/sdk/v1/runs/{run_id}/log"
    async with virtual.client(key).stream("GET", f"/v1/runs/{run_id}/stream") as stream:
        lines = stream.aiter_lines()
        await anext(lines)
        await handler.post(path, json={"message": "before"})
        assert "before" in await next_data(lines)
        match end:
            case "revoked":
                assert (await virtual.api.delete(f"/v1/api-keys/{key_id}")).status_code == 200
            case "expired":
                await virtual.pass_time(23 * 3600 + 3500)
                virtual.clock.advance(101)
            case _:
                body = {"grace_period_minutes": 5}
                await virtual.api.post(f"/v1/api-keys/{key_id}/rotate", json=body)
                await handler.post(path, json={"message": "in grace"})
                assert "in grace" in await next_data(lines)
                await virtual.pass_time(301)
        await handler.post(path, json={"message": "after"})
        last = await next_data(lines)
        assert '"code":"authentication_required"' in last
        assert "after" not in last
        assert await next_data(lines) == "the stream has ended"


async def test_a_token_for_streams_ends_with_the_key_that_made_it(world: World) -> None:
    key_id, key = await key_of(world, "runs:read", "workflows:read", "jobs:read")
    token = (await world.client(key).post("/v1/sse-token")).json()["token"]
    path = f"/v1/projects/{PROJECT}/activity/stream?token={token}"
    async with world.client().stream("GET", path) as stream:
        assert stream.status_code == 200
    assert (await world.api.delete(f"/v1/api-keys/{key_id}")).status_code == 200
    refused = await world.client().get(path)
    assert refused.status_code == 401
    assert refused.json()["error"]["message"] == "api key has been revoked"

"""Triggering: the order of checks, keys, limits, many at once (`contract/runs.md` §3)."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest

from support.handlers import Gate
from support.world import World


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["message"])


async def post(world: World, job: dict[str, Any], body: object, **headers: str) -> httpx.Response:
    return await world.api.post(f"/v1/jobs/{job['id']}/trigger", json=body, headers=headers)


async def test_a_trigger_tells_id_status_and_hash_of_the_canonical_payload(world: World) -> None:
    job = await world.job()
    answer = await post(world, job, {"payload": {"b": 1, "a": "ü"}})
    canonical = '{"a":"ü","b":1}'.encode()
    assert answer.status_code == 201
    assert answer.json() == {
        "id": answer.json()["id"],
        "status": "queued",
        "payload_hash": hashlib.sha256(canonical).hexdigest(),
        "idempotency_hit": False,
    }


async def test_no_payload_has_the_hash_of_an_empty_object(world: World) -> None:
    answer = await world.api.post(f"/v1/jobs/{(await world.job())['id']}/trigger")
    assert answer.json()["payload_hash"].startswith("44136fa3")


async def test_the_job_is_looked_at_before_the_body(world: World) -> None:
    bad = {"priority": 99}
    answer = await world.api.post("/v1/jobs/none/trigger", json=bad)
    assert told(answer) == (404, "job not found")
    job = await world.job()
    assert (await post(world, job, bad)).status_code == 422
    await world.api.post(f"/v1/jobs/{job['id']}/pause")
    assert told(await post(world, job, bad)) == (
        409,
        "job is paused -- resume it before triggering new runs",
    )
    await world.api.patch(f"/v1/jobs/{job['id']}", json={"enabled": False})
    assert told(await post(world, job, bad)) == (400, "job is disabled")


async def test_a_slug_is_no_id(world: World) -> None:
    job = await world.job()
    assert (await world.api.post(f"/v1/jobs/{job['slug']}/trigger")).status_code == 404
    found = await world.api.get(f"/v1/jobs?slug={job['slug']}")
    assert [row["id"] for row in found.json()["data"]] == [job["id"]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", -1),
        ("priority", 11),
        ("ttl_secs", -1),
        ("ttl_secs", 2_592_001),
        ("concurrency_key", "x" * 257),
    ],
)
async def test_values_out_of_range_are_422(world: World, field: str, value: object) -> None:
    answer = await post(world, await world.job(), {field: value})
    assert told(answer) == (422, "validation failed")
    assert answer.json()["error"]["details"][0].startswith(f"{field}: failed on")


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({str(n): "x" for n in range(21)}, "too many tags"),
        ({"": "x"}, "tag keys must be non-empty"),
        ({"k" * 65: "x"}, "tag key too long"),
        ({"k": "x" * 257}, "tag value too long"),
    ],
)
async def test_tags_are_bounded(world: World, tags: dict[str, str], text: str) -> None:
    status, message = told(await post(world, await world.job(), {"tags": tags}))
    assert status == 400
    assert message.startswith(text)


async def test_schedules_are_neither_in_the_past_nor_too_far_ahead(virtual: World) -> None:
    job = await virtual.job()
    past = await post(virtual, job, {"scheduled_at": "2025-12-31T23:59:59Z"})
    assert told(past) == (400, "scheduled_at must not be in the past")
    far = await post(virtual, job, {"scheduled_at": "2026-03-01T00:00:00Z"})
    assert far.status_code == 400
    wrong = await post(virtual, job, {"scheduled_at": "tomorrow"})
    assert wrong.status_code == 400


async def test_a_trace_header_that_is_too_long_is_refused(world: World) -> None:
    answer = await post(world, await world.job(), {}, Traceparent="x" * 257)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({}, "payload validation failed: $.n is required"),
        ({"n": "one"}, "payload validation failed: $.n must be of type integer"),
        ({"n": 1, "list": ["x", 2]}, "payload validation failed: $.list[1] must be of type string"),
        (None, "payload validation failed: $ must be of type object"),
    ],
)
async def test_the_payload_must_fit_the_schema_of_the_job(
    world: World, payload: object, text: str
) -> None:
    schema = {
        "type": "object",
        "required": ["n"],
        "properties": {
            "n": {"type": "integer"},
            "list": {"type": "array", "items": {"type": "string"}},
        },
    }
    job = await world.job(payload_schema=schema)
    body = {} if payload is None else {"payload": payload}
    assert told(await post(world, job, body)) == (400, text)
    run_id = await world.trigger(job, {"n": 1})
    assert (await world.until(run_id, "completed"))["payload"] == {"n": 1}


async def test_a_dry_run_shows_what_would_happen_and_makes_nothing(world: World) -> None:
    job = await world.job(timeout_secs=20)
    answer = await post(world, job, {"dry_run": True, "payload": {"b": 1, "a": 2}})
    assert answer.status_code == 200
    assert answer.json()["job"]["slug"] == job["slug"]
    assert answer.json()["payload"] == {"a": 2, "b": 1}
    assert (await world.api.get("/v1/runs")).json()["data"] == []


async def test_a_run_takes_tags_priority_and_metadata_from_job_and_request(world: World) -> None:
    job = await world.job(tags={"a": "job", "b": "job"}, default_run_metadata={"team": "x"})
    run_id = await world.trigger(
        job, {"dependency_key": "d-1"}, tags={"b": "mine"}, priority=7, concurrency_key="c"
    )
    run = await world.until(run_id, "completed")
    assert run["tags"] == {"a": "job", "b": "mine"}
    assert run["metadata"] == {"team": "x", "dependency_key": "d-1"}
    assert (run["priority"], run["triggered_by"], run["concurrency_key"]) == (7, "manual", "c")
    assert run["created_by"].startswith("apikey:")
    assert (run["job_version"], run["job_version_id"]) == (1, job["version_id"])


# ------------------------------------------------------------------------------------- rate limit


async def test_more_at_once_than_a_job_ever_takes_are_not_asked_to_come_back(
    virtual: World,
) -> None:
    job = await virtual.job(rate_limit_max=2, rate_limit_window_secs=60)
    path = f"/v1/jobs/{job['id']}/trigger/bulk"
    refused = await virtual.api.post(path, json={"items": [{"payload": n} for n in range(3)]})
    assert refused.status_code == 400
    text = "the job's rate_limit_max lets 2 runs through at once, not 3"
    assert refused.json()["error"]["message"] == text
    taken = await virtual.api.post(path, json={"items": [{"payload": n} for n in range(2)]})
    assert taken.status_code == 201


async def test_a_rate_limit_without_its_window_would_limit_nothing_and_is_refused(
    world: World,
) -> None:
    job = await world.job(rate_limit_max=2, rate_limit_window_secs=60)
    refused = await world.api.patch(f"/v1/jobs/{job['id']}", json={"rate_limit_window_secs": 0})
    assert told(refused) == (
        400,
        "rate_limit_max needs rate_limit_window_secs: in how many seconds so many are taken",
    )
    off = {"rate_limit_max": 0, "rate_limit_window_secs": 0}
    assert (await world.api.patch(f"/v1/jobs/{job['id']}", json=off)).status_code == 200


async def test_a_rate_limited_job_answers_429_and_when_to_come_back(virtual: World) -> None:
    job = await virtual.job(rate_limit_max=2, rate_limit_window_secs=60)
    for _ in range(2):
        await virtual.trigger(job)
    refused = await post(virtual, job, {})
    assert told(refused) == (429, "job rate limit exceeded")
    assert refused.json()["error"]["code"] == "rate_limited"
    assert refused.json()["error"]["details"] == ["retry_after_seconds=5"]
    assert refused.headers["retry-after"] == "5"
    await virtual.pass_time(61)
    assert (await post(virtual, job, {})).status_code == 201


# ------------------------------------------------------------------------------------- idempotency


async def test_the_same_key_gives_the_same_run_and_says_so(world: World) -> None:
    job = await world.job()
    key = {"Idempotency-Key": "order-1"}
    first = await post(world, job, {"payload": {"n": 1}}, **key)
    await world.until(first.json()["id"], "completed")
    again = await post(world, job, {"payload": {"n": 1}}, **key)
    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-body-differs" not in again.headers
    assert len(world.handlers.received) == 1


async def test_both_spellings_of_the_key_header_are_one(world: World) -> None:
    job = await world.job()
    first = await post(world, job, {}, **{"X-Idempotency-Key": "k"})
    again = await post(world, job, {}, **{"Idempotency-Key": "k"})
    assert first.json()["id"] == again.json()["id"]


async def test_a_repeat_with_another_body_is_replayed_and_told(world: World) -> None:
    job = await world.job()
    key = {"Idempotency-Key": "order-1"}
    first = await post(world, job, {"payload": {"n": 1}}, **key)
    other = await post(world, job, {"payload": {"n": 2}}, **key)
    assert other.json()["id"] == first.json()["id"]
    assert other.headers["idempotency-body-differs"] == "true"
    broken = await world.api.post(
        f"/v1/jobs/{job['id']}/trigger",
        content=b"{",
        headers={**key, "Content-Type": "application/json"},
    )
    assert broken.json()["id"] == first.json()["id"]


async def test_a_key_is_answered_although_the_job_was_paused_since(world: World) -> None:
    job = await world.job()
    first = await post(world, job, {}, **{"Idempotency-Key": "k"})
    await world.api.post(f"/v1/jobs/{job['id']}/pause")
    again = await post(world, job, {}, **{"Idempotency-Key": "k"})
    assert again.json()["id"] == first.json()["id"]


async def test_another_caller_with_the_same_key_gets_a_hit(world: World) -> None:
    job = await world.job()
    first = await post(world, job, {}, **{"Idempotency-Key": "k"})
    run = await world.until(first.json()["id"], "completed")
    other = world.client(await world.key_for("*"), **{"Idempotency-Key": "k"})
    hit = await other.post(f"/v1/jobs/{job['id']}/trigger")
    assert hit.status_code == 200
    assert hit.json() == {"id": run["id"], "status": "completed", "idempotency_hit": True}
    assert (await other.post(f"/v1/jobs/{job['id']}/trigger", json={"priority": 11})).is_error


async def test_the_same_key_on_another_job_is_another_run(world: World) -> None:
    ids = [await world.trigger(await world.job(), key="k") for _ in range(2)]
    assert ids[0] != ids[1]


async def test_a_key_is_free_24_hours_after_its_run_ended(virtual: World) -> None:
    job = await virtual.job()
    first = await virtual.trigger(job, key="k")
    await virtual.until(first, "completed")
    await virtual.pass_time(24 * 3600 - 10)
    assert await virtual.trigger(job, key="k") == first
    await virtual.pass_time(20)
    assert await virtual.trigger(job, key="k") != first


async def test_a_key_can_be_freed_for_everybody(world: World) -> None:
    job = await world.job()
    first = await world.trigger(job, key="k")
    path = f"/v1/runs/{first}/idempotency-key"
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.delete(path)).status_code == 404
    again = await world.api.post(
        f"/v1/jobs/{job['id']}/trigger", json={}, headers={"Idempotency-Key": "k"}
    )
    assert again.json()["id"] == first
    reset = await world.api.delete(path)
    assert reset.json() == {"status": "reset", "run_id": first}
    assert await world.trigger(job, key="k") != first


async def test_a_key_that_is_too_long_is_refused(world: World) -> None:
    answer = await post(world, await world.job(), {}, **{"Idempotency-Key": "k" * 257})
    assert told(answer) == (400, "idempotency key must be 256 characters or fewer")


async def test_a_refused_trigger_does_not_use_up_its_key(world: World) -> None:
    job = await world.job()
    refused = await post(world, job, {"priority": 11}, **{"Idempotency-Key": "k"})
    assert refused.status_code == 422
    assert (await post(world, job, {}, **{"Idempotency-Key": "k"})).status_code == 201


async def test_other_creations_are_replayed_with_their_body_and_status(world: World) -> None:
    body = {
        "project_id": "proj-1",
        "name": "Once",
        "slug": "once",
        "endpoint_url": world.handlers.url,
    }
    key = {"Idempotency-Key": "make-once"}
    first = await world.api.post("/v1/jobs", json=body, headers=key)
    again = await world.api.post("/v1/jobs", json=body, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = await world.api.post("/v1/jobs", json={**body, "slug": "twice"}, headers=key)
    assert other.json() == first.json()
    assert other.headers["idempotency-body-differs"] == "true"


async def test_kept_answers_are_forgotten_after_a_day(virtual: World) -> None:
    body = {"project_id": "proj-1", "name": "A", "endpoint_url": virtual.handlers.url}

    async def make(slug: str, key: str) -> httpx.Response:
        return await virtual.api.post(
            "/v1/jobs", json={**body, "slug": slug}, headers={"Idempotency-Key": key}
        )

    first = await make("a", "k1")
    await virtual.pass_time(24 * 3600 + 1)
    again = await make("b", "k1")
    assert again.json()["id"] != first.json()["id"]
    await virtual.pass_time(24 * 3600 + 1)
    await make("c", "k2")
    (kept,) = virtual.platform.reader.execute("SELECT count(*) FROM idempotency").fetchone()
    assert kept == 1


# -------------------------------------------------------------------------------------------- bulk


async def test_many_runs_are_made_at_once(world: World) -> None:
    job = await world.job()
    present = await world.trigger(job, key="have")
    items = [{"payload": {"n": 1}}, {"idempotency_key": "have"}, {"priority": 5}]
    answer = await world.api.post(f"/v1/jobs/{job['id']}/trigger/bulk", json={"items": items})
    body = answer.json()
    assert answer.status_code == 201
    assert (body["total"], body["created"]) == (3, 2)
    assert [row["idempotency_hit"] for row in body["results"]] == [False, True, False]
    assert body["results"][1]["id"] == present
    for row in body["results"]:
        await world.until(row["id"], "completed")
    batch = await world.api.get(f"/v1/batch-operations/{body['batch_id']}")
    assert (batch.json()["item_count"], batch.json()["created_count"]) == (3, 2)
    listed = await world.api.get(f"/v1/runs?batch_id={body['batch_id']}")
    assert len(listed.json()["data"]) == 2
    assert len((await world.api.get("/v1/batch-operations")).json()["data"]) == 1


async def test_bulk_triggers_are_listed_newest_first_and_kept(world: World) -> None:
    job = await world.job()
    path = f"/v1/jobs/{job['id']}/trigger/bulk"
    body = {"items": [{"payload": 1, "idempotency_key": "once"}, {"payload": 2}]}
    first = (await world.api.post(path, json=body)).json()
    body["items"][1:] = [{"payload": n} for n in range(3)]
    second = (await world.api.post(path, json=body)).json()
    assert (first["created"], second["total"], second["created"]) == (2, 4, 3)
    page = (await world.api.get("/v1/batch-operations", params={"limit": 1})).json()
    (newest,) = page["data"]
    assert (newest["id"], newest["job_id"]) == (second["batch_id"], job["id"])
    assert (newest["item_count"], newest["created_count"]) == (4, 3)
    assert newest["created_by"].startswith("apikey:")
    params = {"limit": 1, "cursor": page["next_cursor"]}
    rest = (await world.api.get("/v1/batch-operations", params=params)).json()
    (oldest,) = rest["data"]
    assert (oldest["id"], oldest["created_count"]) == (first["batch_id"], 2)
    assert rest["has_more"] is False
    shown = f"/v1/batch-operations/{oldest['id']}"
    assert (await world.api.get(shown)).json() == oldest
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get(shown)).status_code == 404
    assert (await stranger.get("/v1/batch-operations")).json()["data"] == []


async def test_items_under_one_key_are_one_run(world: World) -> None:
    job = await world.job()
    keys = ("a", "b", "a", "", "", "b")
    items = [{"payload": {"n": n}, "idempotency_key": key} for n, key in enumerate(keys)]
    answer = await world.api.post(f"/v1/jobs/{job['id']}/trigger/bulk", json={"items": items})
    rows = answer.json()["results"]
    assert [row["idempotency_hit"] for row in rows] == [False, False, True, False, False, True]
    assert (rows[2]["id"], rows[5]["id"]) == (rows[0]["id"], rows[1]["id"])
    assert answer.json()["created"] == 4
    assert len({row["id"] for row in rows}) == 4
    for row in rows:
        await world.until(row["id"], "completed")


async def test_one_bad_item_refuses_them_all(world: World) -> None:
    job = await world.job(payload_schema={"type": "object", "required": ["n"]})
    items = [{"payload": {"n": 1}}, {"payload": {}}]
    answer = await world.api.post(f"/v1/jobs/{job['id']}/trigger/bulk", json={"items": items})
    status, text = told(answer)
    assert status == 400
    assert text.startswith("payload validation failed for item 1: ")
    assert (await world.api.get("/v1/runs")).json()["data"] == []


@pytest.mark.parametrize(("count", "status"), [(0, 422), (501, 400)])
async def test_bulk_triggers_are_bounded(world: World, count: int, status: int) -> None:
    job = await world.job()
    path = f"/v1/jobs/{job['id']}/trigger/bulk"
    assert (await world.api.post(path, json={"items": [{}] * count})).status_code == status


# -------------------------------------------------------------------------- order, limits, holding


async def test_runs_of_higher_priority_start_first(world: World) -> None:
    gate = Gate()
    world.handlers.script = gate
    job = await world.job(max_concurrency=1)
    await world.executing(job)
    low = await world.trigger(job, priority=1)
    high = await world.trigger(job, priority=9)
    also_low = await world.trigger(job, priority=1)
    gate.open()
    calls = await world.handlers.wait(4)
    assert [call.run_id for call in calls[1:]] == [high, low, also_low]


async def test_a_run_held_back_by_its_job_starts_when_a_slot_frees(world: World) -> None:
    gate = Gate()
    world.handlers.script = gate
    job = await world.job(max_concurrency=2)
    ids = [await world.trigger(job) for _ in range(3)]
    await world.handlers.wait(2)
    assert (await world.run(ids[2]))["status"] == "queued"
    gate.open()
    for run_id in ids:
        await world.until(run_id, "completed")


async def test_runs_of_one_key_exclude_each_other(world: World) -> None:
    gate = Gate()
    world.handlers.script = gate
    job = await world.job(max_concurrency_per_key=1)
    first = await world.trigger(job, concurrency_key="customer-1")
    second = await world.trigger(job, concurrency_key="customer-1")
    other = await world.trigger(job, concurrency_key="customer-2")
    started = {call.run_id for call in await world.handlers.wait(2)}
    assert started == {first, other}
    gate.open()
    await world.until(second, "completed")


async def test_a_paused_job_holds_its_runs_and_lets_them_go(virtual: World) -> None:
    job = await virtual.job()
    run_id = await virtual.trigger(job, scheduled_at="2026-01-01T00:01:00Z")
    await virtual.api.post(f"/v1/jobs/{job['id']}/pause", json={"reason": "maintenance"})
    await virtual.pass_time(61)
    assert (await virtual.run(run_id))["status"] == "queued"
    resumed = await virtual.api.post(f"/v1/jobs/{job['id']}/resume")
    assert resumed.json()["paused"] is False
    await virtual.until(run_id, "completed")


async def test_canceling_a_run_frees_its_slot(world: World) -> None:
    world.handlers.script = Gate()
    job = await world.job(max_concurrency=1)
    first, _ = await world.executing(job)
    second = await world.trigger(job)
    await world.api.delete(f"/v1/runs/{first}")
    await world.handlers.wait(1, second)
    await world.until(second, "executing")


async def test_raising_a_limit_starts_what_it_held_back(world: World) -> None:
    world.handlers.script = Gate()
    job = await world.job(max_concurrency=1)
    await world.executing(job)
    second = await world.trigger(job)
    await world.api.patch(f"/v1/jobs/{job['id']}", json={"max_concurrency": 2})
    assert await world.handlers.wait(1, second)

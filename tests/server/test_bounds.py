"""What is too long, too many or out of range is refused, and the answer names it (`runs.md`)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from strait.clock import VirtualClock
from strait.store import workflows
from support.handlers import Gate, Handlers
from support.world import PROJECT, World, world


def told(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    return answer.status_code, "; ".join([error["message"], *error.get("details", ())])


@pytest.fixture
async def handler(world: World) -> tuple[str, httpx.AsyncClient]:
    """The path of a run that is with its handler, and the handler's client."""
    world.handlers.script = Gate()
    run_id, client = await world.executing(await world.job())
    return f"/sdk/v1/runs/{run_id}", client


# ------------------------------------------------------------------------------------------ runs


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("bulk-cancel", {"run_ids": ["r"] * 101}, 422, "run_ids: failed on 'max'"),
        ("bulk-cancel", {"run_ids": []}, 422, "run_ids: failed on 'min'"),
        ("bulk-replay", {"run_ids": ["r"] * 101}, 422, "run_ids: failed on 'max'"),
        ("bulk-dlq-replay", {"run_ids": ["r"] * 501}, 422, "run_ids: failed on 'max'"),
        ("bulk-cancel-all", {"status": "asleep"}, 400, "status is invalid"),
        ("bulk-cancel-all", {}, 400, "at least one filter is required"),
    ],
)
async def test_operations_over_many_runs_say_how_many_and_which(
    world: World, path: str, body: dict[str, Any], status: int, text: str
) -> None:
    found, message = told(await world.api.post(f"/v1/runs/{path}", json=body))
    assert (found, text in message) == (status, True)


@pytest.mark.parametrize(
    ("item", "status", "text"),
    [
        ({"ttl_secs": -1}, 422, "items[1].ttl_secs: failed on 'min'"),
        ({"ttl_secs": 2_592_001}, 422, "items[1].ttl_secs: failed on 'max'"),
        ({"concurrency_key": "k" * 257}, 422, "items[1].concurrency_key: failed on 'max'"),
        ({"idempotency_key": "k" * 257}, 422, "items[1].idempotency_key: failed on 'max'"),
        ({"tags": {"": "x"}}, 400, "item 1: tag keys must be non-empty"),
        ({"scheduled_at": "2001-01-01T00:00:00Z"}, 400, "item 1: scheduled_at must not be in the"),
        ({"payload": {}}, 400, "payload validation failed for item 1: $.n is required"),
    ],
)
async def test_a_bulk_trigger_names_the_item_that_is_wrong(
    world: World, item: dict[str, Any], status: int, text: str
) -> None:
    job = await world.job(payload_schema={"type": "object", "required": ["n"]})
    items = [{"payload": {"n": 1}}, {"payload": {"n": 2}, **item}]
    answer = await world.api.post(f"/v1/jobs/{job['id']}/trigger/bulk", json={"items": items})
    found, message = told(answer)
    assert (found, text in message) == (status, True), message


async def test_a_payload_of_more_than_five_mebibytes_is_refused_however_large_a_body_may_be(
    handlers: Handlers,
) -> None:
    async with world(handlers, max_body_bytes=8 * 1024 * 1024) as roomy:
        job = await roomy.job()
        path = f"/v1/jobs/{job['id']}/trigger"
        most = "x" * (5 * 1024 * 1024 - 2)  # and its two quotes
        assert (await roomy.api.post(path, json={"payload": most})).status_code == 201
        answer = await roomy.api.post(path, json={"payload": most + "x"})
        assert told(answer) == (400, "payload too large (max 5242880 bytes)")


async def test_of_several_mistakes_in_a_trigger_the_first_of_the_contract_is_told(
    world: World,
) -> None:
    job = await world.job()
    body = {"tags": {"": "x"}, "scheduled_at": "2001-01-01T00:00:00Z"}
    answer = await world.api.post(f"/v1/jobs/{job['id']}/trigger", json=body)
    assert told(answer) == (400, "tag keys must be non-empty")


@pytest.mark.parametrize("number", ["x", "-1", "1.5"])
async def test_a_replay_is_told_the_number_of_a_checkpoint(world: World, number: str) -> None:
    run_id = await world.trigger(await world.job())
    answer = await world.api.post(f"/v1/runs/{run_id}/replay?from_checkpoint={number}")
    assert told(answer) == (400, "from_checkpoint must be the number of a checkpoint")


# ------------------------------------------------------------------------------------------ jobs


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"name": ""}, (422, "validation failed; name: failed on 'min'")),
        ({"slug": ""}, (422, "validation failed; slug: failed on 'min'")),
        ({"name": "n" * 256}, (422, "validation failed; name: failed on 'max'")),
        ({"slug": "s" * 129}, (400, "slug too long (max 128 characters)")),
    ],
)
async def test_a_change_leaves_a_job_with_name_and_slug(
    world: World, change: dict[str, str], answer: tuple[int, str]
) -> None:
    job = await world.job()
    assert told(await world.api.patch(f"/v1/jobs/{job['id']}", json=change)) == answer
    assert (await world.api.get(f"/v1/jobs/{job['id']}")).json() == job


@pytest.mark.parametrize("field", ["cron", "execution_window_cron"])
async def test_a_schedule_in_a_time_zone_that_does_not_exist_is_refused(
    world: World, field: str
) -> None:
    path = f"/v1/jobs/{(await world.job())['id']}"
    body = {field: "* * * * *", "timezone": "Mars/Olympus"}
    why = "`Mars/Olympus` is not a zone of the IANA database, like `Europe/Berlin`"
    assert told(await world.api.patch(path, json=body)) == (400, f"invalid timezone; {why}")


async def test_the_reason_of_a_pause_is_bounded(world: World) -> None:
    path = f"/v1/jobs/{(await world.job())['id']}/pause"
    answer = await world.api.post(path, json={"reason": "r" * 501})
    assert told(answer) == (400, "reason must be at most 500 characters")
    paused = await world.api.post(path, json={"reason": "r" * 500})
    assert paused.json()["pause_reason"] == "r" * 500


async def test_batches_of_jobs_are_bounded(world: World) -> None:
    fields = {"project_id": PROJECT, "name": "n", "endpoint_url": world.handlers.url}
    many = [{**fields, "slug": f"s{number}"} for number in range(51)]
    answer = await world.api.post("/v1/jobs/batch", json={"jobs": many})
    assert told(answer) == (400, "too many jobs (max 50)")
    for path in ("batch-enable", "batch-disable"):
        answer = await world.api.post(f"/v1/jobs/{path}", json={"ids": ["j"] * 51})
        assert told(answer) == (400, "too many ids (max 50)")


async def test_a_dependency_has_a_condition_that_can_come_true(world: World) -> None:
    one, other = await world.job(), await world.job()
    body = {"depends_on_job_id": other["id"], "condition": "finished"}
    answer = await world.api.post(f"/v1/jobs/{one['id']}/dependencies", json=body)
    assert told(answer) == (400, "condition must be completed, failed or any")


async def test_an_empty_list_is_a_list(world: World) -> None:
    job = await world.job()
    for path in (f"/v1/jobs/{job['id']}/dependencies", "/v1/batch-operations"):
        assert (await world.api.get(path)).json() == {"data": [], "has_more": False}


async def test_a_job_that_a_workflow_runs_is_not_deleted(world: World) -> None:
    job, undo = await world.job(), await world.job()
    step = {"step_ref": "a", "job_id": job["id"], "compensation_job_id": undo["id"]}
    body = {"project_id": PROJECT, "name": "Flow", "slug": "flow", "steps": [step]}
    workflow = (await world.api.post("/v1/workflows", json=body)).json()
    for used in (job, undo):
        answer = await world.api.delete(f"/v1/jobs/{used['id']}")
        assert told(answer) == (409, "job is a step of workflow 'flow'; change that first")
    reader = world.platform.reader
    assert workflows.naming_job(reader, "another project", job["id"]) == []
    assert (await world.api.delete(f"/v1/workflows/{workflow['id']}")).status_code < 300
    assert (await world.api.delete(f"/v1/jobs/{job['id']}")).status_code == 204


# ---------------------------------------------------------------------------------- keys, events


@pytest.mark.parametrize("minutes", [-1, 10_081])
async def test_a_grace_period_is_a_week_at_most(world: World, minutes: int) -> None:
    body = {"project_id": PROJECT, "name": "k", "scopes": ["*"], "expires_in_days": 1}
    key = (await world.api.post("/v1/api-keys", json=body)).json()
    path = f"/v1/api-keys/{key['id']}/rotate"
    answer = await world.api.post(path, json={"grace_period_minutes": minutes})
    assert told(answer) == (400, "grace_period_minutes must be between 0 and 10080")
    assert (await world.api.post(path, json={"grace_period_minutes": 10_080})).status_code == 201


@pytest.mark.parametrize("days", [None, 0, -1, 36_501])
async def test_a_purge_of_waits_says_how_old_they_are(world: World, days: int | None) -> None:
    body = {} if days is None else {"older_than_days": days}
    answer = await world.api.post("/v1/events/purge", json=body)
    assert told(answer) == (400, "older_than_days must be between 1 and 36500")


# ---------------------------------------------------------------------------------------- handlers


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("resources", {"memory_mb": -1}, 400, "memory_mb must not be negative"),
        ("resources", {"cpu_percent": 101}, 400, "cpu_percent must be between 0 and 100"),
        ("resources", {"memory_percent": -1}, 400, "memory_percent must be between 0 and 100"),
        ("memory/k", {"value": 1, "ttl_secs": -1}, 400, "ttl_secs must be between 0 and"),
        ("memory/" + "k" * 257, {"value": 1}, 400, "memory key must be at most 256 characters"),
        ("state", {"key": "k" * 257, "value": 1}, 400, "state key must be at most 256"),
        ("state", {"key": "k", "value": "ü" * 32_768}, 400, "must be at most 65536 bytes"),
        ("progress", {"message": "m", "percent": 101}, 422, "percent: failed on 'max'"),
        ("annotate", {"annotations": {}}, 422, "annotations: failed on 'required'"),
        ("annotate", {"annotations": {str(n): "" for n in range(51)}}, 400, "1 to 50 entries"),
        ("annotate", {"annotations": {"k" * 129: ""}}, 400, "at most 128 characters"),
        ("annotate", {"annotations": {"k": "v" * 1_025}}, 400, "at most 1024 characters"),
        ("usage", {"provider": "p"}, 422, "model: failed on 'required'"),
        ("iteration", {"iteration": 0}, 422, "iteration: failed on 'required'"),
    ],
)
async def test_what_a_handler_writes_is_bounded(
    handler: tuple[str, httpx.AsyncClient], path: str, body: dict[str, Any], status: int, text: str
) -> None:
    found, message = told(await handler[1].post(f"{handler[0]}/{path}", json=body))
    assert (found, text in message) == (status, True), message


async def test_a_result_is_measured_in_bytes(handlers: Handlers) -> None:
    async with world(handlers, max_body_bytes=4 * 1024 * 1024) as roomy:
        handlers.script = Gate()
        run_id, client = await roomy.executing(await roomy.job())
        path = f"/sdk/v1/runs/{run_id}/complete"
        mebibyte = 1024 * 1024
        answer = await client.post(path, json={"result": "ü" * (mebibyte // 2)})
        assert answer.status_code == 413
        most = "ü" * (mebibyte // 2 - 1)
        answer = await client.post(path, content=f'{{"result":"{most}"}}'.encode())
        assert answer.json()["result"] == most


async def test_memory_that_is_over_makes_room(handlers: Handlers) -> None:
    async with world(handlers, clock=VirtualClock()) as virtual:
        handlers.script = Gate()
        run_id, client = await virtual.executing(await virtual.job(timeout_secs=3600))
        path = f"/sdk/v1/runs/{run_id}/memory"
        big = {"value": "x" * 1_000_000, "ttl_secs": 60}
        answers = [await client.post(f"{path}/{number}", json=big) for number in range(11)]
        assert [answer.status_code for answer in answers] == [201] * 10 + [400]
        await virtual.pass_time(61)
        assert (await client.post(f"{path}/again", json=big)).status_code == 201
        kept = virtual.platform.reader.execute("SELECT memory_key FROM job_memory").fetchall()
        assert kept == [("again",)], "what is over is gone from the disk"

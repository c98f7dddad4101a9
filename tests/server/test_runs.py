"""What can be done with runs, and how they are read (`contract/runs.md` §6.6-6.8)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from strait.clock import SECOND, from_timestamp
from support.handlers import Answer, Gate, ok
from support.world import PROJECT, World


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["message"])


async def rows(world: World, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = await world.api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


# -------------------------------------------------------------------------------- cancel and pause


async def test_a_canceled_run_ends_its_call_and_refuses_its_handler(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    canceled = await world.api.delete(f"/v1/runs/{run_id}")
    assert canceled.status_code == 200
    assert (canceled.json()["status"], canceled.json()["error"]) == ("canceled", "canceled by user")
    late = await handler.post(f"/sdk/v1/runs/{run_id}/complete", json={"result": 1})
    assert told(late) == (410, "run has reached a terminal state")
    assert told(await world.api.delete(f"/v1/runs/{run_id}")) == (
        400,
        "run already in terminal state",
    )


async def test_canceling_a_run_cancels_all_below_it(world: World) -> None:
    world.handlers.script = Gate()
    job, child_job = await world.job(), await world.job()
    parent, handler = await world.executing(job)
    child = await spawn(handler, parent, child_job)
    (call,) = await world.handlers.wait(1, child)
    grandchild = await spawn(world.handler(call.token), child, child_job)
    await world.api.delete(f"/v1/runs/{parent}")
    for run_id in (child, grandchild):
        run = await world.until(run_id, "canceled")
        assert run["error"] == "parent run canceled"


async def spawn(handler: httpx.AsyncClient, parent: str, job: dict[str, Any]) -> str:
    answer = await handler.post(
        f"/sdk/v1/runs/{parent}/spawn", json={"job_slug": job["slug"], "project_id": "proj-1"}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_paused_run_drops_the_answer_and_goes_on_as_the_same_attempt(world: World) -> None:
    gate = Gate(ok("old"))
    world.handlers.script = gate
    run_id, handler = await world.executing(await world.job())
    assert (await world.api.post(f"/v1/runs/{run_id}/pause")).json()["status"] == "paused"
    gate.open()
    late = await handler.post(f"/sdk/v1/runs/{run_id}/log", json={"message": "still here"})
    assert told(late) == (409, "run is not active for this SDK token")
    world.handlers.script = lambda call: ok("new")
    assert (await world.api.post(f"/v1/runs/{run_id}/resume")).status_code == 200
    run = await world.until(run_id, "completed")
    assert (run["attempt"], run["result"]) == (1, "new")


async def test_a_restarted_run_is_dispatched_again_and_the_old_handler_is_refused(
    world: World,
) -> None:
    world.handlers.script = Gate()
    run_id, old = await world.executing(await world.job())
    world.handlers.script = lambda call: ok("second")
    assert (await world.api.post(f"/v1/runs/{run_id}/restart")).status_code == 200
    run = await world.until(run_id, "completed")
    assert (run["attempt"], run["result"]) == (1, "second")
    assert (await old.post(f"/sdk/v1/runs/{run_id}/heartbeat")).status_code == 410


@pytest.mark.parametrize(
    ("operation", "status", "text"),
    [
        ("pause", 400, "run must be in executing state to pause"),
        ("resume", 400, "run is not paused"),
        ("restart", 400, "run must be in executing or paused state to restart"),
        ("replay", 400, "run is not replayable"),
        ("dlq-replay", 409, "run is not in dead_letter status"),
    ],
)
async def test_operations_that_do_not_fit_the_status_are_refused(
    world: World, operation: str, status: int, text: str
) -> None:
    run_id = await world.trigger(await world.job())
    await world.until(run_id, "completed")
    assert told(await world.api.post(f"/v1/runs/{run_id}/{operation}")) == (status, text)


async def test_many_runs_are_canceled_with_an_outcome_each(world: World) -> None:
    world.handlers.script = Gate()
    first, _ = await world.executing(await world.job())
    answer = await world.api.post("/v1/runs/bulk-cancel", json={"run_ids": [first, "none", first]})
    body = answer.json()
    assert (body["total"], body["canceled"], body["failed"]) == (3, 1, 2)
    assert [row["status"] for row in body["results"]] == ["canceled", "failed", "failed"]
    assert body["results"][1]["error"] == "run not found"


async def test_all_runs_of_a_job_are_canceled(world: World) -> None:
    world.handlers.script = Gate()
    job, other = await world.job(max_concurrency=1), await world.job()
    ids = {(await world.executing(job))[0], await world.trigger(job)}
    kept, _ = await world.executing(other)
    assert (await world.api.post("/v1/runs/bulk-cancel-all", json={})).status_code == 400
    answer = await world.api.post("/v1/runs/bulk-cancel-all", json={"job_id": job["id"]})
    assert answer.json()["canceled"] == 2
    assert set(answer.json()["run_ids"]) == ids
    assert (await world.run(kept))["status"] == "executing"


async def test_very_many_runs_are_canceled_in_parts_and_none_of_them_starts_meanwhile(
    world: World,
) -> None:
    world.handlers.script = Gate()
    job, other = await world.job(max_concurrency=1), await world.job()
    first = await world.trigger(job)
    await world.handlers.wait(1, first)
    path = f"/v1/jobs/{job['id']}/trigger/bulk"
    for _ in range(3):
        assert (await world.api.post(path, json={"items": [{}] * 300})).status_code == 201
    spared = await world.trigger(other)
    answer = await world.api.post("/v1/runs/bulk-cancel-all", json={"job_id": job["id"]})
    assert answer.json()["canceled"] == 901
    assert answer.json()["run_ids"][-1] == first
    assert {call.run_id for call in world.handlers.received} == {first, spared}
    assert (await world.run(first))["status"] == "canceled"
    assert (await world.api.get("/v1/stats")).json()["queued"] == 0


# ----------------------------------------------------------------------------------------- replay


async def failed(world: World, job: dict[str, Any], payload: object = None) -> str:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(job, payload)
    await handler.post(f"/sdk/v1/runs/{run_id}/checkpoint", json={"state": {"at": 7}})
    await handler.post(f"/sdk/v1/runs/{run_id}/fail", json={"error": "broken"})
    world.handlers.script = lambda call: ok("again")
    return run_id


async def test_a_failed_run_is_replayed_as_a_new_one(world: World) -> None:
    run_id = await failed(world, await world.job(), {"n": 1})
    answer = await world.api.post(f"/v1/runs/{run_id}/replay")
    assert answer.status_code == 201
    run = await world.until(answer.json()["id"], "completed")
    assert (run["payload"], run["replayed_run_id"]) == ({"n": 1}, run_id)
    assert (await world.run(run_id))["status"] == "failed"


async def test_a_replay_may_start_from_a_checkpoint(world: World) -> None:
    run_id = await failed(world, await world.job(), {"n": 1})
    answer = await world.api.post(f"/v1/runs/{run_id}/replay?from_checkpoint=1")
    run = await world.until(answer.json()["id"], "completed")
    assert (run["payload"], run["debug_mode"]) == ({"at": 7}, True)
    missing = await world.api.post(f"/v1/runs/{run_id}/replay?from_checkpoint=9")
    assert missing.status_code == 404


async def test_many_runs_are_replayed_with_an_outcome_each(world: World) -> None:
    job = await world.job()
    run_id = await failed(world, job)
    fine = await world.trigger(job)
    await world.until(fine, "completed")
    named = [run_id, fine, "none", run_id]
    answer = await world.api.post("/v1/runs/bulk-replay", json={"run_ids": named})
    rows = answer.json()["results"]
    assert [row["status"] for row in rows] == ["replayed", "skipped", "failed", "skipped"]
    assert rows[3]["error"] == "run is named twice"
    assert (answer.json()["total"], answer.json()["replayed"]) == (4, 1)


async def test_dead_letters_are_replayed_by_id_or_by_project(world: World) -> None:
    world.handlers.script = lambda call: Answer(400)
    job = await world.job()
    ids = [await world.trigger(job) for _ in range(3)]
    for run_id in ids:
        await world.until(run_id, "dead_letter")
    world.handlers.script = lambda call: ok()
    path = "/v1/runs/bulk-dlq-replay"
    for body, status in (
        ({}, 422),
        ({"run_ids": ids, "project_id": "proj-1"}, 422),
        ({"project_id": "proj-2"}, 403),
    ):
        assert (await world.api.post(path, json=body)).status_code == status
    one = await world.api.post(path, json={"run_ids": ids[:1]})
    assert (one.status_code, one.json()["count"]) == (200, 1)
    rest = await world.api.post(path, json={"project_id": "proj-1"})
    assert rest.json()["count"] == 2
    assert (await world.api.post(path, json={"project_id": "proj-1"})).status_code == 409
    for run_id in ids:
        await world.until(run_id, "completed")


# -------------------------------------------------------------------------------------- listings


async def test_a_run_is_shown_from_its_trigger_to_its_end(virtual: World) -> None:
    job = await virtual.job(tags={"team": "a"})
    virtual.handlers.script = gate = Gate(ok({"total": 7}))
    run_id, _ = await virtual.executing(job, {"n": 1})
    executing = await virtual.run(run_id)
    expected = {
        "id": run_id, "job_id": job["id"], "project_id": PROJECT, "status": "executing",
        "attempt": 1, "payload": {"n": 1}, "triggered_by": "manual", "tags": {"team": "a"},
        "priority": 0, "job_version": 1, "job_version_id": job["version_id"],
    }  # fmt: skip
    assert {name: executing[name] for name in expected} == expected
    assert executing["created_by"].startswith("apikey:")
    assert not {"finished_at", "result", "error"} & set(executing)
    await virtual.pass_time(90)
    gate.open()
    ended = await virtual.until(run_id, "completed")
    assert {**executing, "status": "completed"}.items() <= {
        **ended, "heartbeat_at": executing["heartbeat_at"]
    }.items()  # fmt: skip
    assert ended["result"] == {"total": 7}
    took = from_timestamp(ended["finished_at"]) - from_timestamp(ended["started_at"])
    assert took // SECOND in {89, 90}
    stranger = virtual.client(await virtual.key_for("*", project="proj-2"))
    for answer in (
        await stranger.get(f"/v1/runs/{run_id}"),
        await virtual.api.get("/v1/runs/unknown"),
    ):
        assert told(answer) == (404, "run not found")


async def test_runs_are_listed_newest_first_and_no_page_loses_one(world: World) -> None:
    job = await world.job()
    items = [{"payload": {"n": n}} for n in range(25)]
    made = await world.api.post(f"/v1/jobs/{job['id']}/trigger/bulk", json={"items": items})
    ids = [row["id"] for row in made.json()["results"]]
    seen, cursor = [], ""
    while True:
        query = {"limit": "10", **({"cursor": cursor} if cursor else {})}
        page = (await world.api.get("/v1/runs", params=query)).json()
        seen += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            assert "next_cursor" not in page
            break
        cursor = page["next_cursor"]
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"limit": "0"}, "limit must be a positive integer"),
        ({"limit": "-3"}, "limit must be a positive integer"),
        ({"limit": "many"}, "limit must be a positive integer"),
        ({"cursor": "abc"}, "invalid cursor format"),
        ({"cursor": "2026-01-01"}, "invalid cursor format"),
        ({"status": "flying"}, "status is invalid"),
        ({"payload_contains": "{"}, "payload_contains must be valid JSON"),
        ({"payload_contains": "[1e999]"}, "payload_contains must be valid JSON"),
        ({"payload_contains": "NaN"}, "payload_contains must be valid JSON"),
        ({"tag_value": "x"}, "tag_key is required when tag_value is provided"),
    ],
)
async def test_wrong_queries_are_told(world: World, query: dict[str, str], text: str) -> None:
    assert told(await world.api.get("/v1/runs", params=query)) == (400, text)


async def test_a_limit_over_a_hundred_is_a_hundred(world: World) -> None:
    job = await world.job()
    await world.api.post(f"/v1/jobs/{job['id']}/trigger/bulk", json={"items": [{}] * 101})
    page = (await world.api.get("/v1/runs?limit=5000")).json()
    assert (len(page["data"]), page["has_more"]) == (100, True)


async def test_runs_are_found_by_what_they_are(world: World) -> None:
    job = await world.job()
    tagged = await world.trigger(job, {"order": {"id": 7, "lines": [1, 2]}}, tags={"team": "x"})
    other = await world.trigger(job, {"order": {"id": 8}})
    for run_id in (tagged, other):
        await world.until(run_id, "completed")

    async def found(**query: Any) -> set[str]:
        return {row["id"] for row in await rows(world, "/v1/runs", **query)}

    assert await found(tag_key="team", tag_value="x") == {tagged}
    assert await found(tag_key="team") == {tagged}
    assert await found(payload_contains='{"order":{"id":7}}') == {tagged}
    assert await found(payload_contains='{"order":{"lines":[2]}}') == {tagged}
    assert await found(status="completed") == {tagged, other}
    assert await found(statuses=["failed", "canceled"]) == set()
    assert await found(triggered_by="manual") == {tagged, other}
    assert await found(triggered_by="cron") == set()


async def test_the_history_of_a_run_pages_without_losing_or_repeating_a_line(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    for n in range(7):
        await handler.post(f"/sdk/v1/runs/{run_id}/log", json={"message": f"line {n}"})
    await world.api.delete(f"/v1/runs/{run_id}")
    whole = await rows(world, f"/v1/runs/{run_id}/events")
    assert [row["message"] for row in whole if row["type"] == "log"] == [
        f"line {n}" for n in range(7)
    ]
    seen: list[str] = []
    cursor = ""
    for _ in range(20):
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await world.api.get(f"/v1/runs/{run_id}/events", params=query)).json()
        seen += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]
    assert seen == [row["id"] for row in whole]


async def test_the_history_is_found_by_level_type_and_instant(world: World) -> None:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    await handler.post(
        f"/sdk/v1/runs/{run_id}/log", json={"message": "careful", "level": "warn", "type": "audit"}
    )
    path = f"/v1/runs/{run_id}/events"
    assert [row["message"] for row in await rows(world, path, level="warn")] == ["careful"]
    assert [row["message"] for row in await rows(world, path, type="audit")] == ["careful"]
    whole = await rows(world, path)
    later = await rows(world, path, cursor=whole[-1]["created_at"])
    assert later == []


async def test_a_debug_bundle_has_all_there_is(world: World) -> None:
    run_id = await failed(world, await world.job())
    bundle = (await world.api.get(f"/v1/runs/{run_id}/debug-bundle")).json()
    assert bundle["run"]["error"] == "broken"
    assert [row["state"] for row in bundle["checkpoints"]] == [{"at": 7}]
    assert bundle["events"][-1]["data"]["to"] == "failed"
    assert (bundle["outputs"], bundle["resource_snapshots"]) == ([], [])


async def test_the_debug_mark_can_be_switched(world: World) -> None:
    run_id = await world.trigger(await world.job())
    assert (await world.run(run_id))["debug_mode"] is False
    path = f"/v1/runs/{run_id}/debug"
    for switched in (True, False):
        answer = await world.api.post(path, json={"debug_mode": switched})
        assert answer.json() == {"status": "ok"}
        assert (await world.run(run_id))["debug_mode"] is switched
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert told(await stranger.post(path, json={"debug_mode": True})) == (404, "run not found")
    reader = world.client(await world.key_for("runs:read"))
    assert (await reader.post(path, json={"debug_mode": True})).status_code == 403
    assert (await world.run(run_id))["debug_mode"] is False

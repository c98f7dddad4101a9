"""Triggers that become one run; runs that start or wait for others (`runs.md` §3.5, §6.9-10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.handlers import Answer, ok
from support.workflows import told

if TYPE_CHECKING:
    from support.handlers import Handlers
    from support.world import World


async def post(world: World, job: dict[str, Any], payload: object, **fields: Any) -> dict[str, Any]:
    body = {"payload": payload, **fields}
    answer = await world.api.post(f"/v1/jobs/{job['id']}/trigger", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def runs_of(world: World, job: dict[str, Any]) -> list[dict[str, Any]]:
    found = (await world.api.get("/v1/runs?limit=100")).json()["data"]
    return [run for run in reversed(found) if run["job_id"] == job["id"]]


# --------------------------------------------------------------------------------------- windows


async def test_an_equal_payload_within_the_window_gives_the_same_run(virtual: World) -> None:
    job = await virtual.job(dedup_window_secs=60)
    first = await post(virtual, job, {"b": 1, "a": 2})
    assert (await post(virtual, job, {"a": 2, "b": 1}))["id"] == first["id"]
    assert (await post(virtual, job, {"a": 3}))["id"] != first["id"]
    await virtual.pass_time(61)
    assert (await post(virtual, job, {"a": 2, "b": 1}))["id"] != first["id"]


async def test_a_trigger_that_makes_no_run_is_not_held_to_the_rate_of_the_job(
    virtual: World,
) -> None:
    limits = {"rate_limit_max": 1, "rate_limit_window_secs": 60}
    job = await virtual.job(dedup_window_secs=60, **limits)
    first = await post(virtual, job, {"n": 1})
    assert (await post(virtual, job, {"n": 1}))["id"] == first["id"]
    other = await virtual.api.post(f"/v1/jobs/{job['id']}/trigger", json={"payload": {"n": 2}})
    assert (other.status_code, other.headers["retry-after"]) == (429, "5")


async def test_the_last_of_debounced_triggers_runs_when_no_other_came_for_a_while(
    virtual: World,
) -> None:
    job = await virtual.job(debounce_window_secs=10)
    assert (await post(virtual, job, {"n": 1}, debounce_key="a"))["debounced"] is True
    await virtual.pass_time(8)
    await post(virtual, job, {"n": 2}, debounce_key="a")
    await post(virtual, job, {"n": 3}, debounce_key="b")
    await virtual.pass_time(8)
    assert await runs_of(virtual, job) == []
    await virtual.pass_time(3)
    runs = await runs_of(virtual, job)
    assert [run["payload"] for run in runs] == [{"n": 2}, {"n": 3}]
    assert {run["triggered_by"] for run in runs} == {"debounce"}


async def test_a_debounced_trigger_is_put_off_to_where_it_says(virtual: World) -> None:
    job = await virtual.job(debounce_window_secs=10)
    await post(virtual, job, {"n": 1}, scheduled_at="2026-01-01T00:10:00Z")
    await post(virtual, job, {"n": 2}, scheduled_at="2026-01-01T00:20:00Z")
    await virtual.pass_time(15 * 60)
    (run,) = await runs_of(virtual, job)
    assert (run["status"], run["scheduled_at"]) == ("delayed", "2026-01-01T00:20:00.000000Z")
    await virtual.pass_time(6 * 60)
    (run,) = await runs_of(virtual, job)
    assert (run["status"], run["payload"]) == ("completed", {"n": 2})


async def test_a_debounced_trigger_of_a_paused_job_is_dropped(virtual: World) -> None:
    job = await virtual.job(debounce_window_secs=10)
    await post(virtual, job, {"n": 1})
    assert (await virtual.api.post(f"/v1/jobs/{job['id']}/pause", json={})).status_code == 200
    await virtual.pass_time(20)
    assert await runs_of(virtual, job) == []


async def test_a_batch_of_a_job_that_is_paused_meanwhile_is_held_and_not_lost(
    virtual: World,
) -> None:
    job = await virtual.job(batch_window_secs=10)
    for number in (1, 2):
        assert await post(virtual, job, number) == {"buffered": True}
    assert (await virtual.api.post(f"/v1/jobs/{job['id']}/pause", json={})).status_code == 200
    await virtual.pass_time(20)
    (run,) = await runs_of(virtual, job)
    assert (run["status"], run["payload"]) == ("queued", {"items": [1, 2]})
    assert (await virtual.api.post(f"/v1/jobs/{job['id']}/resume", json={})).status_code == 200
    await virtual.until(run["id"], "completed")


async def test_a_batch_runs_at_once_when_it_is_full(virtual: World) -> None:
    job = await virtual.job(batch_window_secs=60, batch_max_size=3)
    assert await post(virtual, job, {"n": 1}) == {"buffered": True}
    assert await post(virtual, job, {"n": 2}) == {"buffered": True}
    third = await post(virtual, job, {"n": 3})
    assert third["batch"] is True
    run = await virtual.run(third["id"])
    assert run["payload"] == {"items": [{"n": 1}, {"n": 2}, {"n": 3}]}
    assert run["triggered_by"] == "batch"


@pytest.mark.parametrize("field", ["batch_window_secs", "debounce_window_secs"])
async def test_a_trigger_that_is_repeated_under_its_key_is_buffered_once(
    virtual: World, field: str
) -> None:
    job = await virtual.job(**{field: 60})
    path, key = f"/v1/jobs/{job['id']}/trigger", {"Idempotency-Key": "k"}
    first = await virtual.api.post(path, json={"payload": 1}, headers=key)
    await virtual.pass_time(30)
    again = await virtual.api.post(path, json={"payload": 1}, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    await virtual.pass_time(31)
    (run,) = await runs_of(virtual, job)
    assert run["payload"] == (1 if field == "debounce_window_secs" else {"items": [1]})


async def test_a_batch_runs_when_its_oldest_item_has_waited_long_enough(virtual: World) -> None:
    job = await virtual.job(batch_window_secs=60, batch_max_size=100)
    await post(virtual, job, {"n": 1}, batch_key="a")
    await virtual.pass_time(40)
    await post(virtual, job, {"n": 2}, batch_key="a")
    await virtual.pass_time(21)
    (run,) = await runs_of(virtual, job)
    assert run["payload"] == {"items": [{"n": 1}, {"n": 2}]}


# ---------------------------------------------------------------------------------------- chains


async def test_a_completed_run_hands_its_result_to_the_next_job(
    world: World, handlers: Handlers
) -> None:
    nxt = await world.job()
    job = await world.job(
        on_complete_trigger_job=nxt["slug"],
        on_complete_payload_mapping={"order": "order.id", "none": "order.missing"},
    )
    handlers.script = lambda _: ok({"order": {"id": 7}})
    run_id = await world.trigger(job)
    await world.until(run_id, "completed")
    (chained,) = await runs_of(world, nxt)
    assert chained["payload"] == {"order": 7}
    assert (chained["triggered_by"], chained["parent_run_id"]) == ("job_chain", run_id)
    assert chained["tags"] == {"source_job_id": job["id"], "source_run_id": run_id}
    assert chained["lineage_depth"] == 1


async def test_a_run_that_failed_for_good_starts_what_handles_failures(
    world: World, handlers: Handlers
) -> None:
    rescue = await world.job()
    job = await world.job(max_attempts=1, on_failure_trigger_job=rescue["slug"])
    handlers.script = lambda _: Answer(500)
    run_id = await world.trigger(job, {"n": 1})
    await world.until(run_id, "dead_letter")
    (started,) = await runs_of(world, rescue)
    assert started["triggered_by"] == "job_failure"
    assert started["payload"]["original_input"] == {"n": 1}
    assert started["payload"]["status"] == "dead_letter"


async def test_a_chain_without_an_end_stops_after_ten_runs(world: World) -> None:
    job = await world.job(slug="circle", on_complete_trigger_job="circle")
    first = await world.trigger(job)
    await world.until(first, "completed")
    runs = await runs_of(world, job)
    while len(runs) < 11 or runs[-1]["status"] != "completed":
        await world.until(runs[-1]["id"], "completed")
        runs = await runs_of(world, job)
    await world.settled()
    assert len(await runs_of(world, job)) == 11


async def test_a_run_says_when_what_comes_next_is_not_there(world: World) -> None:
    job = await world.job(on_complete_trigger_job="nobody")
    run_id = await world.trigger(job)
    await world.until(run_id, "completed")
    events = (await world.api.get(f"/v1/runs/{run_id}/events?type=chain")).json()["data"]
    assert [event["message"] for event in events] == [
        "job `nobody` was not started: there is no such job"
    ]


# ---------------------------------------------------------------------------------- dependencies


async def depends(world: World, job: dict[str, Any], on: dict[str, Any], **fields: Any) -> int:
    body = {"depends_on_job_id": on["id"], **fields}
    answer = await world.api.post(f"/v1/jobs/{job['id']}/dependencies", json=body)
    return answer.status_code


async def test_a_run_waits_until_what_it_depends_on_has_completed(world: World) -> None:
    first, second = await world.job(), await world.job()
    assert await depends(world, second, first) == 201
    held = await world.trigger(second)
    assert (await world.run(held))["status"] == "waiting"
    status = (await world.api.get(f"/v1/runs/{held}/dependency-status")).json()
    assert status["dependencies_satisfied"] is False

    await world.trigger(first)
    assert (await world.until(held, "completed"))["attempt"] == 1
    later = await world.trigger(second)
    assert (await world.until(later, "completed"))["status"] == "completed"


@pytest.mark.parametrize(
    ("condition", "runs"), [("completed", False), ("failed", True), ("any", True)]
)
async def test_the_condition_of_a_dependency_decides(
    world: World, handlers: Handlers, condition: str, runs: bool
) -> None:
    first, second = await world.job(max_attempts=1), await world.job("second")
    assert await depends(world, second, first, condition=condition) == 201
    held = await world.trigger(second)
    handlers.script = lambda _: Answer(500)
    handlers.scripts["/second"] = lambda _: ok()
    await world.until(await world.trigger(first), "dead_letter")
    if runs:
        await world.until(held, "completed")
    else:
        await world.settled()
        assert (await world.run(held))["status"] == "waiting"


async def test_jobs_cannot_depend_on_each_other_in_a_circle(world: World) -> None:
    first, second, third = [await world.job() for _ in range(3)]
    assert await depends(world, first, first) == 400
    assert await depends(world, second, first) == 201
    assert await depends(world, second, first) == 409
    assert await depends(world, third, second) == 201
    assert await depends(world, first, third) == 400


async def test_the_dependencies_of_a_job_are_listed_and_each_is_there_once(world: World) -> None:
    job, one, two = await world.job(), await world.job(), await world.job()
    path = f"/v1/jobs/{job['id']}/dependencies"
    made = []
    for other, condition in ((one, "completed"), (two, "any")):
        body = {"depends_on_job_id": other["id"], "condition": condition}
        answer = await world.api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        made.append(answer.json())
    assert [(row["depends_on_job_id"], row["condition"]) for row in made] == [
        (one["id"], "completed"), (two["id"], "any"),
    ]  # fmt: skip
    listed = (await world.api.get(path)).json()["data"]
    assert sorted(listed, key=str) == sorted(made, key=str)
    twice = await world.api.post(path, json={"depends_on_job_id": one["id"]})
    assert told(twice) == (409, "the job depends on that job already")
    unknown = await world.api.post(path, json={"depends_on_job_id": "unknown"})
    assert told(unknown) == (404, "dependency job not found")
    stranger = world.client(await world.key_for("*", project="proj-2"))
    for answer in (
        await stranger.get(path),
        await stranger.post(path, json={"depends_on_job_id": one["id"]}),
        await stranger.delete(f"{path}/{made[0]['id']}"),
    ):
        assert told(answer) == (404, "job not found")
    of_another = await world.api.delete(f"/v1/jobs/{one['id']}/dependencies/{made[0]['id']}")
    assert of_another.status_code == 404
    assert (await world.api.delete(f"{path}/{made[0]['id']}")).status_code == 204
    assert (await world.api.get(path)).json()["data"] == made[1:]


async def test_a_dependency_that_is_deleted_holds_nobody_back(world: World) -> None:
    first, second = await world.job(), await world.job()
    assert await depends(world, second, first) == 201
    (found,) = (await world.api.get(f"/v1/jobs/{second['id']}/dependencies")).json()["data"]
    path = f"/v1/jobs/{second['id']}/dependencies/{found['id']}"
    assert (await world.api.delete(path)).status_code == 204
    assert (await world.api.delete(path)).status_code == 404
    await world.until(await world.trigger(second), "completed")


@pytest.mark.parametrize("ends", ["dependency", "job"])
async def test_runs_that_are_held_back_start_when_what_holds_them_is_deleted(
    world: World, ends: str
) -> None:
    first, second = await world.job(), await world.job()
    path = f"/v1/jobs/{second['id']}/dependencies"
    made = (await world.api.post(path, json={"depends_on_job_id": first["id"]})).json()
    held = (await post(world, second, {}))["id"]
    assert (await world.run(held))["status"] == "waiting"
    gone = f"{path}/{made['id']}" if ends == "dependency" else f"/v1/jobs/{first['id']}"
    assert (await world.api.delete(gone)).status_code == 204
    assert (await world.until(held, "completed"))["attempt"] == 1


async def test_a_run_waits_for_the_run_of_its_own_key_where_it_has_one(
    world: World, handlers: Handlers
) -> None:
    first, second = await world.job(), await world.job("second")
    assert await depends(world, second, first) == 201
    for keys in ({"key": "a"}, {"payload": {"dependency_key": "a"}}):
        held = await world.trigger(second, **keys)
        await world.until(await world.trigger(first, {"dependency_key": "b"}, key="b"), "completed")
        await world.settled()
        assert (await world.run(held))["status"] == "waiting"
        await world.trigger(first, **keys)
        await world.until(held, "completed")
        await world.api.delete(f"/v1/runs/{held}/idempotency-key")

"""What undoes a run: nothing follows from it, and nothing keeps it from its work."""

from __future__ import annotations

from typing import Any

import httpx

from strait.reserved import step_key
from support.handlers import Answer, Gate, ok
from support.world import World

RESERVED = {
    "name": "reserve",
    "occurrence": 0,
    "status": "completed",
    "output": 1,
    "started_at": "2026-01-01T00:00:00Z",
    "finished_at": "2026-01-01T00:00:01Z",
    "attempts": 1,
    "undo": True,
}
NO = Answer(404, b"no")


async def reserve(handler: httpx.AsyncClient, run_id: str) -> None:
    body = {"key": step_key("reserve", 0), "value": RESERVED}
    answer = await handler.post(f"/sdk/v1/runs/{run_id}/state", json=body)
    assert answer.status_code == 201, answer.text


async def reserved(world: World, job: dict[str, Any], **fields: Any) -> tuple[str, Gate]:
    """A run that has done something, and fails for good once its gate is opened."""
    gate = world.handlers.script = Gate(NO)
    run_id = await world.trigger(job, **fields)
    (call,) = await world.handlers.wait(1, run_id)
    await world.until(run_id, "executing")
    await reserve(world.handler(call.token), run_id)
    return run_id, gate


async def companions(world: World, run_id: str) -> list[dict[str, Any]]:
    rows = (await world.api.get(f"/v1/runs/{run_id}/children")).json()["data"]
    return [row for row in rows if row["triggered_by"] == "undo"]


async def depends(world: World, job: dict[str, Any], on: dict[str, Any]) -> None:
    body = {"depends_on_job_id": on["id"], "condition": "completed"}
    answer = await world.api.post(f"/v1/jobs/{job['id']}/dependencies", json=body)
    assert answer.status_code == 201, answer.text


async def test_no_job_follows_and_no_dependent_starts_when_a_run_was_undone(
    virtual: World,
) -> None:
    virtual.handlers.scripts["/next"] = lambda call: ok(1)
    after, dependent = await virtual.job("next"), await virtual.job("next")
    job = await virtual.job(on_complete_trigger_job=after["slug"])
    await depends(virtual, dependent, job)
    run_id, gate = await reserved(virtual, job, priority=3)
    held = await virtual.trigger(dependent)
    virtual.handlers.script = lambda call: ok({"undone": ["reserve"]})
    gate.open()
    await virtual.until(run_id, "dead_letter")
    (companion,) = await companions(virtual, run_id)
    await virtual.until(companion["id"], "completed")
    await virtual.settled()
    assert companion["priority"] == 3
    runs = (await virtual.api.get("/v1/runs")).json()["data"]
    assert [run["id"] for run in runs if run["job_id"] == after["id"]] == []
    assert (await virtual.run(held))["status"] == "waiting"


async def test_an_undo_waits_for_no_other_job_and_does_not_expire(virtual: World) -> None:
    virtual.handlers.scripts["/before"] = lambda call: ok(1)
    before = await virtual.job("before")
    await virtual.until(await virtual.trigger(before), "completed")
    job = await virtual.job(run_ttl_secs=60)
    await depends(virtual, job, before)
    run_id, gate = await reserved(virtual, job)
    virtual.handlers.scripts["/before"] = lambda call: NO
    await virtual.until(await virtual.trigger(before), "dead_letter")
    await virtual.api.post(f"/v1/jobs/{job['id']}/pause", json={})
    virtual.handlers.script = lambda call: ok(1)
    gate.open()
    await virtual.until(run_id, "dead_letter")
    await virtual.pass_time(3 * 24 * 3600)
    (companion,) = await companions(virtual, run_id)
    assert (companion["status"], "expires_at" in companion) == ("queued", False)
    await virtual.api.post(f"/v1/jobs/{job['id']}/resume", json={})
    await virtual.until(companion["id"], "completed")


async def test_a_dead_letter_that_was_undone_begins_with_nothing_on_record(
    virtual: World,
) -> None:
    run_id, gate = await reserved(virtual, await virtual.job())
    virtual.handlers.script = lambda call: NO
    gate.open()
    await virtual.until(run_id, "dead_letter")
    (companion,) = await companions(virtual, run_id)
    await virtual.until(companion["id"], "dead_letter")
    early = await virtual.api.post(f"/v1/runs/{run_id}/dlq-replay")
    assert early.status_code == 409
    assert companion["id"] in early.json()["error"]["message"]

    virtual.handlers.script = lambda call: ok({"undone": ["reserve"]})
    again = await virtual.api.post(f"/v1/runs/{companion['id']}/dlq-replay")
    assert (again.status_code, "expires_at" in again.json()) == (200, False)
    await virtual.until(companion["id"], "completed")

    second = virtual.handlers.script = Gate(NO)
    assert (await virtual.api.post(f"/v1/runs/{run_id}/dlq-replay")).status_code == 200
    call = (await virtual.handlers.wait(2, run_id))[-1]
    path = f"/v1/runs/{run_id}/steps"
    assert (await virtual.api.get(path)).json()["data"] == []
    await virtual.settled()
    await reserve(virtual.handler(call.token), run_id)
    (step,) = (await virtual.api.get(path)).json()["data"]
    assert step["undone"] is False  # it was done again since
    second.open()
    await virtual.until(run_id, "dead_letter")
    assert len(await companions(virtual, run_id)) == 2


async def test_a_step_that_is_recorded_twice_is_told_once(virtual: World) -> None:
    virtual.handlers.script = Gate()
    run_id, handler = await virtual.executing(await virtual.job())
    for _ in range(2):
        await reserve(handler, run_id)
    told = (await virtual.api.get(f"/v1/runs/{run_id}/events?type=step")).json()["data"]
    assert [line["data"]["name"] for line in told] == ["reserve"]


async def test_a_schedule_that_ends_what_goes_on_leaves_alone_what_undoes_a_run(
    virtual: World,
) -> None:
    schedule = {"cron": "0 * * * *", "cron_overlap_policy": "cancel_running"}
    run_id, gate = await reserved(virtual, await virtual.job(timeout_secs=7200, **schedule))
    undoing = virtual.handlers.script = Gate(ok({"undone": ["reserve"]}))
    gate.open()
    await virtual.until(run_id, "dead_letter")
    (companion,) = await companions(virtual, run_id)
    await virtual.until(companion["id"], "executing")
    await virtual.pass_time(3600)
    rows = (await virtual.api.get("/v1/runs")).json()["data"]
    assert [run["triggered_by"] for run in rows] == ["cron", "undo", "manual"]
    undoing.open()
    await virtual.until(companion["id"], "completed")

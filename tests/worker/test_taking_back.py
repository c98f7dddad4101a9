"""A worker is back with what it had: when that counts, and when the run is carried out anew."""

from __future__ import annotations

from strait.clock import SECOND, to_timestamp
from strait.server.settings import Settings
from strait.worker_protocol import worker_pb2 as pb
from support.world import World

from .peer import Peer, Peers, in_flight, until_worker


async def lost(world: World, join: Peers, run_id: str) -> pb.TaskAssignment:
    """Have the worker "w" take a run, vanish with it, and stay away beyond its lease."""
    worker = await join().register(worker_id="w")
    task = await worker.assignment()
    assert task.run_id == run_id
    await worker.vanish()
    await until_worker(world, "w", "offline")
    await world.pass_time(Settings().worker_lease_secs + 1)
    return task


async def slot_taken(world: World, join: Peers, run_id: str) -> tuple[Peer, pb.TaskAssignment]:
    """Have another worker take another run of the same job, before that one."""
    job_id = (await world.run(run_id))["job_id"]
    second = await world.trigger({"id": job_id}, priority=5)
    other = await join().register(worker_id="other")
    taken = await other.assignment()
    assert taken.run_id == second
    return other, taken


async def test_a_run_that_was_woken_is_not_over_because_its_worker_is_back(
    still: World, join: Peers
) -> None:
    run_id = await still.trigger(await still.job(execution_mode="worker"))
    worker = await join().register(worker_id="w")
    task = await worker.assignment()
    handler = still.handler(task.run_token_jwt)
    wait = {"event_key": "paid", "timeout_secs": 3600}
    said = await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json=wait)
    assert said.status_code == 200
    await worker.vanish()
    await until_worker(still, "w", "offline")
    await still.pass_time(Settings().worker_lease_secs + 1)
    await still.api.post("/v1/events/paid/send", json={"payload": {}})
    assert (await still.run(run_id))["status"] == "queued"
    # An attempt that has let go of its slot ends without a result.
    back = await join().register(worker_id="w", in_flight_tasks=[in_flight(task, "completed")])
    again = await back.assignment()
    assert (again.run_id, again.attempt) == (run_id, 1)
    assert again.assignment_id != task.assignment_id
    await back.done(again, "paid")
    await back.next("ack")
    assert (await still.run(run_id))["result"] == "paid"


async def test_a_run_that_was_put_off_meanwhile_is_carried_out_anew(
    still: World, join: Peers
) -> None:
    run_id = await still.trigger(await still.job(execution_mode="worker"))
    task = await lost(still, join, run_id)
    later = to_timestamp(still.clock.now() + 60 * SECOND)
    await still.api.post(f"/v1/runs/{run_id}/reschedule", json={"scheduled_at": later})
    await still.pass_time(61)
    assert (await still.run(run_id))["status"] == "queued"
    told = in_flight(task, "completed", output_json=b'"of long ago"')
    back = await join().register(worker_id="w", in_flight_tasks=[told])
    again = await back.assignment()
    await back.done(again, "anew")
    await back.next("ack")
    assert (await still.run(run_id))["result"] == "anew"


async def test_a_task_that_goes_on_needs_its_slot_again(still: World, join: Peers) -> None:
    first = await still.trigger(await still.job(execution_mode="worker", max_concurrency=1))
    task = await lost(still, join, first)
    other, taken = await slot_taken(still, join, first)
    back = await join().register(
        worker_id="w", slots_available=0, in_flight_tasks=[in_flight(task)]
    )
    told = await back.next("cancel_task")
    assert (told.run_id, told.reason) == (first, "the run has moved on")
    assert (await still.run(first))["status"] == "queued"
    await other.done(taken, "second")
    await other.next("ack")
    again = await other.assignment()
    assert again.run_id == first
    await other.done(again, "first")
    await other.next("ack")
    assert (await still.run(first))["result"] == "first"


async def test_a_result_counts_although_others_have_the_slots(still: World, join: Peers) -> None:
    first = await still.trigger(await still.job(execution_mode="worker", max_concurrency=1))
    task = await lost(still, join, first)
    other, taken = await slot_taken(still, join, first)
    second = taken.run_id
    told = in_flight(task, "completed", output_json=b'"late"')
    await join().register(worker_id="w", in_flight_tasks=[told])
    run = await still.run(first)
    assert (run["status"], run["result"]) == ("completed", "late")
    assert (await still.run(second))["status"] == "executing"
    await other.done(taken, "second")
    await other.next("ack")
    assert (await still.run(second))["result"] == "second"

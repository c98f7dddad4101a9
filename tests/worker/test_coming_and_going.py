"""Workers fall silent, lose their streams and come back; servers end and start anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from strait.clock import VirtualClock
from strait.server.settings import Settings
from strait.server.workers.results import LEFT
from strait.worker_protocol import worker_pb2 as pb
from support.handlers import Handlers
from support.world import World
from support.world import world as a_world

from .peer import Peers, connecting, in_flight, tasks_of, until_worker


async def a_run(world: World, **fields: object) -> str:
    return await world.trigger(await world.job(execution_mode="worker", **fields))


async def test_a_worker_that_was_away_for_a_moment_goes_on_with_what_it_has(
    still: World, join: Peers
) -> None:
    worker = await join().register(worker_id="w")
    run_id = await a_run(still)
    task = await worker.assignment()
    await worker.vanish()
    await until_worker(still, "w", "offline")
    assert (await still.run(run_id))["status"] == "executing"
    back = await join().register(
        worker_id="w", slots_available=0, in_flight_tasks=[in_flight(task)]
    )
    await still.pass_time(Settings().worker_lease_secs + 1)
    await back.done(task, "once")
    await back.next("ack")
    run = await still.run(run_id)
    assert (run["status"], run["result"], run["attempt"]) == ("completed", "once", 1)
    assert [each["status"] for each in await tasks_of(still, "w")] == ["completed"]


async def test_what_a_worker_had_is_given_to_another_when_its_lease_ends(
    still: World, join: Peers
) -> None:
    worker = await join().register()
    run_id = await a_run(still)
    await worker.assignment()
    await worker.vanish()
    await until_worker(still, worker.worker_id, "offline")
    other = await join().register()
    await still.pass_time(Settings().worker_lease_secs + 1)
    again = await other.assignment()
    assert (again.run_id, again.attempt) == (run_id, 1)
    events = (await still.api.get(f"/v1/runs/{run_id}/events")).json()["data"]
    assert LEFT in [event["message"] for event in events]
    (lost,) = await tasks_of(still, worker.worker_id)
    assert (lost["status"], lost["result"]["error"]) == ("failed", LEFT)
    await other.done(again)
    await other.next("ack")
    assert (await still.run(run_id))["status"] == "completed"


async def test_a_worker_that_comes_back_without_its_task_has_lost_it(
    still: World, join: Peers
) -> None:
    worker = await join().register(worker_id="w")
    run_id = await a_run(still)
    first = await worker.assignment()
    await worker.vanish()
    back = await join().register(worker_id="w")
    again = await back.assignment()
    assert (again.run_id, again.attempt) == (run_id, 1)
    assert again.assignment_id != first.assignment_id


async def test_a_late_result_counts_as_long_as_nobody_else_has_the_run(
    still: World, join: Peers
) -> None:
    worker = await join().register(worker_id="w")
    run_id = await a_run(still)
    task = await worker.assignment()
    await worker.vanish()
    await until_worker(still, "w", "offline")
    await still.pass_time(Settings().worker_lease_secs + 1)
    assert (await still.run(run_id))["status"] == "queued"
    told = in_flight(task, "completed", output_json=b'"late"')
    back = await join().register(worker_id="w", in_flight_tasks=[told])
    run = await still.run(run_id)
    assert (run["status"], run["result"]) == ("completed", "late")
    later = await a_run(still)
    assert (await back.assignment()).run_id == later


async def test_a_task_that_goes_on_is_taken_back_as_long_as_nobody_else_has_the_run(
    still: World, join: Peers
) -> None:
    worker = await join().register(worker_id="w")
    run_id = await a_run(still, max_concurrency=1)
    task = await worker.assignment()
    await worker.vanish()
    await until_worker(still, "w", "offline")
    await still.pass_time(Settings().worker_lease_secs + 1)
    back = await join().register(2, "w", slots_available=1, in_flight_tasks=[in_flight(task)])
    assert (await still.run(run_id))["status"] == "executing"
    await back.done(task, "after all")
    await back.next("ack")
    assert (await still.run(run_id))["result"] == "after all"


async def test_what_another_worker_has_meanwhile_is_canceled(still: World, join: Peers) -> None:
    worker = await join().register(worker_id="w")
    run_id = await a_run(still)
    task = await worker.assignment()
    await worker.vanish()
    await until_worker(still, "w", "offline")
    other = await join().register()
    await still.pass_time(Settings().worker_lease_secs + 1)
    again = await other.assignment()
    back = await join().register(
        worker_id="w", slots_available=0, in_flight_tasks=[in_flight(task)]
    )
    told = await back.next("cancel_task")
    assert (told.run_id, told.reason) == (run_id, "the run has moved on")
    await back.done(task, "mine")
    await back.next("ack")
    await other.done(again, "theirs")
    await other.next("ack")
    assert (await still.run(run_id))["result"] == "theirs"


async def test_a_worker_that_gives_a_task_up_takes_no_attempt(still: World, join: Peers) -> None:
    worker = await join().register(worker_id="w")
    run_id = await a_run(still)
    task = await worker.assignment()
    await worker.vanish()
    told = in_flight(task, "abandoned")
    back = await join().register(worker_id="w", in_flight_tasks=[told])
    again = await back.assignment()
    assert (again.run_id, again.attempt) == (run_id, 1)


async def test_a_run_that_takes_its_workers_down_comes_to_an_end(still: World, join: Peers) -> None:
    run_id = await a_run(still, max_attempts=1)
    for _ in range(3):
        assert (await still.run(run_id))["status"] != "dead_letter"
        worker = await join().register()
        assert (await worker.assignment()).run_id == run_id
        await worker.vanish()
        await until_worker(still, worker.worker_id, "offline")
        await still.pass_time(Settings().worker_lease_secs + 1)
    run = await still.run(run_id)
    assert (run["status"], run["error"], run["error_class"]) == ("dead_letter", LEFT, "connection")


@pytest.mark.parametrize("disconnected", [True, False])
async def test_a_run_whose_workers_were_sent_away_or_left_takes_no_harm(
    still: World, join: Peers, disconnected: bool
) -> None:
    run_id = await a_run(still, max_attempts=1)
    for _ in range(4):
        worker = await join().register()
        assert (await worker.assignment()).run_id == run_id
        if disconnected:
            await still.api.delete(f"/v1/workers/{worker.worker_id}")
        else:
            await worker.finish()
        await until_worker(still, worker.worker_id, "offline")
        assert (await still.until(run_id, "queued"))["attempt"] == 1


async def test_what_a_worker_that_was_sent_away_makes_of_its_task_is_not_heard(
    still: World, join: Peers
) -> None:
    worker = await join().register(worker_id="w")
    run_id = await a_run(still, max_attempts=1)
    task = await worker.assignment()
    await still.api.delete("/v1/workers/w")
    told = in_flight(task, "failed", error_message="it was told to end")
    back = await join().register(worker_id="w", in_flight_tasks=[told])
    again = await back.assignment()
    assert (again.run_id, again.attempt) == (run_id, 1)
    events = (await still.api.get(f"/v1/runs/{run_id}/events")).json()["data"]
    assert [event["message"] for event in events][1:] == [
        "queued -> executing",
        "its worker was disconnected",
        "queued -> executing",
    ]


async def test_a_worker_that_has_left_may_come_back_with_what_it_had(
    still: World, join: Peers
) -> None:
    worker = await join().register(worker_id="w")
    run_id = await a_run(still)
    task = await worker.assignment()
    await worker.finish()
    await still.until(run_id, "queued")
    told = in_flight(task, "completed", output_json=b'"drained"')
    await join().register(worker_id="w", in_flight_tasks=[told])
    assert (await still.run(run_id))["result"] == "drained"


async def test_a_task_that_is_over_cannot_be_given_up(still: World, join: Peers) -> None:
    worker = await join().register(worker_id="w")
    run_id = await a_run(still)
    task = await worker.assignment()
    await worker.done(task, "done")
    await worker.next("ack")
    await join().register(worker_id="w", in_flight_tasks=[in_flight(task, "abandoned")])
    assert (await still.run(run_id))["status"] == "completed"
    assert [each["status"] for each in await tasks_of(still, "w")] == ["completed"]


async def test_a_silent_worker_is_taken_for_dead(still: World, join: Peers) -> None:
    worker = await join().register()
    await a_run(still)
    await worker.assignment()
    await still.pass_time(20)
    await worker.heartbeat(0)
    await worker.done(pb.TaskAssignment(run_id="r", assignment_id="a"))
    await worker.next("ack")
    await still.pass_time(20)
    assert (await until_worker(still, worker.worker_id, "active"))["status"] == "active"
    await still.pass_time(31)
    assert await worker.ended() == (
        "DEADLINE_EXCEEDED",
        "nothing was heard of the worker for 30 s",
    )
    await until_worker(still, worker.worker_id, "offline")


@pytest.mark.parametrize("slots", [1, 2])
async def test_a_worker_that_ends_its_stream_gives_what_it_has_back_at_once(
    still: World, join: Peers, slots: int
) -> None:
    worker = await join().register(slots)
    run_id = await a_run(still)
    await worker.assignment()
    await worker.heartbeat(0)
    await worker.finish()
    await until_worker(still, worker.worker_id, "offline")
    assert (await still.until(run_id, "queued"))["attempt"] == 1


async def test_a_worker_that_drains_keeps_what_it_has_when_its_stream_breaks(
    still: World, join: Peers
) -> None:
    worker = await join().register(2, "w")
    run_id = await a_run(still)
    task = await worker.assignment()
    await worker.heartbeat(0)
    await until_worker(still, "w", "draining")
    await join().register()
    await worker.vanish()
    await until_worker(still, "w", "offline")
    assert (await still.run(run_id))["status"] == "executing"
    back = await join().register(2, "w", slots_available=0, in_flight_tasks=[in_flight(task)])
    await back.done(task, "once")
    await back.next("ack")
    assert (await still.run(run_id))["result"] == "once"


async def test_a_second_stream_of_a_worker_takes_the_place_of_the_first(
    still: World, join: Peers
) -> None:
    first = await join().register(worker_id="w")
    run_id = await a_run(still)
    task = await first.assignment()
    second = await join().register(
        worker_id="w", slots_available=0, in_flight_tasks=[in_flight(task)]
    )
    assert await first.ended() == ("ABORTED", "the worker has opened another stream")
    await second.done(task, "on the second")
    await second.next("ack")
    assert (await still.run(run_id))["result"] == "on the second"


async def test_a_worker_can_be_disconnected_through_the_api(still: World, join: Peers) -> None:
    worker = await join().register()
    run_id = await a_run(still)
    await worker.assignment()
    answer = await still.api.delete(f"/v1/workers/{worker.worker_id}")
    assert (answer.status_code, answer.json()) == (200, {"status": "disconnected"})
    assert (await worker.next("cancel_task")).run_id == run_id
    assert await worker.ended() == ("CANCELLED", "the worker was disconnected through the API")
    shown = (await still.api.get(f"/v1/workers/{worker.worker_id}")).json()
    assert shown["status"] == "offline"
    assert (await still.run(run_id))["status"] == "queued"


async def test_workers_are_listed_with_what_they_are(still: World, join: Peers) -> None:
    for number in range(3):
        queues = [f"q{number}", "default"]
        fields = {"hostname": "host", "sdk_version": "1.2"}
        await join().register(worker_id=f"w{number}", queues=queues, **fields)
    page = (await still.api.get("/v1/workers", params={"limit": 2})).json()
    assert [each["id"] for each in page["data"]] == ["w2", "w1"]
    assert page["has_more"] is True
    rest = (await still.api.get("/v1/workers", params={"limit": 2, "offset": 2})).json()
    assert (rest["offset"], rest["has_more"]) == (2, False)
    (last,) = rest["data"]
    told = {key: last[key] for key in ("queue_name", "hostname", "version", "status")}
    assert told == {
        "queue_name": "default,q0",
        "hostname": "host",
        "version": "1.2",
        "status": "active",
    }


@pytest.mark.parametrize("finished_meanwhile", [False, True])
async def test_a_server_that_starts_anew_takes_back_what_workers_have(
    handlers: Handlers, tmp_path: Path, finished_meanwhile: bool
) -> None:
    database = tmp_path / "strait.db"
    async with a_world(handlers, database, grpc_port=0) as before:
        key = before.key
        async with connecting(before.server.grpc_addr, key) as peers:
            worker = await peers().register(worker_id="w")
            run_id = await a_run(before, timeout_secs=60)
            lost = await a_run(before)
            task = await worker.assignment()
    async with a_world(handlers, database, grpc_port=0) as after:
        assert (await after.run(run_id))["status"] == "executing"
        assert (await after.run(lost))["status"] == "queued"
        async with connecting(after.server.grpc_addr, key) as peers:
            flying = in_flight(task, *["completed"] * finished_meanwhile)
            back = await peers().register(2, "w", slots_available=1, in_flight_tasks=[flying])
            other = await back.assignment()
            assert other.run_id == lost
            if not finished_meanwhile:
                await back.done(task)
                await back.next("ack")
        assert (await after.run(run_id))["status"] == "completed"
        assert (await after.run(run_id))["attempt"] == 1


async def test_a_server_that_starts_anew_gives_to_others_what_nobody_comes_back_for(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    clock = VirtualClock()
    async with a_world(handlers, database, grpc_port=0, clock=clock) as before:
        key = before.key
        async with connecting(before.server.grpc_addr, key) as peers:
            worker = await peers().register()
            run_id = await a_run(before, timeout_secs=5)
            await worker.assignment()
    later = VirtualClock(clock.now() + 3_600 * 1_000_000)
    async with a_world(handlers, database, grpc_port=0, clock=later) as after:
        assert (await after.run(run_id))["status"] == "executing"
        async with connecting(after.server.grpc_addr, key) as peers:
            other = await peers().register()
            await after.pass_time(Settings().worker_lease_secs + 0.5)
            again = await other.assignment()
            assert (again.run_id, again.attempt) == (run_id, 1)

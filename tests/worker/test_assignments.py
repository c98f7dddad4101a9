"""Runs go to workers over their streams, and come back as results."""

from __future__ import annotations

import time
from typing import Any

import pytest

from strait import signing
from strait.server.workers import results
from strait.worker_protocol import worker_pb2 as pb
from support.handlers import Gate, Handlers, ok
from support.world import World
from support.world import world as a_world

from .peer import Peers, connecting, tasks_of, until_worker

ZERO = {"max_attempts": 1}


async def a_job(world: World, **fields: Any) -> dict[str, Any]:
    return await world.job(execution_mode="worker", **fields)


async def test_a_run_goes_to_a_worker_and_comes_back_with_its_result(
    served: World, connect: Peers
) -> None:
    worker = await connect().register()
    job = await a_job(served)
    run_id = await served.trigger(job, {"n": 2})
    task = await worker.assignment()
    assert (task.run_id, task.job_slug, task.queue) == (run_id, job["slug"], "default")
    assert (task.payload_json, task.attempt) == (b'{"n":2}', 1)
    assert task.timeout_secs == job["timeout_secs"]
    assert task.metadata["x-job-id"] == job["id"]
    assert (await served.run(run_id))["status"] == "executing"
    await worker.done(task, {"doubled": 4})
    assert (await worker.next("ack")).id == task.assignment_id
    run = await served.run(run_id)
    assert (run["status"], run["result"], run["attempt"]) == ("completed", {"doubled": 4}, 1)
    assert served.handlers.received == []


async def test_the_token_of_an_assignment_speaks_for_its_run_over_http(
    served: World, connect: Peers
) -> None:
    worker = await connect().register()
    run_id = await served.trigger(await a_job(served))
    task = await worker.assignment()
    speaker = served.handler(task.run_token_jwt)
    answer = await speaker.post(
        f"/sdk/v1/runs/{run_id}/progress", json={"percent": 5, "message": "x"}
    )
    assert answer.status_code == 201
    await speaker.post(f"/sdk/v1/runs/{run_id}/complete", json={"result": "by itself"})
    await worker.done(task, "too late")
    await worker.next("ack")
    assert (await served.run(run_id))["result"] == "by itself"


async def test_an_assignment_is_signed_where_its_job_has_a_secret(
    served: World, connect: Peers
) -> None:
    worker = await connect().register()
    secret = "a-secret-of-some-length"
    await served.trigger(await a_job(served, endpoint_signing_secret=secret), {"n": 1})
    task = await worker.assignment()
    assert signing.verify(
        secret, task.hmac_timestamp, task.hmac_signature, task.payload_json, now=time.time()
    )
    assert not any("signature" in name for name in task.metadata)


async def test_a_failure_is_retried_and_told_to_the_next_attempt(
    served: World, connect: Peers
) -> None:
    worker = await connect().register()
    run_id = await served.trigger(
        await a_job(served, retry_strategy="custom", retry_delays_secs=[1])
    )
    await worker.failed(await worker.assignment(), "ValueError: no")
    second = await worker.assignment()
    assert (second.run_id, second.attempt) == (run_id, 2)
    assert second.metadata["x-previous-error"] == "ValueError: no"
    await worker.done(second)
    await worker.next("ack")
    assert (await served.run(run_id))["status"] == "completed"


async def test_a_result_that_does_not_fit_the_schema_of_the_job_fails_the_attempt(
    served: World, connect: Peers
) -> None:
    worker = await connect().register()
    job = await a_job(served, result_schema={"type": "object"}, **ZERO)
    run_id = await served.trigger(job)
    await worker.done(await worker.assignment(), [1])
    await worker.next("ack")
    run = await served.run(run_id)
    assert (run["status"], run["error"]) == (
        "dead_letter", "result schema validation failed: $ must be of type object"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told", "error", "error_class"),
    [
        ({"output_json": b"{no"}, "worker returned invalid output_json", "unknown"),
        ({"status": "failed"}, "worker reported failure", "unknown"),
        ({"status": "failed", "error_message": "MemoryError"}, "MemoryError", "oom"),
    ],
)
async def test_a_result_that_is_none_fails_the_attempt(
    served: World, connect: Peers, told: dict[str, Any], error: str, error_class: str
) -> None:
    worker = await connect().register()
    run_id = await served.trigger(await a_job(served, **ZERO))
    await worker.done(await worker.assignment(), **told)
    run = await served.until(run_id, "dead_letter")
    assert (run["error"], run["error_class"]) == (error, error_class)


@pytest.mark.parametrize("asked_ms", ["9" * 400, "1e400", '"soon"', "-1"])
async def test_a_pause_that_is_no_time_does_not_keep_a_failure_from_being_taken_in(
    served: World, connect: Peers, asked_ms: str
) -> None:
    worker = await connect().register()
    run_id = await served.trigger(await a_job(served, **ZERO))
    asked = b'{"retry_after_ms":%b}' % asked_ms.encode()
    await worker.done(
        await worker.assignment(), status="failed", error_message="no", output_json=asked
    )
    await worker.next("ack")
    assert (await served.run(run_id))["error"] == "no"


async def test_a_message_that_cannot_be_taken_in_is_not_passed_over_in_silence(
    served: World,
    connect: Peers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(results, "take_in", broken)
    worker = await connect().register()
    await served.trigger(await a_job(served))
    await worker.done(await worker.assignment())
    status, text = await worker.ended()
    assert (status, text.partition(";")[0]) == ("INTERNAL", "a message could not be taken in")
    assert "a defect" in caplog.text


@pytest.mark.parametrize("wrong", [{"assignment_id": "9.9"}, {"attempt": 2}, {"run_id": "other"}])
async def test_a_result_of_another_assignment_ends_nothing(
    served: World, connect: Peers, wrong: dict[str, Any]
) -> None:
    worker = await connect().register()
    run_id = await served.trigger(await a_job(served))
    task = await worker.assignment()
    await worker.done(task, "wrong", **wrong)
    await worker.next("ack")
    assert (await served.run(run_id))["status"] == "executing"
    await worker.done(task, "right")
    assert (await served.until(run_id, "completed"))["result"] == "right"


async def test_a_worker_cannot_tell_of_the_task_of_another(served: World, connect: Peers) -> None:
    worker, other = await connect().register(), await connect().register(queues=["else"])
    run_id = await served.trigger(await a_job(served))
    task = await worker.assignment()
    await other.done(task, "stolen")
    await other.next("ack")
    assert (await served.run(run_id))["status"] == "executing"


async def test_a_run_waits_until_a_worker_serves_its_queue_and_job(
    served: World, connect: Peers
) -> None:
    job = await a_job(served, queue_name="gpu")
    run_id = await served.trigger(job)
    await connect().register(queues=["default"])
    await connect().register(queues=["gpu"], job_slugs=["another"])
    await served.settled()
    assert (await served.run(run_id))["status"] == "queued"
    worker = await connect().register(queues=["cpu", "gpu"], job_slugs=[job["slug"]])
    assert (await worker.assignment()).run_id == run_id


async def test_runs_go_to_whoever_has_most_room_and_wait_when_nobody_has(
    served: World, connect: Peers
) -> None:
    small, large = await connect().register(1), await connect().register(2)
    job = await a_job(served)
    runs = [await served.trigger(job, n) for n in range(4)]
    first, second = await large.assignment(), await large.assignment()
    third = await small.assignment()
    assert {first.run_id, second.run_id, third.run_id} == set(runs[:3])
    await served.settled()
    assert (await served.run(runs[3]))["status"] == "queued"
    await small.done(third)
    assert (await small.assignment()).run_id == runs[3]


async def test_what_waits_goes_by_its_priority_when_a_slot_is_free(
    served: World, connect: Peers
) -> None:
    worker = await connect().register(1)
    one, other = await a_job(served), await a_job(served)
    held = await served.trigger(one)
    low = await served.trigger(one, priority=1)
    high = await served.trigger(other, priority=5)
    for expected in (held, high, low):
        task = await worker.assignment()
        assert task.run_id == expected
        await worker.done(task)


async def test_a_worker_that_says_it_has_no_room_gets_nothing(
    served: World, connect: Peers
) -> None:
    worker = await connect().register(2)
    await worker.heartbeat(0)
    await until_worker(served, worker.worker_id, "draining")
    run_id = await served.trigger(await a_job(served))
    await served.settled()
    assert (await served.run(run_id))["status"] == "queued"
    await worker.heartbeat(2)
    assert (await worker.assignment()).run_id == run_id


async def test_endpoints_that_are_all_busy_keep_no_worker_waiting(handlers: Handlers) -> None:
    gate = handlers.script = Gate(ok(1))
    async with a_world(handlers, grpc_port=0, max_in_flight=1) as world:
        await world.executing(await world.job())
        behind = await world.trigger(await world.job(), priority=10)
        run_id = await world.trigger(await a_job(world))
        async with connecting(world.server.grpc_addr, world.key) as connect:
            assert (await (await connect().register()).assignment()).run_id == run_id
        assert (await world.run(behind))["status"] == "queued"
        gate.open()
        await world.until(behind, "completed")


async def test_a_limit_of_a_job_holds_for_workers_too(served: World, connect: Peers) -> None:
    worker = await connect().register(4)
    job = await a_job(served, max_concurrency=1)
    first, second = await served.trigger(job), await served.trigger(job)
    task = await worker.assignment()
    assert task.run_id == first
    await served.settled()
    assert (await served.run(second))["status"] == "queued"
    await worker.done(task)
    assert (await worker.assignment()).run_id == second


async def test_cancel_is_told_to_the_worker_with_its_reason(served: World, connect: Peers) -> None:
    worker = await connect().register()
    run_id = await served.trigger(await a_job(served))
    task = await worker.assignment()
    assert (await served.api.delete(f"/v1/runs/{run_id}")).status_code == 200
    told = await worker.next("cancel_task")
    assert (told.run_id, told.reason) == (run_id, "canceled by user")
    await worker.done(task, "all the same")
    assert (await served.run(run_id))["status"] == "canceled"


async def test_a_timeout_is_told_to_the_worker(served: World, connect: Peers) -> None:
    worker = await connect().register()
    run_id = await served.trigger(await a_job(served, timeout_secs=1, **ZERO))
    await worker.assignment()
    told = await worker.next("cancel_task")
    assert (told.run_id, told.reason) == (run_id, "execution timed out")
    assert (await served.run(run_id))["status"] == "timed_out"


async def test_a_slot_is_free_again_once_a_worker_has_let_go_of_a_canceled_task(
    served: World, connect: Peers
) -> None:
    worker = await connect().register(1)
    job = await a_job(served)
    first, second = await served.trigger(job), await served.trigger(job)
    await worker.assignment()
    await served.api.delete(f"/v1/runs/{first}")
    await worker.next("cancel_task")
    await served.settled()
    assert (await served.run(second))["status"] == "queued"
    await worker.heartbeat(1)
    assert (await worker.assignment()).run_id == second


async def test_what_a_worker_logs_is_in_the_history_of_its_run(
    served: World, connect: Peers
) -> None:
    worker = await connect().register()
    run_id = await served.trigger(await a_job(served))
    task = await worker.assignment()
    await worker.send(ack=pb.Acknowledged(id=run_id))
    line = pb.LogLine(run_id=run_id, level="warning", message="hot " + "x" * 5_000)
    await worker.send(log_line=line)
    await worker.send(log_line=pb.LogLine(run_id="another", level="info", message="not mine"))
    await worker.done(task)
    await worker.next("ack")
    events = (await served.api.get(f"/v1/runs/{run_id}/events")).json()["data"]
    (logged,) = [event for event in events if event["type"] == "log"]
    assert (logged["level"], len(logged["message"])) == ("warn", 4_096)
    tasks = await tasks_of(served, worker.worker_id)
    assert tasks[0]["accepted_at"] >= tasks[0]["assigned_at"]


async def test_nothing_is_kept_of_what_a_worker_has_let_go_of(
    served: World, connect: Peers
) -> None:
    worker = await connect().register()
    job = await served.job(execution_mode="worker")
    run_id = await served.trigger(job)
    await worker.assignment()
    assert (await served.api.delete(f"/v1/runs/{run_id}")).status_code == 200
    await worker.next("cancel_task")
    # It has a slot free again, and tells of no result.
    await worker.heartbeat(1)
    later = await served.trigger(job)
    task = await worker.assignment()
    assert (task.run_id, served.platform.workers.busy_with) == (later, 1)
    await worker.done(task)
    await worker.next("ack")
    assert served.platform.workers.busy_with == 0

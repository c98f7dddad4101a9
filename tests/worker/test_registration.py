"""Who may connect, and with what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from grpc import aio
from msgspec.structs import replace

from strait.server import auth
from strait.server.workers import callers, registration
from strait.server.workers.fleet import Refusal
from strait.worker_protocol import worker_pb2 as pb
from support.world import PROJECT, World

from .peer import Peers, until_worker


def bearer(key: str) -> str:
    return f"Bearer {key}"


async def test_without_a_key_nobody_is_let_in(connect: Peers) -> None:
    for authorization, text in (
        (None, "missing authorization header"),
        ("strait_without_a_scheme", "invalid authorization format"),
        ("Bearer not-one-of-ours", "invalid authorization format"),
        ("Bearer strait_unknown", "invalid api key"),
    ):
        assert await connect(authorization).ended() == ("UNAUTHENTICATED", text)


async def test_a_key_must_say_that_it_is_for_workers(served: World, connect: Peers) -> None:
    for scopes in (["jobs:read"], []):
        peer = connect(bearer(await served.key_for(*scopes)))
        refused = ("PERMISSION_DENIED", "api key does not allow worker connections")
        assert await peer.ended() == refused
    await connect(bearer(await served.key_for("workers:connect"))).register()


async def test_the_first_message_is_the_registration_and_there_is_one(connect: Peers) -> None:
    early = connect()
    await early.heartbeat(1)
    assert await early.ended() == (
        "INVALID_ARGUMENT",
        "first message must be WorkerRegistration",
    )
    twice = await connect().register()
    await twice.send(registration=pb.WorkerRegistration(worker_id="again"))
    assert await twice.ended() == ("INVALID_ARGUMENT", "the worker is registered already")


async def test_who_is_gone_before_its_registration_is_on_disk_gets_no_runs(
    served: World, connect: Peers
) -> None:
    workers = served.platform.workers
    caller = callers.identify(served.platform, bearer(served.key))
    gone = registration.Registration(worker_id="gone", slots_total=2, slots_available=2)
    registering = asyncio.ensure_future(workers.register(caller, gone))
    await asyncio.sleep(0)
    registering.cancel()
    await until_worker(served, "gone", "offline")
    assert workers.connected == 0
    run_id = await served.trigger(await served.job(execution_mode="worker"))
    assert (await (await connect().register()).assignment()).run_id == run_id


BOUNDS: list[tuple[dict[str, Any], str]] = [
    ({"worker_id": ""}, "worker_id is required"),
    ({"worker_id": "w" * 129}, "worker_id must have at most 128 bytes"),
    ({"name": "é" * 65}, "name must have at most 128 bytes"),
    ({"queues": ["q"] * 65}, "queues must have at most 64 entries"),
    ({"queues": ["q" * 129]}, "queue must have at most 128 bytes"),
    ({"job_slugs": ["j"] * 257}, "job_slugs must have at most 256 entries"),
    ({"in_flight_tasks": [pb.InFlightTask()] * 257}, "in_flight_tasks must have at most 256"),
    ({"hostname": "h" * 256}, "hostname must have at most 255 bytes"),
    ({"sdk_version": "1" * 65}, "sdk_version must have at most 64 bytes"),
    ({"sdk_language": "p" * 33}, "sdk_language must have at most 32 bytes"),
    ({"metadata": {str(n): "" for n in range(65)}}, "metadata must have at most 64 entries"),
    ({"slots_total": 1_025}, "slots_total must be between 0 and 1024"),
    ({"slots_total": -1}, "slots_total must be between 0 and 1024"),
    ({"slots_total": 1, "slots_available": 2}, "slots_available must be between 0 and slots"),
]


async def test_a_registration_has_bounds(connect: Peers) -> None:
    for fields, text in BOUNDS:
        peer = connect()
        await peer.send(registration=pb.WorkerRegistration(**{"worker_id": "w", **fields}))
        status, told = await peer.ended()
        assert status == "INVALID_ARGUMENT"
        assert text in told


async def test_an_id_belongs_to_its_key_for_as_long_as_that_is_valid(
    served: World, connect: Peers
) -> None:
    await connect().register(worker_id="mine")
    other = connect(bearer(await served.key_for("workers:connect")))
    await other.send(registration=pb.WorkerRegistration(worker_id="mine"))
    assert await other.ended() == (
        "ALREADY_EXISTS",
        "worker 'mine' is registered under another api key",
    )
    elsewhere = connect(bearer(await served.key_for("*", project="proj-2")))
    await elsewhere.register(worker_id="mine")


async def test_a_rotated_key_takes_its_workers_along(served: World, connect: Peers) -> None:
    old = await served.key_for("*", days=1)
    await connect(bearer(old)).register(worker_id="w")
    keys = (await served.api.get("/v1/api-keys")).json()["data"]
    old_id = next(key["id"] for key in keys if old.startswith(key["key_prefix"]))
    rotated = await served.api.post(
        f"/v1/api-keys/{old_id}/rotate", json={"grace_period_minutes": 60}
    )
    await connect(bearer(rotated.json()["key"])).register(worker_id="w")


async def test_a_key_that_is_revoked_ends_its_streams(served: World, connect: Peers) -> None:
    key = await served.key_for("workers:connect")
    peer = await connect(bearer(key)).register()
    keys = (await served.api.get("/v1/api-keys")).json()["data"]
    key_id = next(each["id"] for each in keys if key.startswith(each["key_prefix"]))
    assert (await served.api.delete(f"/v1/api-keys/{key_id}")).status_code == 200
    run_id = await served.trigger(await served.job(execution_mode="worker"))
    assert await peer.ended() == ("UNAUTHENTICATED", "api key has been revoked")
    assert (await served.run(run_id))["status"] == "queued"


async def test_nothing_is_heard_under_a_key_that_has_expired(served: World, connect: Peers) -> None:
    key = await served.key_for("workers:connect", days=1)
    worker = await connect(bearer(key)).register()
    run_id = await served.trigger(await served.job(execution_mode="worker"))
    task = await worker.assignment()
    platform = served.platform
    _, record = platform.keys.find(platform.reader, key)
    assert record is not None
    platform.keys.touch(auth.hash_key(key), replace(record, expires_at=record.created_at))
    await worker.done(task)
    assert await worker.ended() == ("UNAUTHENTICATED", "api key has expired")
    assert (await served.run(run_id))["status"] == "executing"


async def test_streams_are_counted_by_project_and_key(
    served: World, connect: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "MAX_KEY_STREAMS", 1)
    monkeypatch.setattr(registration, "MAX_PROJECT_STREAMS", 2)
    first = await connect().register()
    one_more = connect()
    await one_more.send(registration=pb.WorkerRegistration(worker_id="more"))
    assert await one_more.ended() == (
        "RESOURCE_EXHAUSTED",
        "the api key has 1 worker streams already",
    )
    await connect(bearer(await served.key_for("*"))).register()
    third = connect(bearer(await served.key_for("*")))
    await third.send(registration=pb.WorkerRegistration(worker_id="third"))
    assert (await third.ended())[1] == "the project has 2 worker streams already"
    await first.finish()
    await until_worker(served, first.worker_id, "offline")
    await connect().register()


async def test_streams_are_counted_while_they_are_registered(
    served: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "MAX_KEY_STREAMS", 2)
    workers = served.platform.workers
    caller = callers.identify(served.platform, bearer(served.key))
    arriving = [
        workers.register(caller, registration.Registration(worker_id=f"w{number}"))
        for number in range(5)
    ]
    came = await asyncio.gather(*arriving, return_exceptions=True)
    assert [isinstance(each, Refusal) for each in came] == [False, False, True, True, True]
    assert workers.connected == 2


async def test_a_key_of_an_environment_gets_the_jobs_of_that_only(
    served: World, connect: Peers
) -> None:
    named = {"project_id": PROJECT, "name": "staging", "slug": "staging"}
    environment = (await served.api.post("/v1/environments", json=named)).json()["id"]
    scoped = {"project_id": PROJECT, "name": "k", "scopes": ["*"], "environment_id": environment,
              "expires_in_days": 1}  # fmt: skip
    key = (await served.api.post("/v1/api-keys", json=scoped)).json()["key"]
    outside = await served.job(execution_mode="worker")
    inside = await served.job(execution_mode="worker", environment_id=environment)
    worker = await connect(bearer(key)).register(2)
    left = await served.trigger(outside)
    taken = await served.trigger(inside)
    assert (await worker.assignment()).run_id == taken
    await served.settled()
    assert (await served.run(left))["status"] == "queued"
    listed = (await served.client(key).get("/v1/workers")).json()["data"]
    assert [each["id"] for each in listed] == [worker.worker_id]


async def test_a_worker_gets_nothing_of_another_project(served: World, connect: Peers) -> None:
    stranger = connect(bearer(await served.key_for("*", project="proj-2")))
    await stranger.register()
    run_id = await served.trigger(await served.job(execution_mode="worker"))
    await served.settled()
    assert (await served.run(run_id))["status"] == "queued"
    answer = await served.api.get(f"/v1/workers/{stranger.worker_id}")
    assert answer.status_code == 404


async def test_a_message_that_is_too_large_ends_the_stream(connect: Peers) -> None:
    peer = await connect().register()
    output = b'"' + b"x" * (1024 * 1024) + b'"'
    await peer.send(task_result=pb.TaskResult(run_id="r", output_json=output))
    assert (await peer.ended())[0] == "RESOURCE_EXHAUSTED"


async def test_the_health_service_says_that_workers_are_served(served: World) -> None:
    async with aio.insecure_channel(served.server.grpc_addr) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        name = b"strait.worker.v1.WorkerService"
        assert await check(b"") == b"\x08\x01"
        assert await check(b"\x0a" + bytes([len(name)]) + name) == b"\x08\x01"
        with pytest.raises(aio.AioRpcError, match="unknown service 'nobody'"):
            await check(b"\x0a\x06nobody")
        watching = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert await watching.read() == b"\x08\x01"
        watching.cancel()

"""The outbox: everything that is to be sent is sent, again where it must, and is told about."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from strait.clock import VirtualClock
from strait.engine.deliveries import POLICIES, pause_secs
from strait.server import outbound
from strait.server.addresses import Reach
from strait.server.courier import AT_ONCE_PER_ADDRESS, FAILURES_TO_OPEN
from strait.server.outbound import CallError, Outbound
from support.handlers import Answer, Gate, Handlers, ok
from support.receivers import (
    address,
    deliveries,
    received,
    subscribe,
    until_deliveries,
    until_received,
    until_settled,
)
from support.workflows import told
from support.world import World, world

from .conftest import STEADY


async def ended(world: World, job: dict[str, Any] | None = None) -> str:
    """A run that is over, which somebody is told of."""
    run_id = await world.trigger(job or await world.job())
    await world.until(run_id, "completed")
    return run_id


async def test_a_receiver_that_is_down_is_tried_three_times_with_growing_pauses(
    steady: World,
) -> None:
    await subscribe(steady, "run.completed")
    steady.handlers.scripts["/hook"] = lambda call: Answer(503)
    await ended(steady)
    for count, pause in ((1, 5), (2, 25)):
        await until_received(steady, count)
        (row,) = await until_deliveries(steady, lambda rows, n=count: rows[0]["attempts"] == n)
        assert (row["status"], row["last_status_code"]) == ("pending", 503)
        assert row["next_retry_at"] > row["updated_at"]
        await steady.pass_time(pause - 1)
        assert len(received(steady)) == count
        await steady.pass_time(1)
    calls = await until_received(steady, 3)
    (row,) = await until_deliveries(steady, lambda rows: rows[0]["status"] != "pending")
    assert (row["status"], row["attempts"], row["max_attempts"]) == ("failed", 3, 3)
    assert row["last_error"] == "the receiver answered 503"
    assert "next_retry_at" not in row
    assert [call.headers["x-strait-attempt"] for call in calls] == ["1/3", "2/3", "3/3"]
    assert len({call.headers["x-strait-idempotency-key"] for call in calls}) == 3
    assert len({call.headers["x-strait-replay-key"] for call in calls}) == 1
    assert len({call.headers["x-strait-delivery-id"] for call in calls}) == 1


async def test_a_receiver_that_comes_back_gets_it(steady: World) -> None:
    await subscribe(steady, "run.completed")
    answers = iter([Answer(None), ok()])
    steady.handlers.scripts["/hook"] = lambda call: next(answers)
    await ended(steady)
    (row,) = await until_settled(steady)
    assert row["last_error"] == "the endpoint closed the connection early"
    await steady.pass_time(5)
    await until_received(steady, 2)
    (row,) = await until_deliveries(steady, lambda rows: rows[0]["status"] == "delivered")
    assert (row["attempts"], row["last_status_code"]) == (2, 200)
    assert row["delivered_at"] == row["updated_at"]
    assert "last_error" not in row


@pytest.mark.parametrize("status", [302, 400, 404, 410, 429])
async def test_a_receiver_that_does_not_want_it_gets_no_more(world: World, status: int) -> None:
    await subscribe(world, "run.completed")
    world.handlers.scripts["/hook"] = lambda call: Answer(status)
    await ended(world)
    (row,) = await until_settled(world)
    assert (row["status"], row["attempts"], row["last_status_code"]) == ("dead", 1, status)
    assert len(received(world)) == 1


def test_pauses_are_spread_by_a_fifth_and_never_longer_than_half_an_hour() -> None:
    webhook = POLICIES["webhook"]
    assert [pause_secs(webhook, n, 0.5) for n in (1, 2, 3, 6)] == [5, 25, 125, 1800]
    assert pause_secs(webhook, 1, 0.0) == pytest.approx(4)
    assert pause_secs(webhook, 1, 1.0) == pytest.approx(6)
    assert [pause_secs(POLICIES["channel"], n, 0.5) for n in (1, 2)] == [30, 120]


async def test_an_address_that_hangs_holds_up_nobody_else(world: World) -> None:
    slow = Handlers()
    await slow.start()
    slow.script = Gate()
    try:
        body = {
            "project_id": "proj-1",
            "webhook_url": slow.url,
            "event_types": ["run.completed"],
        }
        assert (await world.api.post("/v1/webhooks/subscriptions", json=body)).status_code == 201
        await subscribe(world, "run.completed")
        job = await world.job()
        count = 3 * AT_ONCE_PER_ADDRESS
        for _ in range(count):
            await ended(world, job)
        assert len(await until_received(world, count)) == count
        assert len(slow.received) == AT_ONCE_PER_ADDRESS
    finally:
        await slow.stop()


async def test_an_address_that_fails_again_and_again_is_left_alone_for_a_minute(
    steady: World,
) -> None:
    await subscribe(steady, "run.completed")
    steady.handlers.scripts["/hook"] = lambda call: Answer(500)
    job = await steady.job()
    for number in range(FAILURES_TO_OPEN):
        await ended(steady, job)
        await until_settled(steady, number + 1)
    await ended(steady, job)
    await steady.pass_time(59)
    assert len(received(steady)) == FAILURES_TO_OPEN
    newest, *_ = await deliveries(steady)
    assert (newest["status"], newest["attempts"]) == ("pending", 0)
    steady.handlers.scripts["/hook"] = lambda call: ok()
    await steady.pass_time(1)
    await until_received(steady, 2 * FAILURES_TO_OPEN + 1)
    await until_deliveries(steady, lambda rows: all(row["status"] == "delivered" for row in rows))


async def test_a_delivery_that_was_given_up_is_retried_and_replayed(world: World) -> None:
    await subscribe(world, "run.completed")
    world.handlers.scripts["/hook"] = lambda call: Answer(404)
    await ended(world)
    (row,) = await until_settled(world)
    world.handlers.scripts["/hook"] = lambda call: ok()
    path = f"/v1/webhooks/deliveries/{row['id']}"
    retried = await world.api.post(f"{path}/retry")
    assert (retried.status_code, retried.json()["status"]) == (200, "pending")
    await until_received(world, 2)
    (row,) = await until_deliveries(world, lambda rows: rows[0]["status"] == "delivered")
    assert (await world.api.get(path)).json() == row
    again = await world.api.post(f"{path}/retry")
    assert again.status_code == 409
    legacy = await world.api.post(f"/v1/webhook-deliveries/{row['id']}/retry")
    assert legacy.status_code == 409
    replayed = await world.api.post(f"{path}/replay")
    assert replayed.status_code == 201
    assert replayed.json()["id"] != row["id"]
    first, second, third = await until_received(world, 3)
    assert first.body == second.body == third.body
    assert first.headers["x-strait-replay-key"] == third.headers["x-strait-replay-key"]
    assert third.headers["x-strait-delivery-id"] == replayed.json()["id"]


async def test_the_older_path_lists_and_retries_the_same_deliveries(world: World) -> None:
    await subscribe(world, "run.completed")
    world.handlers.scripts["/hook"] = lambda call: Answer(404)
    await ended(world)
    (row,) = await until_settled(world)
    assert (row["status"], row["attempts"], row["last_status_code"]) == ("dead", 1, 404)
    assert (await world.api.get("/v1/webhook-deliveries")).json()["data"] == [row]
    world.handlers.scripts["/hook"] = lambda call: ok()
    path = f"/v1/webhook-deliveries/{row['id']}/retry"
    stranger = world.client(await world.key_for("*", project="other"))
    assert (await stranger.post(path)).status_code == 404
    retried = (await world.api.post(path)).json()
    assert (retried["id"], retried["status"]) == (row["id"], "pending")
    (row,) = await until_deliveries(world, lambda rows: rows[0]["status"] == "delivered")
    first, second = await until_received(world, 2)
    assert first.body == second.body
    again = await world.api.post(path)
    assert told(again) == (409, "only failed and dead deliveries can be retried, not delivered")


async def test_deliveries_are_listed_in_pages_by_status_and_show_no_path(world: World) -> None:
    await subscribe(world, "run.completed", path="hook?token=hidden")
    job = await world.job()
    for _ in range(3):
        await ended(world, job)
    rows = await until_settled(world, 3)
    assert rows[0]["webhook_url"] + "/" == world.handlers.url
    assert "hidden" not in json.dumps(rows)
    for listing in ("/v1/webhooks/deliveries", "/v1/webhook-deliveries"):
        first = (await world.api.get(listing, params={"limit": 2})).json()
        params = {"limit": 2, "cursor": first["next_cursor"]}
        second = (await world.api.get(listing, params=params)).json()
        assert [row["id"] for row in first["data"] + second["data"]] == [row["id"] for row in rows]
        assert second["has_more"] is False
    assert len(await deliveries(world, status="delivered")) == 3
    assert await deliveries(world, status="dead") == []


async def test_another_project_sees_no_delivery_and_scopes_hold(world: World) -> None:
    await subscribe(world, "run.completed")
    await ended(world)
    (row,) = await until_settled(world)
    stranger = world.client(await world.key_for("*", project="other"))
    path = f"/v1/webhooks/deliveries/{row['id']}"
    assert (await stranger.get("/v1/webhooks/deliveries")).json()["data"] == []
    for answer in (
        await stranger.get(path),
        await stranger.post(f"{path}/retry"),
        await stranger.post(f"{path}/replay"),
    ):
        assert answer.status_code == 404
    reader = world.client(await world.key_for("runs:read"))
    assert (await reader.get(path)).status_code == 200
    assert (await reader.post(f"{path}/replay")).status_code == 403


async def test_nothing_is_sent_any_more_for_a_subscription_that_was_deleted(
    steady: World,
) -> None:
    subscription = await subscribe(steady, "run.completed")
    steady.handlers.scripts["/hook"] = lambda call: Answer(500)
    await ended(steady)
    await until_settled(steady)
    await steady.api.delete(f"/v1/webhooks/subscriptions/{subscription['id']}")
    await steady.pass_time(5)
    (row,) = await until_deliveries(steady, lambda rows: rows[0]["status"] == "dead")
    assert (row["last_error"], row["attempts"]) == ("the subscription was deleted", 1)
    assert len(received(steady)) == 1


async def test_a_clean_stop_leaves_what_did_not_arrive_to_the_next_server(
    handlers: Handlers, tmp_path: Path
) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    handlers.scripts["/hook"] = Gate()  # it is called, and has not answered when the server stops
    handlers.scripts["/down"] = lambda call: Answer(500)
    async with world(handlers, database, clock=clock, outside=STEADY) as first:
        await subscribe(first, "run.completed")
        await subscribe(first, "run.completed", path="down")
        await ended(first)
        await until_received(first)
        await until_deliveries(first, lambda rows: sum(row["attempts"] for row in rows) == 1)
    handlers.scripts.clear()
    async with world(handlers, database, clock=clock, outside=STEADY) as second:
        *_, call = await until_received(second, 2)
        assert call.headers["x-strait-attempt"] == "1/3"
        assert len(received(second, "down")) == 1
        await second.pass_time(5)
        *_, call = await until_received(second, 2, "down")
        assert call.headers["x-strait-attempt"] == "2/3"
        await until_deliveries(second, lambda rows: all(r["status"] == "delivered" for r in rows))
    async with world(handlers, database, clock=clock, outside=STEADY) as third:
        await third.pass_time(60)
        assert len(received(third)) + len(received(third, "down")) == 4


async def test_a_name_that_stands_for_a_private_address_is_not_spoken_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo
    stands_for = "127.0.0.1"

    async def resolve(host: Any, port: Any, **rest: Any) -> Any:
        return await real(stands_for if host == "receiver.example" else host, port, **rest)

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    port = world.handlers.url.rsplit(":", 1)[1].rstrip("/")
    body = {
        "project_id": "proj-1",
        "webhook_url": f"http://receiver.example:{port}/hook",
        "event_types": ["run.completed"],
    }
    assert (await world.api.post("/v1/webhooks/subscriptions", json=body)).status_code == 201
    job = await world.job()
    await ended(world, job)
    await until_deliveries(world, lambda rows: rows[0]["status"] == "delivered")
    world.handlers.hang_up()  # the kept connection was to what the name stood for then
    stands_for = "10.1.2.3"
    await ended(world, job)
    rows = await until_deliveries(world, lambda rows: len(rows) == 2 and rows[0]["attempts"])
    assert rows[0]["status"] == "dead"
    assert rows[0]["last_error"] == "`receiver.example` is a private address"


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
        "0.0.0.0", "[::ffff:10.0.0.1]", "[fd00::1]", "[fe80::1]", "[64:ff9b::a00:1]",
        "metadata.google.internal", "METADATA.google.internal.", "0xa000001", "167772161",
    ],
)  # fmt: skip
async def test_no_spelling_of_a_private_address_is_spoken_to(host: str) -> None:
    client = Outbound(max_body_bytes=100)
    with pytest.raises(CallError, match="is a private address"):
        await client.post(f"http://{host}:9/", [], b"{}")
    client.close()


async def test_of_the_addresses_of_a_name_the_one_that_listens_is_found(
    handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both(origin: outbound.Origin, reach: Reach) -> list[str]:
        return ["::1", "127.0.0.1"]

    monkeypatch.setattr(outbound, "_allowed", both)
    client = Outbound(max_body_bytes=100)
    assert (await client.post(handlers.url, [], b"{}")).status == 200
    client.close()


async def test_a_disk_that_is_full_after_the_answer_sends_it_once_more(virtual: World) -> None:
    gate = Gate(ok())
    virtual.handlers.scripts["/hook"] = gate
    await subscribe(virtual, "run.completed")
    await ended(virtual)
    await until_received(virtual)
    connection = virtual.platform.writer.connection
    connection.execute("PRAGMA query_only=ON")
    gate.open()
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM deliveries")
    await virtual.settled()
    connection.execute("PRAGMA query_only=OFF")
    await virtual.pass_time(1)
    calls = await until_received(virtual, 2)
    await until_deliveries(virtual, lambda rows: rows[0]["status"] == "delivered")
    keys = {call.headers["x-strait-idempotency-key"] for call in calls}
    assert len(keys) == 1


async def test_the_webhook_of_a_job_is_told_without_a_type(world: World) -> None:
    job = await world.job(webhook_secret="whsec_of_the_job_0123456789")
    # No operation sets the field; a database that was begun elsewhere may have it.
    await world.platform.write(lambda unit: _hook(unit, job["id"], address(world)))
    run_id = await ended(world, job)
    (call,) = await until_received(world)
    assert call.json["run_id"] == run_id
    assert "type" not in call.json
    assert call.headers["x-strait-signature"].startswith("v1=")
    (row,) = await until_settled(world)
    assert "subscription_id" not in row


def _hook(unit: Any, job_id: str, url: str) -> None:
    from msgspec.structs import replace

    from strait.store import jobs

    job = jobs.get(unit.db, job_id)
    assert job is not None
    jobs.update(unit.db, replace(job, webhook_url=url))
    unit.platform.jobs.forget(job_id)

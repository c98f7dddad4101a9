"""Webhooks: who is told what of the ends of runs, and how they know that it is true."""

from __future__ import annotations

from typing import Any

import pytest

from strait import AsyncClient, webhooks
from strait.errors import WebhookSignatureError
from strait.signing import verify
from support.handlers import Answer, Gate, Received, ok
from support.receivers import address, deliveries, received, subscribe, until_received
from support.workflows import Flows, event
from support.world import PROJECT, World


def now(call: Received) -> float:
    return float(call.headers["x-strait-timestamp"])


def opened(call: Received, *secrets: str) -> webhooks.WebhookEvent:
    return webhooks.unwrap(call.body, call.headers, list(secrets), now=now(call))


async def test_what_this_server_sends_is_believed_by_our_own_client(world: World) -> None:
    subscription = await subscribe(world, "run.completed")
    world.handlers.script = lambda call: ok({"paid": True})
    job = await world.job()
    run_id = await world.trigger(job)
    (call,) = await until_received(world)
    event = webhooks.unwrap(call.body, call.headers, subscription["signing_secret"])
    assert (event.type, event.attempt) == ("run.completed", "1/3")
    assert dict(event.data) == {
        "type": "run.completed",
        "run_id": run_id,
        "job_id": job["id"],
        "project_id": PROJECT,
        "status": "completed",
        "attempt": 1,
        "result": {"paid": True},
        "error": "",
        "timestamp": event.data["timestamp"],
    }
    assert (call.headers["x-run-id"], call.headers["x-job-id"]) == (run_id, job["id"])
    assert call.headers["x-webhook-signature"] == call.headers["x-strait-signature"]
    assert call.headers["x-strait-idempotency-key"].startswith("ik_")
    assert event.replay_key.startswith("rk_")
    assert len(event.replay_key) == len(call.headers["x-strait-idempotency-key"]) == 35
    (delivery,) = await deliveries(world)
    assert delivery["id"] == event.delivery_id
    with pytest.raises(WebhookSignatureError):
        webhooks.unwrap(call.body + b" ", call.headers, subscription["signing_secret"])


async def _fail_by_handler(world: World, job: dict[str, Any]) -> str:
    world.handlers.script = lambda call: Answer(400, b'{"error":"no"}')
    return await world.trigger(job)


async def _fail_by_sdk(world: World, job: dict[str, Any]) -> str:
    world.handlers.script = Gate()
    run_id, handler = await world.executing(job)
    answer = await handler.post(f"/sdk/v1/runs/{run_id}/fail", json={"error": "no"})
    assert answer.status_code == 200
    return run_id


async def _cancel(world: World, job: dict[str, Any]) -> str:
    world.handlers.script = Gate()
    run_id, _ = await world.executing(job)
    assert (await world.api.delete(f"/v1/runs/{run_id}")).status_code == 200
    return run_id


async def _bulk_cancel(world: World, job: dict[str, Any]) -> str:
    world.handlers.script = Gate()
    run_id, _ = await world.executing(job)
    answer = await world.api.post("/v1/runs/bulk-cancel", json={"run_ids": [run_id]})
    assert answer.status_code == 200, answer.text
    return run_id


@pytest.mark.parametrize(
    ("end", "event_type", "status"),
    [
        (_fail_by_handler, "run.failed", "dead_letter"),
        (_fail_by_sdk, "run.failed", "failed"),
        (_cancel, "run.canceled", "canceled"),
        (_bulk_cancel, "run.canceled", "canceled"),
    ],
)
async def test_every_end_of_a_run_is_told(
    world: World, end: Any, event_type: str, status: str
) -> None:
    every = ["run.completed", "run.failed", "run.timed_out", "run.canceled"]
    subscription = await subscribe(world, *every)
    run_id = await end(world, await world.job(max_attempts=1))
    (call,) = await until_received(world)
    event = opened(call, subscription["signing_secret"])
    assert (event.type, event.data["run_id"], event.data["status"]) == (event_type, run_id, status)


async def test_timeouts_and_expiries_are_told(virtual: World) -> None:
    await subscribe(virtual, "run.timed_out", "run.canceled")
    virtual.handlers.script = Gate()
    job = await virtual.job(timeout_secs=30, max_attempts=1, max_concurrency=1)
    slow, _ = await virtual.executing(job)
    expiring = await virtual.trigger(job, ttl_secs=10)
    await virtual.pass_time(11)
    (call,) = await until_received(virtual)
    assert (call.json["type"], call.json["status"]) == ("run.canceled", "expired")
    assert call.json["run_id"] == expiring
    await virtual.pass_time(20)
    *_, call = await until_received(virtual, 2)
    assert (call.json["type"], call.json["run_id"]) == ("run.timed_out", slow)


async def test_only_what_was_subscribed_is_sent_and_only_while_active(world: World) -> None:
    await subscribe(world, "run.failed", path="failed")
    await subscribe(world, "run.completed", path="off", active=False)
    await subscribe(world, "run.completed", path="on")
    await world.trigger(await world.job())
    await until_received(world, path="on")
    assert not received(world, "failed")
    assert not received(world, "off")
    assert len(await deliveries(world)) == 1


@pytest.mark.parametrize(
    ("act", "to"),
    [("complete", "completed"), ("cancel", "canceled"), ("time out", "timed_out")],
)
async def test_every_end_of_a_workflow_run_is_told(still: Flows, act: str, to: str) -> None:
    world = still.world
    subscription = await subscribe(world, "workflow.completed", "workflow.failed")
    workflow = await still.create(event("e", "go"), timeout_secs=60)
    run_id = await still.trigger(workflow)
    match act:
        case "complete":
            await still.send("go", 1)
        case "cancel":
            answer = await still.api.delete(f"/v1/workflow-runs/{run_id}")
            assert answer.status_code == 200, answer.text
        case _:
            await world.pass_time(61)
    (call,) = await until_received(world)
    event_ = opened(call, subscription["signing_secret"])
    assert dict(event_.data) == {
        "type": "workflow_status_change",
        "workflow_run_id": run_id,
        "workflow_id": workflow["id"],
        "project_id": PROJECT,
        "from": "running",
        "to": to,
        "reason": event_.data["reason"],
        "timestamp": event_.data["timestamp"],
    }


async def test_while_a_secret_is_rotated_both_sign_and_afterwards_the_new_one(
    steady: World,
) -> None:
    subscription = await subscribe(steady, "run.completed")
    old = subscription["signing_secret"]
    path = f"/v1/webhooks/subscriptions/{subscription['id']}/rotate-secret"
    answer = await steady.api.post(path, json={"grace_period_minutes": 5})
    assert answer.status_code == 200
    new = answer.json()["new_secret"]
    assert answer.json()["grace_period_minutes"] == 5
    assert new.startswith("whsec_")
    assert new != old
    job = await steady.job()
    await steady.trigger(job)
    (call,) = await until_received(steady)
    assert opened(call, old).type == opened(call, new).type == "run.completed"
    assert verify(
        old, str(int(now(call))), call.headers["x-webhook-signature-old"], call.body, now=now(call)
    )
    await steady.pass_time(301)
    await steady.trigger(job)
    *_, call = await until_received(steady, 2)
    assert opened(call, new)
    assert "x-strait-signature-old" not in call.headers
    with pytest.raises(WebhookSignatureError):
        opened(call, old)


async def test_subscriptions_are_listed_without_their_secrets_and_deleted(world: World) -> None:
    first = await subscribe(world, "run.failed")
    second = await subscribe(world, "run.completed", "workflow.failed")
    listed = await world.api.get("/v1/webhooks/subscriptions")
    assert [one["id"] for one in listed.json()] == [second["id"], first["id"]]
    assert "whsec_" not in listed.text
    dump = "\n".join(world.platform.reader.iterdump())
    assert first["signing_secret"] not in dump
    path = f"/v1/webhooks/subscriptions/{second['id']}"
    assert (await world.api.delete(path)).status_code == 204
    assert (await world.api.delete(path)).status_code == 404
    await world.until(await world.trigger(await world.job()), "completed")
    assert await deliveries(world) == []


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"event_types": ["*"]}, 400, 'invalid event type: "*"'),
        ({"event_types": []}, 422, "validation failed"),
        (
            {"webhook_url": "http://10.0.0.1/"},
            400,
            "invalid webhook_url: `10.0.0.1` is a private address",
        ),
        ({"webhook_url": "ftp://x"}, 400, "invalid webhook_url: scheme must be http or https"),
        ({"project_id": "other"}, 403, "project_id does not match authenticated project"),
    ],
)
async def test_a_subscription_that_cannot_work_is_refused(
    world: World, changes: dict[str, Any], status: int, message: str
) -> None:
    body = {
        "project_id": PROJECT,
        "webhook_url": address(world),
        "event_types": ["run.failed"],
        **changes,
    }
    answer = await world.api.post("/v1/webhooks/subscriptions", json=body)
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, message)


async def test_another_project_sees_none_of_it_and_scopes_hold(world: World) -> None:
    subscription = await subscribe(world, "run.completed")
    stranger = world.client(await world.key_for("*", project="other"))
    assert (await stranger.get("/v1/webhooks/subscriptions")).json() == []
    path = f"/v1/webhooks/subscriptions/{subscription['id']}"
    assert (await stranger.delete(path)).status_code == 404
    assert (await stranger.post(f"{path}/rotate-secret", json={})).status_code == 404
    reader = world.client(await world.key_for("webhooks:read"))
    assert (await reader.get("/v1/webhooks/subscriptions")).status_code == 200
    assert (await reader.delete(path)).status_code == 403


async def test_a_test_message_tells_what_came_back(world: World) -> None:
    world.handlers.scripts["/probe"] = lambda call: Answer(201, b"thanks")
    body = {"url": address(world, "probe"), "secret": "s3cret"}
    answer = (await world.api.post("/v1/webhooks/test", json=body)).json()
    assert (answer["success"], answer["status_code"]) == (True, 201)
    assert answer["response_body"] == "thanks"
    (call,) = received(world, "probe")
    assert webhooks.unwrap(call.body, call.headers, "s3cret").type == "webhook.test"
    world.handlers.scripts["/probe"] = lambda call: Answer(None)
    answer = (await world.api.post("/v1/webhooks/test", json=body)).json()
    assert answer["success"] is False
    assert answer["error"] == "the endpoint closed the connection early"
    refused = await world.api.post("/v1/webhooks/test", json={"url": "http://169.254.169.254/"})
    assert refused.status_code == 400


async def test_the_typed_client_does_all_of_it(world: World) -> None:
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        made = await client.webhooks.create_subscription(
            project_id=PROJECT, webhook_url=address(world), event_types=["run.completed"]
        )
        assert made.subscription is not None
        rotated = await client.webhooks.rotate_subscription_secret(
            made.subscription.id, grace_period_minutes=0
        )
        await client.jobs.trigger((await world.job())["id"])
        (call,) = await until_received(world)
        assert webhooks.unwrap(call.body, call.headers, rotated.new_secret).type == "run.completed"
        with pytest.raises(WebhookSignatureError):
            webhooks.unwrap(call.body, call.headers, made.signing_secret)
        rows = [row async for row in client.webhooks.list_all_deliveries()]
        assert [row.subscription_id for row in rows] == [made.subscription.id]
        await client.webhooks.delete_subscription(made.subscription.id)

"""Notification channels: what chat rooms are told, in their own words (`workflows.md` §2.8)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from strait import AsyncClient, webhooks
from support.handlers import PATIENCE_SECS, Answer, ok
from support.receivers import address, received, until_received
from support.strangers import assert_kept_from_others
from support.workflows import Flows, approval, told
from support.world import World


async def channel(
    world: World, kind: str = "webhook", path: str = "room", **changes: Any
) -> dict[str, Any]:
    field = "url" if kind == "webhook" else "webhook_url"
    body = {"channel_type": kind, "name": "Room", "config": {field: address(world, path)}}
    answer = await world.api.post("/v1/notification-channels", json={**body, **changes})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def sent(world: World) -> list[dict[str, Any]]:
    answer = await world.api.get("/v1/notification-deliveries")
    assert answer.status_code == 200, answer.text
    return list(answer.json())


async def until_sent(world: World, fits: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_SECS):
        while not fits(rows := await sent(world)):
            await world.settled()
    return rows


async def failing(world: World) -> str:
    world.handlers.script = lambda call: Answer(400, b"no")
    run_id = await world.trigger(await world.job(max_attempts=1))
    await world.until(run_id, "dead_letter")
    return run_id


async def test_rooms_are_told_of_a_failed_run_each_in_its_own_form(world: World) -> None:
    for kind in ("slack", "discord", "webhook"):
        world.handlers.scripts[f"/{kind}"] = lambda call: ok()
        config = {"url": address(world, kind), "secret": "s3cret"} if kind == "webhook" else {
            "webhook_url": address(world, kind)
        }  # fmt: skip
        await channel(world, kind, config=config)
    run_id = await failing(world)
    (slack,) = await until_received(world, path="slack")
    assert slack.json["text"].startswith("Strait: run.failed\nrun_id: ")
    assert f"run_id: {run_id}\n" in slack.json["text"]
    (discord,) = await until_received(world, path="discord")
    assert discord.json == {"content": slack.json["text"]}
    (hook,) = await until_received(world, path="webhook")
    event = webhooks.unwrap(hook.body, hook.headers, "s3cret")
    assert event.type == "run.failed"
    assert event.data["data"]["run_id"] == run_id
    rows = await until_sent(world, lambda rows: all(r["status"] == "delivered" for r in rows))
    assert len(rows) == 3
    assert {row["event_type"] for row in rows} == {"run.failed"}
    assert rows[0]["payload"] == event.data["data"]


async def test_rooms_hear_nothing_of_what_went_well(world: World) -> None:
    await channel(world)
    await world.until(await world.trigger(await world.job()), "completed")
    assert await sent(world) == []


async def test_rooms_follow_an_approval_from_request_to_decision(flows: Flows) -> None:
    world = flows.world
    world.handlers.scripts["/room"] = lambda call: ok()
    made = await channel(world)
    run_id = await flows.start(approval("sign"), approval("other"))
    rows = await until_sent(world, lambda rows: len(rows) == 2)
    asked = rows[1]["payload"]
    assert (rows[1]["event_type"], rows[1]["channel_id"]) == ("approval.requested", made["id"])
    assert (asked["workflow_run_id"], asked["step_ref"]) == (run_id, "sign")
    assert (asked["approvers"], asked["expires_at"]) == ([], None)
    await flows.api.post(f"/v1/workflow-runs/{run_id}/steps/sign/approve", json={"approver": "x"})
    rows = await until_sent(world, lambda rows: len(rows) == 3)
    assert rows[0]["event_type"] == "approval.completed"
    assert rows[0]["payload"]["approval_id"] == asked["approval_id"]
    assert rows[0]["payload"]["decision"] == "approved"
    assert rows[0]["payload"]["approved_by"].startswith("apikey:")
    await flows.api.post(f"/v1/workflow-runs/{run_id}/steps/other/skip", json={"reason": "no need"})
    rows = await until_sent(world, lambda rows: len(rows) == 4)
    facts = rows[0]["payload"]
    assert (rows[0]["event_type"], facts["decision"]) == ("approval.completed", "rejected")
    assert facts["reason"] == "no need"


async def test_rooms_are_reminded_once_at_half_time_and_told_when_it_is_over(
    still: Flows,
) -> None:
    world = still.world
    await channel(world)
    await still.start(approval("sign", approval_timeout_secs=600))
    await world.pass_time(299)
    assert [row["event_type"] for row in await sent(world)] == ["approval.requested"]
    await world.pass_time(2)
    rows = await sent(world)
    assert [row["event_type"] for row in rows] == ["approval.reminder", "approval.requested"]
    assert 298 <= rows[0]["payload"]["time_remaining_secs"] <= 300
    await world.pass_time(300)
    kinds = [row["event_type"] for row in await sent(world)]
    assert sorted(kinds) == [
        "approval.expired", "approval.reminder", "approval.requested", "workflow.failed"
    ]  # fmt: skip


async def test_a_step_is_told_of_where_its_definition_asks(flows: Flows) -> None:
    world = flows.world
    await channel(world)
    loud = await flows.job("loud", stage_notifications={"on_complete": True, "on_failure": False})
    quiet = await flows.job("quiet", "loud", stage_notifications={"on_failure": True})
    run_id = await flows.start(loud, quiet)
    await flows.until(run_id, "completed")
    (row,) = await sent(world)
    assert row["event_type"] == "step.completed"
    assert (row["payload"]["step_ref"], row["payload"]["workflow_run_id"]) == ("loud", run_id)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([True], "stage_notifications must be an object"),
        ({"on_complete": "yes"}, "stage_notifications.on_complete must be true or false"),
        (
            {"on_success": True},
            "stage_notifications has on_complete, on_failure, on_skipped, and no on_success",
        ),
    ],
)
async def test_notifications_that_would_never_come_are_refused(
    flows: Flows, asked: object, message: str
) -> None:
    step = await flows.job("a", stage_notifications=asked)
    assert told(await flows.post("", steps=[step])) == (400, message)


async def test_a_room_that_asks_for_patience_gets_it(steady: World) -> None:
    await channel(steady)
    answers = iter([Answer(429), Answer(500), ok()])
    steady.handlers.scripts["/room"] = lambda call: next(answers)
    await failing(steady)
    await until_sent(steady, lambda rows: rows and rows[0]["attempts"] == 1)
    await steady.pass_time(30)
    rows = await until_sent(steady, lambda rows: rows[0]["attempts"] == 2)
    assert (rows[0]["status"], rows[0]["max_attempts"]) == ("pending", 3)
    await steady.pass_time(119)
    assert len(received(steady, "room")) == 2
    await steady.pass_time(1)
    await until_sent(steady, lambda rows: rows[0]["status"] == "delivered")


async def test_a_channel_keeps_its_address_to_itself(world: World) -> None:
    made = await channel(world, "slack", path="T0/B0/hidden")
    assert made["config"] == {"webhook_url": "***"}
    path = f"/v1/notification-channels/{made['id']}"
    assert (await world.api.get(path)).json() == made
    renamed = await world.api.patch(path, json={"name": "Other", "enabled": False})
    assert (renamed.json()["name"], renamed.json()["enabled"]) == ("Other", False)
    assert (await world.api.get("/v1/notification-channels")).json() == [renamed.json()]
    assert "hidden" not in "\n".join(world.platform.reader.iterdump())
    await failing(world)
    assert await sent(world) == []
    assert (await world.api.delete(path)).status_code == 204
    assert (await world.api.get(path)).status_code == 404


async def test_a_channel_that_is_given_back_as_it_was_shown_keeps_its_secrets(
    world: World,
) -> None:
    config = {"url": address(world, "room"), "secret": "whsec_a"}
    made = await channel(world, config=config)
    path = f"/v1/notification-channels/{made['id']}"
    assert (await world.api.patch(path, json={**made, "name": "Other"})).status_code == 200
    moved = {**made["config"], "url": address(world, "hall")}
    assert (await world.api.patch(path, json={"config": moved})).json()["config"] == made["config"]
    await failing(world)
    (call,) = await until_received(world, path="hall")
    webhooks.unwrap(call.body, call.headers, "whsec_a")
    odd = await world.api.patch(path, json={"config": {"url": "***", "token": "***"}})
    message = "config.token is '***', as values are shown: send it"
    assert (odd.status_code, odd.json()["error"]["message"]) == (400, message)


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"config": {}}, 400, "webhook_url is required in config"),
        ({"config": {"webhook_url": ""}}, 400, "webhook_url must be a non-empty string"),
        ({"config": "x"}, 400, "config must be an object"),
        ({"channel_type": "pigeon"}, 422, "validation failed"),
        ({"channel_type": "webhook"}, 400, "url is required in config"),
        (
            {"config": {"webhook_url": "http://192.168.0.1/"}},
            400,
            "invalid webhook_url: `192.168.0.1` is a private address",
        ),
    ],
)
async def test_a_channel_that_cannot_work_is_refused(
    world: World, changes: dict[str, Any], status: int, message: str
) -> None:
    body = {
        "channel_type": "slack", "name": "Room", "config": {"webhook_url": address(world)}
    }  # fmt: skip
    answer = await world.api.post("/v1/notification-channels", json={**body, **changes})
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, message)


async def test_a_channel_cannot_become_one_of_an_unknown_type(world: World) -> None:
    made = await channel(world)
    path = f"/v1/notification-channels/{made['id']}"
    answer = await world.api.patch(path, json={"channel_type": "pigeon"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "unsupported channel type: pigeon"


async def test_another_project_sees_no_channel_and_scopes_hold(world: World) -> None:
    made = await channel(world)
    await failing(world)
    stranger = world.client(await world.key_for("*", project="other"))
    assert (await stranger.get("/v1/notification-deliveries")).json() == []
    await assert_kept_from_others(world, f"/v1/notification-channels/{made['id']}")


async def test_the_typed_client_makes_a_channel_and_lists_what_it_was_sent(world: World) -> None:
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        made = await client.notification_channels.create(
            channel_type="slack", name="Room", config={"webhook_url": address(world, "room")}
        )
        run_id = await failing(world)
        await until_received(world, path="room")
        deliveries = await client.notification_channels.list_deliveries()
        assert [row.channel_id for row in deliveries] == [made.id]
        assert deliveries[0].payload["run_id"] == run_id


async def test_rooms_are_reminded_of_each_time_that_an_approval_is_asked_for(still: Flows) -> None:
    world = still.world
    await channel(world)
    run_id = await still.start(approval("sign", approval_timeout_secs=600))
    for times in (1, 2):
        await world.pass_time(301)
        kinds = [row["event_type"] for row in await sent(world)]
        assert kinds.count("approval.reminder") == times
        await world.pass_time(300)
        await still.did(run_id, "steps/sign/retry")

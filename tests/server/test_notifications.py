"""Who is told that somebody waits for an event (`contract/runs.md` §9.1, D28)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from strait.clock import VirtualClock
from support.handlers import PATIENCE_SECS, Answer, Gate, Handlers, Received, ok
from support.workflows import Flows, event
from support.world import PROJECT, World, world


def told(flows: Flows, path: str = "/told") -> list[Received]:
    return [call for call in flows.world.handlers.received if call.path == path]


async def until_told(flows: Flows, count: int = 1) -> list[Received]:
    """The notices so far, once there are that many."""
    async with asyncio.timeout(PATIENCE_SECS):
        while len(told(flows)) < count:
            await flows.world.handlers.wait(len(flows.world.handlers.received) + 1)
    return told(flows)


async def until_kept(flows: Flows, status: str) -> dict[str, Any]:
    """The wait for `go` once this became of its notice."""

    async def look() -> dict[str, Any]:
        return dict((await flows.api.get("/v1/events/go")).json())

    async with asyncio.timeout(PATIENCE_SECS):
        while (wait := await look())["notify_status"] != status:
            await flows.world.settled()
    return wait


def address(flows: Flows) -> str:
    return f"{flows.world.handlers.url}told"


async def test_d28_the_address_of_a_waiting_step_is_told(flows: Flows) -> None:
    run_id = await flows.start(event("e", "go", event_notify_url=address(flows)))
    (call,) = await until_told(flows)
    wait = await until_kept(flows, "sent")
    assert wait["workflow_run_id"] == run_id
    assert call.json == {
        "event_key": "go",
        "trigger_id": wait["id"],
        "project_id": PROJECT,
        "expires_at": wait["expires_at"],
        "callback_url": "/v1/events/go/send",
    }
    answer = await flows.api.post(call.json["callback_url"], json={"payload": 1})
    assert answer.status_code == 200
    assert (await flows.run(run_id))["status"] == "completed"


async def test_d28_the_address_of_a_waiting_job_is_told(flows: Flows) -> None:
    flows.world.handlers.scripts["/slow"] = Gate()
    run_id, handler = await flows.world.executing(await flows.world.job("slow"))
    body = {"event_key": "pay/1 ü", "notify_url": address(flows)}
    answer = await handler.post(f"/sdk/v1/runs/{run_id}/wait-for-event", json=body)
    assert answer.status_code == 200
    (call,) = await until_told(flows)
    assert call.json["trigger_id"] == answer.json()["trigger_id"]
    flows.world.handlers.scripts["/slow"] = lambda call: ok()
    sent = await flows.api.post(call.json["callback_url"], json={})
    assert sent.status_code == 200
    await flows.world.until(run_id, "completed")


async def test_who_answers_a_notice_with_the_event_at_once_is_remembered_as_told(
    flows: Flows,
) -> None:
    async def script(call: Received) -> Answer:
        sent = await flows.api.post(call.json["callback_url"], json={"payload": "at once"})
        return Answer(sent.status_code)

    flows.world.handlers.scripts["/told"] = script
    run_id = await flows.start(event("e", "go", event_notify_url=address(flows)))
    run = await flows.until(run_id, "completed")
    wait = await until_kept(flows, "sent")
    assert (wait["status"], wait["response_payload"]) == ("received", "at once")
    assert run["status"] == "completed"


async def test_a_notice_is_sent_again_with_growing_pauses_and_then_given_up(
    steady: World,
) -> None:
    still = Flows(steady)
    still.world.handlers.scripts["/told"] = lambda call: Answer(503)
    await still.start(event("e", "go", event_notify_url=address(still)))
    for count, pause_secs in enumerate((5, 25, 125, 625), 1):
        await until_told(still, count)
        await _asleep(still.world)
        await still.world.pass_time(pause_secs - 1)
        assert len(told(still)) == count
        await still.world.pass_time(1)
    await until_told(still, 5)
    wait = await until_kept(still, "failed")
    assert wait["status"] == "waiting"


async def _asleep(virtual: World) -> None:
    """Return once what came of an attempt is kept: the clock knows of a nearer instant."""
    async with asyncio.timeout(PATIENCE_SECS):
        while (due := virtual.clock.next_due()) is None or due > virtual.clock.now() + 700_000_000:
            await virtual.settled()


async def test_a_notice_gets_through_when_the_address_is_back(still: Flows) -> None:
    answers = iter([Answer(500), ok()])
    still.world.handlers.scripts["/told"] = lambda call: next(answers)
    await still.start(event("e", "go", event_notify_url=address(still)))
    await until_told(still)
    await _asleep(still.world)
    await still.world.pass_time(6)
    await until_told(still, 2)
    await until_kept(still, "sent")


@pytest.mark.parametrize("status", [302, 404])
async def test_an_address_that_does_not_want_a_notice_gets_no_more(
    flows: Flows, status: int
) -> None:
    flows.world.handlers.scripts["/told"] = lambda call: Answer(status)
    await flows.start(event("e", "go", event_notify_url=address(flows)))
    await until_kept(flows, "failed")
    assert len(told(flows)) == 1


async def test_nobody_is_told_of_a_wait_that_is_over(still: Flows) -> None:
    still.world.handlers.scripts["/told"] = lambda call: Answer(500)
    await still.start(event("e", "go", event_notify_url=address(still)))
    await until_told(still)
    await _asleep(still.world)
    await still.send("go")
    await still.world.pass_time(6)
    await until_kept(still, "failed")
    assert len(told(still)) == 1


async def test_an_address_that_hangs_holds_nothing_up(flows: Flows) -> None:
    flows.world.handlers.scripts["/told"] = Gate()
    run_id = await flows.start(event("e", "go", event_notify_url=address(flows)))
    await until_told(flows)
    assert (await flows.send("go", 1)).status_code == 200
    run = await flows.until(run_id, "completed")
    assert run["status"] == "completed"


async def test_a_restart_tells_whoever_was_not_told_and_nobody_twice(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    handlers.scripts["/told"] = Gate()  # it is called, and has not answered when the server stops
    async with world(handlers, database, clock=VirtualClock()) as first:
        flows = Flows(first)
        await flows.start(event("e", "go", event_notify_url=address(flows)))
        await until_told(flows)
        assert (await until_kept(flows, "pending"))["status"] == "waiting"
    handlers.scripts["/told"] = lambda call: ok()
    async with world(handlers, database, clock=VirtualClock()) as second:
        flows = Flows(second)
        await until_told(flows, 2)
        await until_kept(flows, "sent")
    async with world(handlers, database, clock=VirtualClock()) as third:
        await third.settled()
        assert len(told(Flows(third))) == 2

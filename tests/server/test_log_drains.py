"""Log drains: every line that is wanted arrives, in order, at least once (`workflows.md` §5.10)."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from strait import AsyncClient
from strait.clock import VirtualClock
from strait.engine.entries import Entry
from strait.server import log_drains as engine
from strait.store import ledger, log_drains
from support.handlers import PATIENCE_SECS, Answer, Gate, Handlers, ok
from support.receivers import address, received, until_received
from support.strangers import assert_kept_from_others
from support.world import PROJECT, World, world

from .conftest import STEADY


async def drain(world: World, path: str = "logs", **fields: Any) -> dict[str, Any]:
    body = {
        "project_id": PROJECT,
        "name": "Logs",
        "drain_type": "http",
        "endpoint_url": address(world, path),
        "auth_type": "none",
        **fields,
    }
    answer = await world.api.post("/v1/log-drains", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def lines(world: World, path: str = "logs") -> list[dict[str, Any]]:
    return [line for call in received(world, path) for line in call.json]


async def until_lines(world: World, fits: Any, path: str = "logs") -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_SECS):
        while not fits(lines(world, path)):
            await world.handlers.wait(len(world.handlers.received) + 1)
    return lines(world, path)


async def history(world: World, *messages: str, level: str = "info", run: str = "run-1") -> None:
    """Write lines into the history of a run."""
    entries = [Entry("log", message, level) for message in messages]
    await world.platform.write(lambda unit: unit.record(run, PROJECT, entries))


async def place(world: World, made: dict[str, Any]) -> int:
    await world.settled()
    return log_drains.cursor(world.platform.reader, made["id"])


async def test_the_history_of_a_run_arrives_whole_and_in_order(world: World) -> None:
    await drain(world)
    world.handlers.script = Gate()
    run_id, handler = await world.executing(await world.job())
    said = {"message": "half way", "level": "warn", "data": {"percent": 50}}
    assert (await handler.post(f"/sdk/v1/runs/{run_id}/log", json=said)).status_code == 201
    await handler.post(f"/sdk/v1/runs/{run_id}/complete", json={"result": 1})
    await until_lines(world, lambda rows: any("completed" in row["message"] for row in rows))
    await world.until(run_id, "completed")
    kept = ledger.lines(world.platform.reader, run_id)
    rows = [row for row in lines(world) if row["run_id"] == run_id]
    assert [row["id"] for row in rows] == [line.id for line in kept][: len(rows)]
    (log,) = [row for row in rows if row["type"] == "log"]
    assert (log["message"], log["level"], log["project_id"]) == ("half way", "warn", PROJECT)
    assert log["data"]["percent"] == 50


async def test_only_the_levels_that_are_wanted_are_sent(steady: World) -> None:
    await drain(steady, level_filter=["warning", "error"])
    await history(steady, "quiet")
    await history(steady, "careful", level="warn")
    await history(steady, "broken", level="error")
    await steady.pass_time(1)
    rows = await until_lines(steady, lambda rows: len(rows) == 2)
    assert [row["message"] for row in rows] == ["careful", "broken"]


@pytest.mark.parametrize("asked_for", ["warn", "Warning"])
async def test_a_level_is_the_same_however_a_handler_spells_it(
    steady: World, asked_for: str
) -> None:
    await drain(steady, level_filter=[asked_for, "ERROR"])
    for level in ("warn", "warning", "WARNING", "Error", "info"):
        await history(steady, level, level=level)
    await steady.pass_time(1)
    rows = await until_lines(steady, lambda rows: len(rows) == 4)
    assert [row["level"] for row in rows] == ["warn", "warning", "WARNING", "Error"]


async def test_lines_wait_a_second_for_each_other_and_no_longer_when_they_are_many(
    steady: World,
) -> None:
    await drain(steady)
    await history(steady, "a")
    await history(steady, "b")
    await steady.pass_time(0.9)
    assert lines(steady) == []
    await steady.pass_time(0.2)
    (call,) = await until_received(steady, path="logs")
    assert [line["message"] for line in call.json] == ["a", "b"]
    await history(steady, *(str(n) for n in range(engine.BATCH_LINES + 1)))
    await until_lines(steady, lambda rows: len(rows) == engine.BATCH_LINES + 3)
    assert [len(call.json) for call in received(steady, "logs")] == [2, engine.BATCH_LINES, 1]


@pytest.mark.parametrize(
    ("auth_type", "config", "header", "value"),
    [
        ("bearer", {"token": "t0k"}, "authorization", "Bearer t0k"),
        (
            "basic",
            {"username": "u", "password": "p"},
            "authorization",
            "Basic " + b64encode(b"u:p").decode(),
        ),
        ("header", {"X-Api-Key": "k3y"}, "x-api-key", "k3y"),
    ],
)
async def test_a_drain_is_shown_who_sends_and_nobody_else_is(
    world: World, auth_type: str, config: dict[str, str], header: str, value: str
) -> None:
    made = await drain(world, auth_type=auth_type, auth_config=config)
    assert made["auth_config"] == dict.fromkeys(config, "***")
    await history(world, "x")
    (call,) = await until_received(world, path="logs")
    assert call.headers[header] == value
    for secret in config.values():
        assert len(secret) < 2 or secret not in "\n".join(world.platform.reader.iterdump())


async def test_a_drain_that_is_given_back_as_it_was_shown_keeps_its_secrets(world: World) -> None:
    made = await drain(world, auth_type="bearer", auth_config={"token": "t0k"})
    body = {name: made[name] for name in ("name", "auth_type", "auth_config")}
    changed = await world.api.patch(f"/v1/log-drains/{made['id']}", json=body)
    assert changed.json()["auth_config"] == {"token": "***"}
    await history(world, "x")
    (call,) = await until_received(world, path="logs")
    assert call.headers["authorization"] == "Bearer t0k"


async def test_a_drain_that_is_down_gets_everything_when_it_is_back(
    steady: World, caplog: pytest.LogCaptureFixture
) -> None:
    made = await drain(steady)
    steady.handlers.scripts["/logs"] = lambda call: Answer(503)
    with caplog.at_level(logging.WARNING, "strait.server"):
        await history(steady, "a")
        await steady.pass_time(1)
        await until_received(steady, path="logs")
        begun = await place(steady, made)
        await history(steady, "b")
        await steady.pass_time(4)
        assert len(received(steady, "logs")) == 1
        steady.handlers.scripts["/logs"] = lambda call: ok()
        await steady.pass_time(2)
    rows = await until_lines(steady, lambda rows: len(rows) == 3)
    assert [row["message"] for row in rows] == ["a", "a", "b"]
    assert rows[0]["id"] == rows[1]["id"]
    assert await place(steady, made) == begun + 2
    assert f"log drain {made['id']}: it answered 503; again in 5 s" in caplog.text


async def test_a_drain_that_takes_less_gets_less_and_loses_only_what_it_refuses(
    steady: World,
) -> None:
    await drain(steady)

    def script(call: Any) -> Answer:
        poison = any(line["message"] == "poison" for line in call.json)
        return Answer(413) if poison or len(call.json) > 2 else ok()

    steady.handlers.scripts["/logs"] = script
    await history(steady, "a", "b", "poison", "c", "d")
    for _ in range(8):
        await steady.pass_time(60)
    took = [
        line["message"]
        for call in received(steady, "logs")
        if len(call.json) <= 2 and "poison" not in [one["message"] for one in call.json]
        for line in call.json
    ]
    assert took == ["a", "b", "c", "d"]


async def test_a_drain_that_was_down_and_refuses_the_line_gets_what_comes_later(
    steady: World,
) -> None:
    answers = iter((Answer(503), Answer(413)))
    steady.handlers.scripts["/logs"] = lambda call: next(answers, ok())
    await drain(steady)
    await history(steady, "poison")
    await steady.pass_time(1)
    await until_received(steady, 1, "logs")
    await steady.settled()
    await steady.pass_time(5)
    await until_received(steady, 2, "logs")
    await steady.settled()
    await history(steady, "later")
    await steady.pass_time(1)
    assert [line["message"] for line in (await until_received(steady, 3, "logs"))[-1].json] == [
        "later"
    ]


async def test_a_disabled_drain_gets_nothing_and_afterwards_what_is_new(steady: World) -> None:
    made = await drain(steady)
    path = f"/v1/log-drains/{made['id']}"
    assert (await steady.api.patch(path, json={"enabled": False})).json()["enabled"] is False
    await history(steady, "while it was off")
    await steady.pass_time(10)
    assert lines(steady) == []
    await steady.api.patch(path, json={"enabled": True})
    await history(steady, "afterwards")
    await steady.pass_time(2)
    rows = await until_lines(steady, lambda rows: rows)
    assert [row["message"] for row in rows] == ["afterwards"]


async def test_what_came_before_a_drain_and_what_is_of_others_is_not_sent(steady: World) -> None:
    await history(steady, "before")
    await drain(steady)
    other = [Entry("log", "of another project")]
    await steady.platform.write(lambda unit: unit.record("run-2", "other", other))
    await history(steady, "mine")
    await steady.pass_time(2)
    rows = await until_lines(steady, lambda rows: rows)
    assert [row["message"] for row in rows] == ["mine"]


async def test_a_drain_that_is_too_far_behind_loses_the_oldest_lines(
    steady: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine, "MAX_BACKLOG", 3)
    await drain(steady)
    await history(steady, *"abcde")
    with caplog.at_level(logging.WARNING, "strait.server"):
        await steady.pass_time(2)
    rows = await until_lines(steady, lambda rows: rows)
    assert [row["message"] for row in rows] == ["c", "d", "e"]
    assert "is too far behind" in caplog.text


async def test_a_restart_goes_on_where_the_last_server_stopped(
    handlers: Handlers, tmp_path: Path
) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    async with world(handlers, database, clock=clock, outside=STEADY) as first:
        await drain(first)
        await history(first, "a")
        await first.pass_time(1)
        await until_lines(first, lambda rows: rows)
        await first.settled()
        await history(first, "b")  # and the server stops before its second is over
    async with world(handlers, database, clock=clock, outside=STEADY) as second:
        rows = await until_lines(second, lambda rows: len(rows) == 2)
        assert [row["message"] for row in rows] == ["a", "b"]


async def test_a_drain_is_shown_changed_and_deleted(world: World) -> None:
    made = await drain(world, level_filter=["error"])
    path = f"/v1/log-drains/{made['id']}"
    assert made["created_at"] > "2020"
    assert (await world.api.get(path)).json() == made
    assert (await world.api.get("/v1/log-drains")).json() == [made]
    changed = await world.api.patch(path, json={"endpoint_url": address(world, "elsewhere")})
    assert changed.json()["level_filter"] == ["error"]
    await history(world, "x", level="error")
    await until_received(world, path="elsewhere")
    assert not received(world, "logs")
    empty = await world.api.patch(path, json={})
    assert (empty.status_code, empty.json()["error"]["message"]) == (400, "no fields to update")
    assert (await world.api.delete(path)).status_code == 204
    assert (await world.api.get(path)).status_code == 404
    assert world.platform.reader.execute("SELECT count(*) FROM drain_cursors").fetchone() == (0,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"auth_type": "bearer"}, "auth_config.token is required for auth_type 'bearer'"),
        (
            {"auth_type": "basic", "auth_config": {"username": "u"}},
            "auth_config.password is required for auth_type 'basic'",
        ),
        (
            {"auth_type": "header", "auth_config": {"a b": "c"}},
            "auth_config.a b is not a header name",
        ),
        (
            {"auth_type": "header", "auth_config": {"X-A": "b\r\nX-C: d"}},
            "auth_config.X-A must be one line of printable ASCII",
        ),
        (
            {"endpoint_url": "http://10.0.0.1/"},
            "invalid endpoint_url: `10.0.0.1` is a private address",
        ),
    ],
)
async def test_a_drain_that_cannot_work_is_refused(
    world: World, fields: dict[str, Any], message: str
) -> None:
    body = {
        "project_id": PROJECT,
        "name": "Logs",
        "drain_type": "http",
        "endpoint_url": address(world, "logs"),
        "auth_type": "none",
        **fields,
    }
    answer = await world.api.post("/v1/log-drains", json=body)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


async def test_another_project_sees_no_drain_and_scopes_hold(world: World) -> None:
    made = await drain(world)
    await assert_kept_from_others(world, f"/v1/log-drains/{made['id']}")


async def test_the_typed_client_makes_a_drain(world: World) -> None:
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        made = await client.log_drains.create(
            project_id=PROJECT,
            name="Logs",
            drain_type="http",
            endpoint_url=address(world, "logs"),
            auth_type="bearer",
            auth_config={"token": "t0ken"},
        )
        await client.jobs.trigger((await world.job())["id"])
        (call, *_) = await until_received(world, path="logs")
        assert call.headers["authorization"] == "Bearer t0ken"
        assert [one.id for one in await client.log_drains.list()] == [made.id]

"""What is purged is in no file any more, and what it was taken from is still told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strait.clock import SystemClock, to_timestamp
from strait.store import maintenance
from strait.store.connection import StoreError
from strait.store.purge import Asked, Purged, UnknownRunError, purge
from support.handlers import Answer, Gate, Handlers, Received, ok
from support.workflows import Flows
from support.world import World
from support.world import world as a_world

SECRET = "Ada-Lovelace-of-12-St-James-Square"
OTHERS = "Charles-Babbage-stays-as-he-is"


def now() -> str:
    return to_timestamp(SystemClock().now())


def in_files(database: Path, text: str) -> set[str]:
    """The files of a database that a text is in."""
    files = database.parent.glob(f"{database.name}*")
    return {file.name for file in files if text.encode() in file.read_bytes()}


async def leave(world: World, user: int, text: str) -> dict[str, str]:
    """Leave runs of a person behind whose text is wherever a text can be."""
    gate = Gate(ok({"said": text}))
    quick = await world.job("quick", max_attempts=1, webhook_url=world.handlers.url)
    slow = await world.job("slow", timeout_secs=60)

    async def script(call: Received) -> Answer:
        return await gate(call) if call.path == "/slow" else ok({"said": text})

    world.handlers.script = script
    body = {"user": {"id": user, "name": text}}
    run_id = await world.trigger(slow, body, tags={"person": text}, metadata={"person": text})
    (call, *_) = await world.handlers.wait(1, run_id)
    await world.until(run_id, "executing")
    handler = world.handler(call.token)
    for path, report in (
        ("checkpoint", {"state": {"name": text}}),
        ("output", {"output_key": "letter", "value": text}),
        ("state", {"key": "name", "value": text}),
        ("log", {"message": text, "data": {"name": text}}),
        ("progress", {"percent": 1, "message": text}),
        ("tool-call", {"tool_name": "write", "input": {"to": text}, "output": {"of": text}}),
        ("annotate", {"annotations": {"name": text}}),
    ):
        answer = await handler.post(f"/sdk/v1/runs/{run_id}/{path}", json=report)
        assert answer.status_code < 300, (path, answer.text)
    spawned = await handler.post(
        f"/sdk/v1/runs/{run_id}/spawn",
        json={"job_slug": quick["slug"], "project_id": "proj-1", "payload": {"name": text}},
    )
    child = spawned.json()["id"]
    gate.open()
    for one in (run_id, child):
        await world.until(one, "completed")
    flows = Flows(world)
    flow = await flows.start(await flows.job(f"step-{user}", returns=text), payload=body)
    await flows.until(flow, "completed")
    return {"run": run_id, "child": child, "flow": flow, "job": quick["id"]}


@pytest.fixture
async def left(handlers: Handlers, tmp_path: Path) -> tuple[Path, dict[str, str], dict[str, str]]:
    """A database with the runs of two people, whose server has ended."""
    database = tmp_path / "strait.db"
    async with a_world(handlers, database) as world:
        mine = await leave(world, 42, SECRET)
        others = await leave(world, 43, OTHERS)
        await world.settled()
    assert in_files(database, SECRET)
    return database, mine, others


Left = tuple[Path, dict[str, str], dict[str, str]]


async def test_the_payloads_of_one_person_are_in_no_file_any_more(
    left: Left, handlers: Handlers
) -> None:
    database, mine, others = left
    asked = Asked(where=("user.id", "42"))
    counted = purge(database, asked, now(), dry_run=True)
    assert in_files(database, SECRET)
    done = purge(database, asked, now())
    # The run, its child, and the run of the workflow's step.
    assert done == counted == Purged(3, 1, 0, 0)
    assert in_files(database, SECRET) == set()
    assert in_files(database, OTHERS)
    assert maintenance.check(database).problems == ()
    async with a_world(handlers, database) as world:
        for name in ("run", "child"):
            run = await world.run(mine[name])
            assert run["status"] == "completed"
            assert set(run["payload"]) == set(run["result"]) == {"purged_at"}
            events = (await world.api.get(f"/v1/runs/{run['id']}/events")).json()["data"]
            assert events[-1]["message"] == "payloads purged"
            assert "executing -> completed" in [event["message"] for event in events]
        for path in ("checkpoints", "outputs", "state", "tool-calls", "debug-bundle"):
            shown = await world.api.get(f"/v1/runs/{mine['run']}/{path}")
            assert shown.status_code == 200, (path, shown.text)
        flow = await Flows(world).run(mine["flow"])
        assert (flow["status"], set(flow["payload"])) == ("completed", {"purged_at"})
        assert (await world.run(others["run"]))["result"] == {"said": OTHERS}


async def test_one_run_is_purged_by_its_id(left: Left) -> None:
    database, mine, others = left
    assert purge(database, Asked(run_id=others["child"]), now()) == Purged(1, 0, 0, 0)
    assert purge(database, Asked(run_id=mine["flow"]), now()) == Purged(1, 1, 0, 0)
    with pytest.raises(UnknownRunError, match="has no run or workflow run `none`"):
        purge(database, Asked(run_id="none"), now())
    assert in_files(database, SECRET), "the other run of this person was not meant"


async def test_all_that_is_old_is_purged(left: Left) -> None:
    database, _, _ = left
    assert purge(database, Asked(ended_before="2020"), now()) == Purged(0, 0, 0, 0)
    done = purge(database, Asked(ended_before="9999"), now())
    assert (done.workflow_runs, done.unfinished) == (2, 0)
    assert in_files(database, SECRET) == in_files(database, OTHERS) == set()


async def test_what_is_not_over_is_left_alone_and_counted(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    handlers.script = Gate()
    async with a_world(handlers, database) as world:
        await world.executing(await world.job(), {"user": {"id": 42, "name": SECRET}})
        job: dict[str, Any] = await world.job(debounce_window_secs=60)
        answer = await world.api.post(
            f"/v1/jobs/{job['id']}/trigger", json={"payload": {"user": {"id": 42}}}
        )
        assert answer.status_code < 300, answer.text
    done = purge(database, Asked(where=("user.id", "42")), now())
    assert done == Purged(0, 0, 1, 1)
    assert in_files(database, SECRET)


async def test_an_answer_that_is_kept_for_a_key_keeps_no_payload(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    body = {"payload": {"user": {"id": 42, "name": SECRET}}}
    async with a_world(handlers, database) as world:
        caller = world.key
        flows = Flows(world)
        workflow = await flows.create(await flows.job("one", returns=1))
        path, key = f"/v1/workflows/{workflow['id']}/trigger", {"Idempotency-Key": "once"}
        first = (await world.api.post(path, json=body, headers=key)).json()
        await flows.until(first["id"], "completed")
    assert purge(database, Asked(where=("user.name", SECRET)), now()).workflow_runs == 1
    assert in_files(database, SECRET) == set()
    async with a_world(handlers, database) as world:
        again = await world.client(caller).post(path, json=body, headers=key)
        assert again.json()["id"] == first["id"]
        assert again.headers["idempotency-replayed"] == "true"


async def test_an_older_schema_is_not_purged(left: Left) -> None:
    import sqlite3

    database, _, _ = left
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA user_version = 1")
    db.close()
    with pytest.raises(StoreError, match="strait db migrate"):
        purge(database, Asked(run_id="x"), now())

"""Runs go when they were over for long enough, and never what somebody needs."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from strait.clock import SECOND, VirtualClock, to_timestamp
from strait.store import ledger, maintenance
from support.handlers import Answer, Gate, Handlers, ok
from support.workflows import Flows, approval, child
from support.world import World
from support.world import world as a_world

from .test_activity_streams import ACTIVITY, frames
from .test_log_drains import drain, until_lines

DAY = 86_400
Keeping: TypeAlias = Callable[..., AbstractAsyncContextManager[World]]
# What a run leaves; the rest of the tables holds what somebody has defined.
LEFT = (
    *("runs", "run_tags", "ledger", "checkpoints", "run_state", "run_outputs", "run_samples"),
    *("batches", "event_triggers", "workflow_runs", "step_runs", "approvals"),
    "workflow_snapshots",
)


@pytest.fixture
def keeping(handlers: Handlers, tmp_path: Path) -> Keeping:
    """Start a world that keeps runs for a time only; its clock is moved by the test."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[World]:
        database = tmp_path / "strait.db"
        async with a_world(handlers, database, clock=VirtualClock(), **settings) as made:
            yield made
        assert maintenance.check(database).problems == ()

    return start


def rows(world: World) -> dict[str, int]:
    """How many rows there are in each table that has any, but for the line that holds a place."""
    sources = {table: table for table in LEFT} | {"ledger": "ledger WHERE subject <> ''"}
    counts = {
        table: int(world.platform.reader.execute(f"SELECT count(*) FROM {source}").fetchone()[0])
        for table, source in sources.items()
    }
    return {table: count for table, count in counts.items() if count}


async def last_place(response: httpx.Response) -> str:
    """The place at which a stream begins."""
    async for line in response.aiter_lines():
        if line.startswith("id:"):
            return line.removeprefix("id:").strip()
    raise AssertionError("the stream has ended")


async def status_of(world: World, run_id: str) -> int:
    return (await world.api.get(f"/v1/runs/{run_id}")).status_code


async def a_run_with_everything(world: World) -> str:
    gate = Gate(ok("done"))
    world.handlers.script = gate
    run_id, handler = await world.executing(await world.job(tags={"team": "blue"}))
    usage = {"provider": "p", "model": "m", "prompt_tokens": 1, "cost_microusd": 70}
    for path, body in (
        ("usage", usage),
        ("checkpoint", {"state": {"at": 3}}),
        ("output", {"output_key": "o", "value": 1}),
        ("state", {"key": "k", "value": 1}),
        ("log", {"message": "here"}),
    ):
        answer = await handler.post(f"/sdk/v1/runs/{run_id}/{path}", json=body)
        assert answer.status_code < 300, answer.text
    gate.open()
    await world.until(run_id, "completed")
    return run_id


async def test_a_run_goes_with_all_that_is_its_own_once_it_is_too_old(keeping: Keeping) -> None:
    async with keeping(retain_days=2) as world:
        run_id = await a_run_with_everything(world)
        assert {"runs", "run_tags", "ledger", "checkpoints", "run_samples"} <= set(rows(world))
        await world.pass_time(2 * DAY - 7_200)
        assert await status_of(world, run_id) == 200
        await world.pass_time(4 * 3_600)
        assert await status_of(world, run_id) == 404
        assert rows(world) == {}
        (spent,) = world.platform.reader.execute("SELECT sum(microusd) FROM spend").fetchone()
        assert spent == 70, "what was spent is no part of a run"


async def test_usage_does_not_grow_less_when_runs_go(keeping: Keeping) -> None:
    async with keeping(retain_days=2) as world:
        world.handlers.script = lambda call: ok()
        job = await world.job()
        for _ in range(2):
            await world.until(await world.trigger(job), "completed")
        await world.pass_time(4 * DAY)
        assert rows(world) == {}
        await world.until(await world.trigger(job), "completed")
        usage = (await world.api.get("/v1/usage/current")).json()["usage"]
        assert (usage["monthly_runs"]["used"], usage["runs_today"]["used"]) == (3, 1)
        assert usage["retention_days"] == 2
        days = {"from": "2026-01-01", "to": "2026-01-05"}
        history = (await world.api.get("/v1/usage/history", params=days)).json()
        assert [day["runs_count"] for day in history] == [2, 0, 0, 0, 1]


async def test_who_follows_the_ledger_misses_nothing_after_all_of_it_went(
    keeping: Keeping,
) -> None:
    """SQLite would number the next line like the first one that went."""
    async with keeping(retain_days=2) as world:
        await drain(world)
        job = await world.job()
        old = await world.trigger(job)
        await world.until(old, "completed")
        await world.pass_time(1)
        before = await until_lines(world, lambda lines: any(row["run_id"] == old for row in lines))
        async with world.api.stream("GET", ACTIVITY) as response:
            place = await last_place(response)
        await world.pass_time(3 * DAY)
        assert rows(world) == {}
        new = await world.trigger(job)
        await world.until(new, "completed")
        await world.pass_time(1)
        after = await until_lines(world, lambda lines: len(lines) > len(before))
        assert [row["id"] for row in after[len(before) :]] == [
            line.id for line in ledger.lines(world.platform.reader, new)
        ]
        headers = {"Last-Event-ID": place}
        async with world.api.stream("GET", ACTIVITY, headers=headers) as response:
            told = [json.loads(frame["data"]) for frame in await frames(response, 3)]
        assert [(one.get("run_id"), one.get("to")) for one in told] == [
            (new, "queued"), (new, "executing"), (new, "completed"),
        ]  # fmt: skip


async def test_nothing_goes_unless_somebody_says_so(keeping: Keeping) -> None:
    async with keeping() as world:
        run_id = await a_run_with_everything(world)
        await world.pass_time(100 * DAY)
        assert await status_of(world, run_id) == 200


async def test_the_newest_runs_stay_and_none_goes_while_its_key_answers(keeping: Keeping) -> None:
    async with keeping(retain_runs=2) as world:
        world.handlers.script = lambda call: ok()
        job = await world.job()
        made = [await world.trigger(job, key=f"key-{n}") for n in range(5)]
        for run_id in made:
            await world.until(run_id, "completed")
        await world.pass_time(DAY - 7_200)
        assert await world.trigger(job, key="key-0") == made[0]
        await world.pass_time(4 * 3_600)
        assert [await status_of(world, run_id) for run_id in made] == [404, 404, 404, 200, 200]
        assert await world.trigger(job, key="key-0") != made[0]


async def test_many_go_in_parts(keeping: Keeping) -> None:
    async with keeping(retain_days=1) as world:
        world.handlers.script = lambda call: ok()
        job = await world.job()
        items = [{"payload": n} for n in range(250)]
        for _ in range(2):
            made = await world.api.post(f"/v1/jobs/{job['id']}/trigger/bulk", json={"items": items})
            assert made.status_code < 300, made.text
        for run_id in [row["id"] for row in made.json()["results"]]:
            await world.until(run_id, "completed")
        await world.pass_time(DAY + 2 * 3_600)
        assert rows(world) == {}


async def test_what_a_living_child_needs_stays(keeping: Keeping) -> None:
    async with keeping(retain_days=1) as world:
        gates = {"/child": Gate(ok()), "/parent": Gate(ok())}
        world.handlers.scripts = dict(gates)
        job, slow = await world.job("parent"), await world.job("child")
        parent, handler = await world.executing(job)
        spawned = await handler.post(
            f"/sdk/v1/runs/{parent}/spawn", json={"job_slug": slow["slug"], "project_id": "proj-1"}
        )
        assert spawned.status_code == 201, spawned.text
        young = spawned.json()["id"]
        (call, *_) = await world.handlers.wait(1, young)
        await world.until(young, "executing")
        waits = await world.handler(call.token).post(
            f"/sdk/v1/runs/{young}/wait-for-event",
            json={"event_key": "go", "timeout_secs": 5 * DAY},
        )
        assert waits.status_code < 300, waits.text
        gates["/parent"].open()
        await world.until(parent, "completed")
        await world.pass_time(3 * DAY)
        assert await status_of(world, parent) == 200, "its child waits"
        gates["/child"].open()
        assert (await world.api.post("/v1/events/go/send", json={})).status_code == 200
        await world.until(young, "completed")
        await world.pass_time(4 * 3_600)
        assert await status_of(world, parent) == 404, "nobody living needs it"
        assert await status_of(world, young) == 200
        await world.pass_time(2 * DAY)
        assert rows(world) == {}


async def test_what_a_dead_letter_has_started_stays_with_it(keeping: Keeping) -> None:
    async with keeping(retain_days=1) as world:
        gate = Gate(Answer(404))
        world.handlers.scripts = {"/parent": gate, "/child": lambda call: ok()}
        job, other = await world.job("parent"), await world.job("child")
        body = {"job_slug": other["slug"], "project_id": "proj-1", "spawn_key": "one"}
        parent, handler = await world.executing(job)
        spawned = await handler.post(f"/sdk/v1/runs/{parent}/spawn", json=body)
        assert spawned.status_code == 201, spawned.text
        child_id = spawned.json()["id"]
        await world.until(child_id, "completed")
        wake_at = to_timestamp(world.clock.now() + 2 * DAY * SECOND)
        asleep = await handler.post(f"/sdk/v1/runs/{parent}/suspend", json={"wake_at": wake_at})
        assert asleep.status_code == 200, asleep.text
        gate.open()
        await world.pass_time(2 * DAY)
        await world.until(parent, "dead_letter")
        await world.pass_time(4 * 3_600)
        world.handlers.scripts["/parent"] = Gate(ok())
        calls = len(world.handlers.of(parent))
        assert (await world.api.post(f"/v1/runs/{parent}/dlq-replay", json={})).status_code == 200
        call = (await world.handlers.wait(calls + 1, parent))[-1]
        again = await world.handler(call.token).post(f"/sdk/v1/runs/{parent}/spawn", json=body)
        assert again.json()["id"] == child_id, "its work would be done twice"


async def test_what_a_dependent_job_waits_for_stays(keeping: Keeping) -> None:
    async with keeping(retain_days=1) as world:
        world.handlers.script = lambda call: ok()
        first, second = await world.job(), await world.job()
        answer = await world.api.post(
            f"/v1/jobs/{second['id']}/dependencies",
            json={"depends_on_job_id": first["id"], "condition": "completed"},
        )
        assert answer.status_code == 201, answer.text
        older, newer = [await world.trigger(first) for _ in range(2)]
        for run_id in (older, newer):
            await world.until(run_id, "completed")
        await world.pass_time(5 * DAY)
        assert await status_of(world, older) == 404
        assert await status_of(world, newer) == 200
        await world.until(await world.trigger(second), "completed")


async def test_a_workflow_run_goes_as_one(keeping: Keeping) -> None:
    async with keeping(retain_days=1) as world:
        flows = Flows(world)
        inner = await flows.create(await flows.job("in"), approval("ask", "in"))
        outer = await flows.create(await flows.job("out"), child("sub", inner, "out"))
        run_id = await flows.trigger(outer, {"n": 1})
        await flows.until_step(run_id, "sub", "running")
        (started,) = [
            run["id"] for run in (await flows.get("", limit=10))["data"] if run["id"] != run_id
        ]
        await flows.until_step(started, "ask", "waiting")
        await world.pass_time(20 * 3_600)
        before = rows(world)
        await world.pass_time(20 * 3_600)
        assert rows(world)["runs"] == before["runs"] == 2, "the workflow is not over"
        await flows.did(started, "steps/ask/approve")
        await flows.until(run_id, "completed")
        await world.pass_time(DAY + 7_200)
        assert rows(world) == {}
        again = await flows.trigger(outer, {"n": 2})
        await flows.until_step(again, "sub", "running")


async def test_a_step_that_was_replayed_later_keeps_its_workflow_run(keeping: Keeping) -> None:
    async with keeping(retain_days=1) as world:
        flows = Flows(world)
        step = await flows.job("paid", script=lambda call: Answer(404))
        workflow_run = await flows.trigger(await flows.create(step))
        await flows.until(workflow_run, "failed")
        listed = (await world.api.get("/v1/runs/dlq")).json()["data"]
        (run_id,) = [run["id"] for run in listed]
        await world.pass_time(20 * 3_600)
        world.handlers.scripts["/paid"] = lambda call: ok("done")
        assert (await world.api.post(f"/v1/runs/{run_id}/dlq-replay", json={})).status_code == 200
        await world.until(run_id, "completed")
        await world.pass_time(8 * 3_600)
        assert await status_of(world, run_id) == 200, "it is over since eight hours"
        await world.pass_time(DAY)
        assert await status_of(world, run_id) == 404


async def test_what_goes_is_in_the_archive_first(keeping: Keeping, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    async with keeping(retain_days=1, archive_dir=archive) as world:
        run_id = await a_run_with_everything(world)
        shown = await world.run(run_id)
        flows = Flows(world)
        flow = await flows.start(await flows.job("one", returns=1))
        await flows.until(flow, "completed")
        await world.pass_time(DAY + 7_200)
        assert rows(world) == {}
    lines = archived(archive)
    assert lines[run_id]["runs"][0]["doc"]["id"] == run_id
    assert lines[run_id]["runs"][0]["result"] == shown["result"]
    assert lines[run_id]["checkpoints"][0]["doc"]["state"] == {"at": 3}
    assert [line["seq"] for line in lines[run_id]["ledger"]] == list(
        range(1, len(lines[run_id]["ledger"]) + 1)
    )
    assert lines[flow]["step_runs"][0]["step_ref"] == "one"
    assert len(lines) == 3, "the run of the step is a line too"
    assert {file.stat().st_mode & 0o777 for file in archive.iterdir()} == {0o600}


def archived(directory: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    found = {}
    for file in directory.iterdir():
        with gzip.open(file, "rt", encoding="utf-8") as text:
            for line in map(json.loads, text):
                found[line["id"]] = line["rows"]
    return found


async def test_a_setting_that_lacks_another_one_is_told(
    keeping: Keeping, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with keeping(archive_dir=tmp_path / "archive", grpc_tls_cert=tmp_path / "cert.pem"):
        assert "nothing will be archived: runs are kept for ever without" in caplog.text
        assert "no workers will be served: `--grpc-tls-cert` needs `--grpc-port`" in caplog.text
    caplog.clear()
    async with keeping(archive_dir=tmp_path / "archive", retain_runs=1):
        assert caplog.text == ""


async def test_what_cannot_be_archived_is_kept(
    keeping: Keeping, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = tmp_path / "archive"
    archive.write_text("a file where the directory should be")
    async with keeping(retain_days=1, archive_dir=archive) as world:
        # It is said at once, and not only when the first run is too old.
        assert "old runs will be kept, since they cannot be archived" in caplog.text
        caplog.clear()
        run_id = await a_run_with_everything(world)
        with caplog.at_level(logging.ERROR, "strait.server"):
            await world.pass_time(DAY + 2 * 3_600)
        assert await status_of(world, run_id) == 200
        assert "cannot be archived" in caplog.text
        archive.unlink()
        await world.pass_time(2 * 3_600)
        assert await status_of(world, run_id) == 404
    assert run_id in archived(archive)

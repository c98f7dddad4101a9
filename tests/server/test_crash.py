"""Nothing acknowledged is lost: not by `kill -9`, not by a clean stop, not by a full disk."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import strait
from strait import webhooks
from strait.fsm import is_terminal_run_status
from strait.store.owner import OwnedError
from support.handlers import Answer, Gate, Handlers, Received, ok
from support.world import World
from support.world import world as a_world

PROGRAM = Path(__file__).parents[1] / "support" / "server_process.py"
RUNS = 300
HELD = 20


class ServerProcess:
    """A server in a child process."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        self.process = process
        self.base_url = str(ready["base_url"])
        self.api = self.client(ready["key"])

    def client(self, key: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.base_url, headers={"Authorization": f"Bearer {key}"}, timeout=20
        )

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def server_process(database: Path) -> AsyncIterator[ServerProcess]:
    source = str(Path(strait.__file__).parents[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        str(database),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert process.stdout is not None
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        server = ServerProcess(process, ready)
        yield server
        await server.api.aclose()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def history(server: ServerProcess, run_id: str) -> list[dict[str, Any]]:
    """The changes of status of a run, once it is over: its stream ends with it."""
    async with (
        asyncio.timeout(30),
        server.api.stream(
            "GET", f"/v1/runs/{run_id}/stream", headers={"Last-Event-ID": "0"}
        ) as stream,
    ):
        assert stream.status_code == 200
        lines = [line async for line in stream.aiter_lines()]
    frames = [json.loads(line.removeprefix("data: ")) for line in lines if line[:6] == "data: "]
    return [frame for frame in frames if frame["type"] == "status_change"]


@pytest.mark.e2e
async def test_a_server_that_is_killed_loses_nothing_and_dispatches_again(
    handlers: Handlers, tmp_path: Path
) -> None:
    gate = Gate(ok("late"))

    async def script(call: Received) -> Answer:
        # A few handlers are still at work when the server dies, and go on without it.
        return await gate(call) if call.json["n"] < HELD else ok("quick")

    handlers.script = script
    acknowledged: dict[int, str] = {}
    async with server_process(tmp_path / "strait.db") as first:
        job = await make_job(first, handlers)

        async def trigger(numbers: list[int]) -> None:
            for n in numbers:
                with suppress(httpx.TransportError):
                    answer = await first.api.post(
                        f"/v1/jobs/{job}/trigger", json={"payload": {"n": n}}
                    )
                    assert answer.status_code == 201
                    acknowledged[n] = answer.json()["id"]
                if len(acknowledged) == RUNS // 2 and first.process.returncode is None:
                    first.process.send_signal(signal.SIGKILL)

        await asyncio.gather(*(trigger(list(range(start, RUNS, 8))) for start in range(8)))
        await first.process.wait()
    assert RUNS // 2 <= len(acknowledged) < RUNS

    at_work = {call.run_id: call for call in handlers.received if call.json["n"] < HELD}
    assert len(at_work) == HELD
    async with server_process(tmp_path / "strait.db") as second:
        for run_id, old in at_work.items():
            *_, new = await handlers.wait(2, run_id)
            assert (old.attempt, new.attempt) == (1, 1)
            assert old.token != new.token
            log = f"/sdk/v1/runs/{run_id}/log"
            async with second.client(old.token) as ghost, second.client(new.token) as handler:
                refused = await ghost.post(log, json={"message": "boo"})
                assert refused.status_code == 401
                assert refused.json()["error"]["message"] == "run token assignment mismatch"
                assert (await handler.post(log, json={"message": "here"})).status_code == 201
        gate.open()
        for run_id in acknowledged.values():
            changes = await history(second, run_id)
            ends = [change["to"] for change in changes if is_terminal_run_status(change["to"])]
            assert ends == ["completed"]


async def make_job(server: ServerProcess, handlers: Handlers) -> str:
    answer = await server.api.post(
        "/v1/jobs",
        json={
            "project_id": "proj-1",
            "name": "Job",
            "slug": "job",
            "endpoint_url": handlers.url,
            "max_attempts": 1,
        },
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.mark.e2e
async def test_a_server_that_is_killed_loses_no_delivery(
    handlers: Handlers, tmp_path: Path
) -> None:
    runs = 60
    handlers.scripts["/hook"] = Gate()  # receivers have it, and the server never learns of it
    async with server_process(tmp_path / "strait.db") as first:
        job = await make_job(first, handlers)
        subscribed = await first.api.post(
            "/v1/webhooks/subscriptions",
            json={
                "project_id": "proj-1",
                "webhook_url": f"{handlers.url}hook",
                "event_types": ["run.completed"],
            },
        )
        secret = subscribed.json()["signing_secret"]
        made = [await first.api.post(f"/v1/jobs/{job}/trigger", json={}) for _ in range(runs)]
        ids = {answer.json()["id"] for answer in made}
        for run_id in ids:
            await history(first, run_id)  # it has ended, so that its delivery is on disk
        await first.kill()
    early = [call for call in handlers.received if call.path == "/hook"]
    assert 0 < len(early) < runs
    handlers.scripts["/hook"] = lambda call: ok()
    async with server_process(tmp_path / "strait.db") as second:

        async def arrived() -> int:
            query = {"status": "delivered", "limit": "100"}
            answer = await second.api.get("/v1/webhooks/deliveries", params=query)
            return len(answer.json()["data"])

        async with asyncio.timeout(30):
            while await arrived() < runs:
                await handlers.wait(len(handlers.received))
    late = [call for call in handlers.received if call.path == "/hook"][len(early) :]
    assert {call.json["run_id"] for call in late} == ids
    assert len(late) == runs
    for call in late:
        assert webhooks.unwrap(call.body, call.headers, secret).attempt == "1/3"


@pytest.mark.e2e
async def test_a_server_that_is_asked_to_stop_lets_handlers_finish(
    handlers: Handlers, tmp_path: Path
) -> None:
    gate = Gate(ok("finished"))
    handlers.script = gate
    async with server_process(tmp_path / "strait.db") as first:
        job = await make_job(first, handlers)
        answer = await first.api.post(f"/v1/jobs/{job}/trigger")
        run_id = answer.json()["id"]
        (call,) = await handlers.wait(1, run_id)
        first.process.terminate()
        async with first.client(call.token) as handler:
            # Until its handlers are done the server goes on serving them.
            said = await handler.post(f"/sdk/v1/runs/{run_id}/log", json={"message": "nearly"})
            assert said.status_code == 201
        gate.open()
        assert await asyncio.wait_for(first.process.wait(), 20) == 0
    async with server_process(tmp_path / "strait.db") as second:
        run = (await second.api.get(f"/v1/runs/{run_id}")).json()
        assert (run["status"], run["result"]) == ("completed", "finished")
    assert len(handlers.received) == 1


async def test_what_did_not_finish_in_time_is_dispatched_again_by_the_next_server(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    handlers.script = Gate()
    async with a_world(handlers, database) as first:
        job = await first.job(max_concurrency=1)
        executing, _ = await first.executing(job)
        queued = await first.trigger(job)
    handlers.script = lambda call: ok()
    async with a_world(handlers, database) as second:
        for run_id in (executing, queued):
            run = await second.until(run_id, "completed")
            assert run["attempt"] == 1
    assert len(handlers.of(executing)) == 2
    assert len(handlers.of(queued)) == 1


async def test_timers_waits_and_schedules_survive_a_restart(
    handlers: Handlers, tmp_path: Path
) -> None:
    from strait.clock import VirtualClock

    database, clock = tmp_path / "strait.db", VirtualClock()
    handlers.script = Gate()
    async with a_world(handlers, database, clock=clock) as first:
        delayed = await first.trigger(await first.job(), scheduled_at="2026-01-01T01:00:00Z")
        await first.job("cron", cron="30 * * * *")
        waiting, handler = await first.executing(await first.job())
        await handler.post(
            f"/sdk/v1/runs/{waiting}/wait-for-event",
            json={"event_key": "never", "timeout_secs": 7200},
        )
    clock.advance(600)
    handlers.script = lambda call: ok()
    async with a_world(handlers, database, clock=clock) as second:
        await second.pass_time(3600)
        await second.until(delayed, "completed")
        assert [call.path for call in handlers.received].count("/cron") == 1
        await second.pass_time(3600)
        await second.until(waiting, "timed_out")


async def test_the_time_without_a_server_takes_nothing_from_a_run(
    handlers: Handlers, tmp_path: Path
) -> None:
    from strait.clock import VirtualClock

    database, clock = tmp_path / "strait.db", VirtualClock()
    handlers.script = Gate()
    async with a_world(handlers, database, clock=clock) as first:
        job = await first.job(max_concurrency=1, timeout_secs=30)
        executing, _ = await first.executing(job)
        queued = await first.trigger(job)
    clock.advance(86_400)
    handlers.script = lambda call: ok()
    async with a_world(handlers, database, clock=clock) as second:
        for run_id in (executing, queued):
            await second.until(run_id, "completed")


async def test_a_database_that_is_served_is_refused_to_another_server(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    async with a_world(handlers, database) as first:
        with pytest.raises(OwnedError, match=f"process {os.getpid()}, serving http"):
            async with a_world(handlers, database):
                pass
        assert (await first.api.get("/v1/jobs")).status_code == 200


async def test_a_run_that_is_due_while_the_disk_is_full_starts_when_there_is_room(
    virtual: World,
) -> None:
    job = await virtual.job()
    run_id = await virtual.trigger(job, scheduled_at="2026-01-01T00:01:00Z")
    connection = virtual.platform.writer.connection
    fill_the_disk(connection, beside=run_id)
    await virtual.pass_time(60)
    assert (await virtual.run(run_id))["status"] in {"delayed", "queued"}
    connection.execute("PRAGMA max_page_count=1000000")
    connection.execute("DELETE FROM ledger WHERE type = ''")
    await virtual.pass_time(5)
    run = await virtual.until(run_id, "completed")
    assert run["attempt"] == 1


def fill_the_disk(connection: sqlite3.Connection, *, beside: str) -> None:
    """Leave no room for one more line in the history of a run."""
    connection.execute("PRAGMA max_page_count=1")  # SQLite takes what is there now
    # These go to the same pages, of the table and of its index, as the lines of the run.
    filler = (
        "INSERT INTO ledger (subject, seq, project_id, at, type, level, message) "
        f"VALUES ('{beside}', ?, '', '', '', '', '')"
    )
    with suppress(sqlite3.OperationalError):
        for seq in range(1_000_000, 1_100_000):
            connection.execute(filler, (seq,))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        connection.execute(filler, (999_999,))


async def test_a_full_disk_is_503_and_passes(virtual: World) -> None:
    gate = Gate(ok("x" * 50_000))
    virtual.handlers.script = gate
    job = await virtual.job()
    run_id, _ = await virtual.executing(job)
    await virtual.settled()
    connection = virtual.platform.writer.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    refused = await virtual.api.post(
        f"/v1/jobs/{job['id']}/trigger", json={"payload": "y" * 50_000}
    )
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "service_unavailable"
    assert (await virtual.api.get("/v1/jobs")).status_code == 200
    gate.open()
    await virtual.settled()
    assert (await virtual.run(run_id))["status"] == "executing"
    connection.execute("PRAGMA max_page_count=1000000")
    await virtual.pass_time(2)
    await virtual.until(run_id, "completed")
    await virtual.until(await virtual.trigger(job, "y" * 50_000), "completed")

"""Whatever the disk does, no acknowledged write is lost, and it is said what is wrong."""

from __future__ import annotations

import asyncio
import logging
import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from strait.clock import VirtualClock
from strait.server.outside import Outside
from strait.server.run import Server
from strait.server.settings import Settings
from strait.server.work import due
from strait.store import maintenance
from strait.store.connection import StoreError
from strait.store.owner import Ownership
from support.handlers import PATIENCE_SECS, Gate, Handlers, ok
from support.world import World
from support.world import world as a_world

from .test_crash import ServerProcess, history, make_job, server_process

LARGE = "x" * 60_000


async def ready(server: ServerProcess) -> tuple[int, str]:
    answer = await server.api.get("/health/ready")
    return answer.status_code, " ".join(answer.json().get("reasons", []))


@pytest.mark.e2e
async def test_a_full_disk_is_503_says_why_and_loses_nothing(
    handlers: Handlers, tmp_path: Path
) -> None:
    handlers.script = lambda call: ok("done")
    database = tmp_path / "strait.db"
    async with server_process(database) as server:
        job = await make_job(server, handlers)
        path = f"/v1/jobs/{job}/trigger"
        acknowledged = [(await server.api.post(path, json={"payload": 0})).json()["id"]]
        # No file may grow beyond this: what a full disk is to whoever writes.
        room = (tmp_path / "strait.db-wal").stat().st_size + 600_000
        pid = server.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, hard))
        refused: httpx.Response | None = None
        for n in range(100):
            answer = await server.api.post(path, json={"payload": [n, LARGE]})
            if answer.status_code == 503:
                refused = answer
                break
            acknowledged.append(answer.json()["id"])
        assert refused is not None, "it was never full"
        assert "cannot be written" in refused.json()["error"]["message"]
        assert (await server.api.get(f"/v1/runs/{acknowledged[0]}")).status_code == 200
        status, why = await ready(server)
        assert status == 503
        assert "disk" in why
        await server.kill()
    # Nothing that was acknowledged is lost, even if it is killed while it is full.
    async with server_process(database) as server:
        for run_id in acknowledged:
            ends = [change["to"] for change in await history(server, run_id)]
            assert ends[-1] == "completed"
        assert (await ready(server))[0] == 200
    assert maintenance.check(database).problems == ()


@pytest.mark.e2e
async def test_it_goes_on_by_itself_when_there_is_room_again(
    handlers: Handlers, tmp_path: Path
) -> None:
    handlers.script = lambda call: ok("done")
    async with server_process(tmp_path / "strait.db") as server:
        job = await make_job(server, handlers)
        path = f"/v1/jobs/{job}/trigger"
        pid = server.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        room = (tmp_path / "strait.db-wal").stat().st_size + 100_000
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, limits[1]))
        statuses = [
            (await server.api.post(path, json={"payload": [n, LARGE]})).status_code
            for n in range(10)
        ]
        assert statuses[-1] == 503
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        answer = await server.api.post(path, json={"payload": LARGE})
        assert answer.status_code == 201, answer.text
        assert (await history(server, answer.json()["id"]))[-1]["to"] == "completed"
        assert await ready(server) == (200, "")


async def test_a_database_that_somebody_has_locked_is_503_until_it_is_free(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    handlers.script = lambda call: ok("done")
    async with a_world(handlers, database) as world:
        job = await world.job()
        with closing(sqlite3.connect(database, isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            refused = await world.api.post(f"/v1/jobs/{job['id']}/trigger")
            assert refused.status_code == 503
            assert "another process has locked" in refused.json()["error"]["message"]
            assert (await world.api.get("/v1/jobs")).status_code == 200
            stranger.execute("ROLLBACK")
        await world.until(await world.trigger(job), "completed")


async def test_a_broken_page_is_said_and_the_rest_is_served(
    handlers: Handlers, tmp_path: Path
) -> None:
    database = tmp_path / "strait.db"
    handlers.script = lambda call: ok("done")
    async with a_world(handlers, database) as world:
        run_id = await world.trigger(await world.job())
        await world.until(run_id, "completed")
    break_table(database, "checkpoints")
    async with a_world(handlers, database) as world:
        answer = await world.api.get(f"/v1/runs/{run_id}/checkpoints")
        assert answer.status_code == 503
        assert "strait db check" in answer.json()["error"]["message"]
        assert (await world.run(run_id))["status"] == "completed"
        await world.until(await world.trigger(await world.job()), "completed")
    assert maintenance.check(database).problems


def break_table(database: Path, table: str) -> None:
    with closing(sqlite3.connect(database)) as db:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (page,) = db.execute(query, (table,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


async def test_a_clock_that_was_set_back_repeats_no_instant_and_loses_no_timer(
    handlers: Handlers, tmp_path: Path
) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    handlers.script = lambda call: ok("done")
    async with a_world(handlers, database, clock=clock) as first:
        job = await first.job()
        old = await first.trigger(job)
        await first.until(old, "completed")
        due = await first.trigger(job, scheduled_at="2026-01-01T00:30:00Z")
        newest = (await first.run(due))["created_at"]
    back = VirtualClock(clock.now() - 3_600_000_000)
    async with a_world(handlers, database, clock=back) as second:
        young = await second.trigger(await second.job())
        assert (await second.run(young))["created_at"] > newest
        await second.until(young, "completed")
        assert (await second.run(due))["status"] == "delayed"
        await second.pass_time(3_600 + 1_800)
        await second.until(due, "completed")
        listed = (await second.api.get("/v1/runs")).json()["data"]
        assert [run["id"] for run in listed] == [young, due, old]


async def test_what_rang_before_the_clock_was_set_back_rings_again_when_it_is_due(
    virtual: World,
) -> None:
    waits, debounced = await virtual.job(), await virtual.job("done", debounce_window_secs=60)
    virtual.handlers.script = Gate()
    run_id, handler = await virtual.executing(waits)
    body = {"waits": [{"event_key": "never", "timeout_secs": 60}]}
    assert (await handler.post(f"/sdk/v1/runs/{run_id}/suspend", json=body)).status_code == 200
    await virtual.api.post(f"/v1/jobs/{debounced['id']}/trigger", json={"payload": 1})
    timers = virtual.platform.timers
    rang = [key for key in timers._set if key[0] in {"trigger", "debounce"}]
    assert len(rang) == 2
    for key in rang:
        timers.cancel(key)
        await virtual.platform.write(lambda unit, key=key: due.handle(unit, key))
    virtual.handlers.scripts["/done"] = lambda call: ok("done")
    await virtual.pass_time(59)
    assert [call.path for call in virtual.handlers.received] == ["/"]
    await virtual.pass_time(2)
    await virtual.handlers.wait(2, run_id)
    assert "/done" in [call.path for call in virtual.handlers.received]
    await handler.aclose()


async def test_a_clock_that_was_set_forward_fires_what_is_due_once(
    handlers: Handlers, tmp_path: Path
) -> None:
    database, clock = tmp_path / "strait.db", VirtualClock()
    gate = Gate(ok("done"))
    handlers.script = gate
    async with a_world(handlers, database, clock=clock) as first:
        due = await first.trigger(await first.job(), scheduled_at="2026-01-02T00:00:00Z")
    forward = VirtualClock(clock.now() + 20 * 86_400_000_000)
    async with a_world(handlers, database, clock=forward) as second:
        await handlers.wait(1, due)
        gate.open()
        await second.until(due, "completed")
        assert len(handlers.of(due)) == 1


async def test_a_database_that_turns_read_only_is_503_and_says_so(
    handlers: Handlers, tmp_path: Path
) -> None:
    handlers.script = lambda call: ok("done")
    async with a_world(handlers, tmp_path / "strait.db") as world:
        job = await world.job()
        # What SQLite answers where the file system has been mounted again without writing.
        world.platform.writer.connection.execute("PRAGMA query_only=ON")
        refused = await world.api.post(f"/v1/jobs/{job['id']}/trigger")
        assert refused.status_code == 503
        assert "read-only" in refused.json()["error"]["message"]
        answer = await world.client().get("/health/ready")
        assert "read-only" in " ".join(answer.json()["reasons"])
        world.platform.writer.connection.execute("PRAGMA query_only=OFF")
        await world.until(await world.trigger(job), "completed")
        assert (await world.client().get("/health/ready")).status_code == 200


@pytest.mark.parametrize("end", ["", "-wal", ".lock"])
async def test_nothing_is_acknowledged_once_a_file_of_the_database_is_gone(
    handlers: Handlers, tmp_path: Path, end: str
) -> None:
    handlers.script = lambda call: ok("done")
    async with a_world(handlers, tmp_path / "strait.db") as world:

        async def why() -> list[str]:
            return list((await world.client().get("/health/ready")).json().get("reasons", []))

        job = await world.job()
        gone = (tmp_path / f"strait.db{end}").rename(tmp_path / "elsewhere")
        assert await why() == ["a file of the database was removed, moved or replaced"]
        refused = await world.api.post(f"/v1/jobs/{job['id']}/trigger")
        assert refused.status_code == 503
        assert "removed, moved or replaced" in refused.json()["error"]["message"]
        assert (await world.api.get("/v1/runs")).json()["data"] == []
        # Another file under the name is not the one that it has open.
        (tmp_path / f"strait.db{end}").touch()
        assert (await world.api.post(f"/v1/jobs/{job['id']}/trigger")).status_code == 503
        gone.rename(tmp_path / f"strait.db{end}")
        await world.until(await world.trigger(job), "completed")
        assert await why() == []


async def test_who_is_asked_whether_it_is_ready_finds_out_by_itself(virtual: World) -> None:
    async def why() -> list[str]:
        return list((await virtual.client().get("/health/ready")).json().get("reasons", []))

    job = await virtual.job()
    virtual.platform.writer.connection.execute("PRAGMA query_only=ON")
    assert (await virtual.api.post(f"/v1/jobs/{job['id']}/trigger")).status_code == 503
    assert await why() == ["the last commit failed; the database is read-only"]
    virtual.platform.writer.connection.execute("PRAGMA query_only=OFF")
    # Who asks all the time does not make it write all the time.
    assert await why() == ["the last commit failed; the database is read-only"]
    await virtual.pass_time(1)
    assert await why() == []


async def test_what_the_disk_refuses_is_logged_in_a_line_and_without_a_traceback(
    handlers: Handlers, tmp_path: Path
) -> None:
    gate = handlers.script = Gate()
    said = _Said()
    logger = logging.getLogger("strait.server")
    logger.addHandler(said)
    try:
        async with a_world(handlers, tmp_path / "strait.db") as world:
            run_id = await world.trigger(await world.job())
            await handlers.wait(1)
            world.platform.writer.connection.execute("PRAGMA query_only=ON")
            gate.open()
            async with asyncio.timeout(PATIENCE_SECS):
                record = await said.first
            assert "could not be written" in record.getMessage()
            assert record.exc_info is None
            world.platform.writer.connection.execute("PRAGMA query_only=OFF")
            await world.until(run_id, "completed")
    finally:
        logger.removeHandler(said)


async def test_what_a_disk_goes_on_refusing_is_logged_now_and_then(
    virtual: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("strait"), "propagate", True)
    gate = virtual.handlers.script = Gate()
    job = await virtual.job()
    run_ids = [await virtual.trigger(job) for _ in range(5)]
    await virtual.handlers.wait(5)
    connection = virtual.platform.writer.connection
    connection.execute("PRAGMA query_only=ON")
    gate.open()
    for _ in range(40):
        await virtual.pass_time(1)
    connection.execute("PRAGMA query_only=OFF")
    await virtual.pass_time(1)
    for run_id in run_ids:
        await virtual.until(run_id, "completed")
    told = [line for line in caplog.messages if "end of a run could not be written" in line]
    assert 1 <= len(told) <= 2


class _Said(logging.Handler):
    """Waits for the first error in the log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.first: asyncio.Future[logging.LogRecord] = asyncio.get_running_loop().create_future()

    def emit(self, record: logging.LogRecord) -> None:
        if not self.first.done():
            self.first.set_result(record)


@pytest.mark.parametrize(("mode", "query_only"), [("ro", "OFF"), ("rw", "ON")])
async def test_a_server_that_cannot_write_does_not_start_and_says_so(
    tmp_path: Path, mode: str, query_only: str
) -> None:
    database = tmp_path / "strait.db"

    def hindered(path: str | Path, **options: Any) -> sqlite3.Connection:
        address = f"{Path(path).as_uri()}?mode={mode}"
        connection: sqlite3.Connection = sqlite3.connect(address, uri=True, **options)
        connection.execute(f"PRAGMA query_only={query_only}")
        return connection

    async with Server(Settings(database=database, port=0)):
        pass
    outside = Outside(connect=hindered)
    with pytest.raises(
        StoreError, match=r"strait\.db` cannot be written: the database is read-only"
    ):
        async with Server(Settings(database=database, port=0), outside=outside):
            pytest.fail("it was served")
    # Whatever it has opened is closed: the next one has the database.
    async with Server(Settings(database=database, port=0)):
        pass


async def test_a_full_disk_at_the_start_is_said_with_its_file(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(
            StoreError, match=r"strait\.db\.lock` cannot be written: File too large"
        ):
            Ownership(tmp_path / "strait.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    Ownership(tmp_path / "strait.db").release()

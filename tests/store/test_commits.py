"""Where a commit waits for the disk, and when the write-ahead log goes into the database."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from strait.store import writer as writer_module
from strait.store.connection import open_writer
from strait.store.writer import Writer

from .conftest import notes, write

# So many commits show what is usual, whatever was taken for it before.
MANY = 100


class Disk:
    """Says how long commits take, and notes who waited for them."""

    def __init__(self, secs: float) -> None:
        self.secs = secs
        self.now = 0.0
        self.waited: list[str] = []

    def perf_counter(self) -> float:
        return self.now

    def probe(self, point: str) -> None:
        if point == "committed":
            self.now += self.secs
            self.waited.append(threading.current_thread().name)

    @property
    def on_the_loop(self) -> bool:
        return self.waited[-1] == threading.main_thread().name


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk(secs=0.0001)
    with monkeypatch.context() as patched:
        patched.setattr(writer_module, "time", disk)
        yield disk


def made(database: Path, disk: Disk, executor: ThreadPoolExecutor | None = None) -> Writer:
    connection = open_writer(database)
    connection.execute("CREATE TABLE notes (text TEXT NOT NULL UNIQUE)")
    return Writer(connection, probe=disk.probe, executor=executor)


async def one_by_one(writer: Writer, prefix: str) -> None:
    for number in range(MANY):
        await write(writer, f"{prefix} {number}")


async def test_what_comes_alone_is_committed_on_the_loop_once_the_disk_has_shown_to_be_quick(
    database: Path, disk: Disk
) -> None:
    writer = made(database, disk)
    await write(writer, "first")
    assert not disk.on_the_loop
    await one_by_one(writer, "alone")
    assert disk.on_the_loop
    disk.secs = 0.01
    await one_by_one(writer, "slow")
    assert not disk.on_the_loop
    await writer.close()
    assert len(notes(database)) == 2 * MANY + 1


async def test_what_comes_in_company_is_committed_beside_the_loop(
    database: Path, disk: Disk
) -> None:
    writer = made(database, disk)
    await one_by_one(writer, "alone")
    await asyncio.gather(*(write(writer, f"together {number}") for number in range(20)))
    assert not disk.on_the_loop
    # Where others came just before, others may come now.
    await write(writer, "behind them")
    assert not disk.on_the_loop
    await one_by_one(writer, "alone again")
    assert disk.on_the_loop
    await writer.close()


async def test_an_executor_that_was_given_has_all_commits(database: Path, disk: Disk) -> None:
    with ThreadPoolExecutor(1) as executor:
        writer = made(database, disk, executor)
        await one_by_one(writer, "alone")
        assert threading.main_thread().name not in disk.waited
        await writer.close()


def in_the_database_itself(database: Path) -> int:
    """Return how many notes stand in the database without its log."""
    alone = database.with_name("alone.db")
    shutil.copyfile(database, alone)
    return len(notes(alone))


async def test_the_log_goes_into_the_database_while_nobody_waits(
    writer: Writer, database: Path
) -> None:
    writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    await write(writer, "a few stay in the log")
    await writer.drain()
    assert in_the_database_itself(database) == 0
    await asyncio.gather(*(write(writer, f"many {number}") for number in range(1_500)))
    await writer.drain()
    assert in_the_database_itself(database) == 1_501


async def test_what_comes_while_the_log_is_emptied_is_written_after_it(
    writer: Writer, database: Path
) -> None:
    later: list[asyncio.Future[None]] = []

    def work() -> None:
        rows = [(f"many {number}",) for number in range(1_500)]
        writer.connection.executemany("INSERT INTO notes VALUES (?)", rows)
        writer.after_commit(lambda: later.append(write(writer, "from the action")))

    await writer.submit(work)
    later.append(write(writer, "while it is emptied"))
    await asyncio.gather(*later)
    assert notes(database)[-2:] == ["from the action", "while it is emptied"]


async def test_the_log_is_not_emptied_under_what_follows_a_transaction_that_wrote_nothing(
    writer: Writer, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    later: list[asyncio.Future[None]] = []

    def much() -> None:
        rows = [(f"many {number}",) for number in range(1_500)]
        writer.connection.executemany("INSERT INTO notes VALUES (?)", rows)

    def nothing() -> None:
        writer.after_commit(lambda: later.append(write(writer, "from the action")))

    first = writer.submit(much)
    await asyncio.sleep(0)  # its commit has begun, and the next one waits for it
    await asyncio.gather(first, writer.submit(nothing))
    await asyncio.gather(*later, *(write(writer, f"behind it {number}") for number in range(3)))
    await writer.drain()
    assert notes(database)[1_500:] == ["from the action", *(f"behind it {n}" for n in range(3))]
    assert in_the_database_itself(database) >= 1_500
    assert caplog.messages == []

"""The writer: commits are shared, operations fail alone, nobody is answered too early."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

import pytest

from strait.store.connection import open_writer
from strait.store.writer import StoreUnavailable, Writer
from support.disks import Disk

from .conftest import notes, write


async def test_what_is_submitted_together_shares_one_commit(writer: Writer, database: Path) -> None:
    await asyncio.gather(*(write(writer, f"note {n}") for n in range(50)))
    assert writer.commits == 1
    assert notes(database) == [f"note {n}" for n in range(50)]


async def test_a_write_is_on_disk_when_its_future_is_done(writer: Writer, database: Path) -> None:
    future = write(writer, "one")
    assert notes(database) == []
    await future
    assert notes(database) == ["one"]


async def test_what_arrives_during_a_commit_forms_the_next_one(
    writer: Writer, database: Path
) -> None:
    first = write(writer, "first")
    await asyncio.sleep(0)  # the commit of the first has begun
    later = [write(writer, f"later {n}") for n in range(10)]
    await asyncio.gather(first, *later)
    assert writer.commits == 2
    assert notes(database)[0] == "first"


async def test_an_operation_that_fails_undoes_only_itself(writer: Writer, database: Path) -> None:
    def fails() -> None:
        writer.connection.execute("INSERT INTO notes VALUES ('half')")
        raise KeyError("reason")

    before, failing, after = write(writer, "before"), writer.submit(fails), write(writer, "after")
    await asyncio.gather(before, after)
    with pytest.raises(KeyError, match="reason"):
        await failing
    assert notes(database) == ["before", "after"]


async def test_an_operation_that_runs_out_of_items_tells_its_caller(
    writer: Writer, database: Path
) -> None:
    def runs_out() -> None:
        writer.connection.execute("INSERT INTO notes VALUES ('half')")
        next(iter(()))

    failing, after = writer.submit(runs_out), write(writer, "after")
    async with asyncio.timeout(30):
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            await failing
        await after
    assert notes(database) == ["after"]


async def test_a_broken_constraint_fails_only_the_one_that_broke_it(
    writer: Writer, database: Path
) -> None:
    first, second, third = write(writer, "same"), write(writer, "same"), write(writer, "other")
    await asyncio.gather(first, third)
    with pytest.raises(sqlite3.IntegrityError):
        await second
    assert notes(database) == ["same", "other"]


async def test_actions_run_after_the_commit_in_the_order_of_the_operations(
    writer: Writer, database: Path
) -> None:
    seen: list[tuple[str, list[str]]] = []

    def work(text: str) -> None:
        writer.connection.execute("INSERT INTO notes VALUES (?)", (text,))
        writer.after_commit(lambda: seen.append((text, notes(database))))

    await asyncio.gather(*(writer.submit(lambda t=text: work(t)) for text in "abc"))
    assert seen == [(text, ["a", "b", "c"]) for text in "abc"]


async def test_actions_of_an_operation_that_failed_are_dropped(writer: Writer) -> None:
    seen: list[str] = []

    def fails() -> None:
        writer.after_commit(lambda: seen.append("failed"))
        raise ValueError("no")

    def works() -> None:
        writer.after_commit(lambda: seen.append("worked"))

    failing, working = writer.submit(fails), writer.submit(works)
    await working
    with pytest.raises(ValueError, match="no"):
        await failing
    assert seen == ["worked"]


class Undone:
    """Writes whose undoing is seen."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.seen: list[str] = []

    def write(self, text: str, error: Exception | None = None) -> asyncio.Future[None]:
        def work() -> None:
            self._writer.if_undone(lambda: self.seen.append(text))
            self._writer.connection.execute("INSERT INTO notes VALUES (?)", (text,))
            if error is not None:
                raise error

        return self._writer.submit(work)


async def test_what_an_operation_asks_for_if_it_is_undone_is_done_once_where_it_fails(
    writer: Writer, database: Path
) -> None:
    undone = Undone(writer)
    kept, failing = undone.write("kept"), undone.write("gone", KeyError("reason"))
    assert undone.seen == ["gone"], "what follows in its batch relies on it"
    await kept
    with pytest.raises(KeyError):
        await failing
    await undone.write("later")
    assert undone.seen == ["gone"]
    assert notes(database) == ["kept", "later"]


@pytest.mark.parametrize("undoes", [False, True], ids=["sqlite-keeps-it", "sqlite-undoes-it"])
async def test_what_operations_ask_for_if_they_are_undone_is_done_once_where_their_commit_fails(
    database: Path, undoes: bool
) -> None:
    full = [False]
    disk = Disk(lambda sql: sql == "COMMIT" and full[0], lambda: undoes)
    connection = open_writer(database, disk.connect)
    connection.execute("CREATE TABLE notes (text TEXT)")
    memory: list[str] = []
    writer = Writer(connection, on_rollback=lambda: memory.append("rolled back"))
    undone = Undone(writer)
    undone.seen = memory
    full[0] = True
    futures = [undone.write("a"), undone.write("b", KeyError("reason")), undone.write("c")]
    for future in futures:
        with pytest.raises(StoreUnavailable):
            await future
    assert memory == ["rolled back", "b", "rolled back", "a", "c"]
    full[0] = False
    await undone.write("d")
    assert len(memory) == 5
    await writer.close()
    assert notes(database) == ["d"]


async def test_what_an_operation_asks_for_is_done_where_a_later_one_loses_them_all(
    database: Path,
) -> None:
    broken = [False]
    disk = Disk(lambda sql: "INSERT" in sql and broken[0], lambda: True)
    connection = open_writer(database, disk.connect)
    connection.execute("CREATE TABLE notes (text TEXT)")
    writer = Writer(connection)
    undone = Undone(writer)
    first = undone.write("first")
    broken[0] = True
    second = undone.write("second")
    assert undone.seen == ["first", "second"]
    for future in (first, second):
        with pytest.raises(StoreUnavailable):
            await future
    await writer.drain()
    assert undone.seen == ["first", "second"]
    await writer.close()
    assert notes(database) == []


async def test_if_undone_is_refused_outside_of_an_operation(writer: Writer) -> None:
    with pytest.raises(RuntimeError, match="if_undone"):
        writer.if_undone(lambda: None)


async def test_an_action_that_fails_stops_neither_the_others_nor_the_writer(
    writer: Writer, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def work() -> None:
        writer.after_commit(lambda: seen.append("before"))
        writer.after_commit(lambda: 1 // 0)
        writer.after_commit(lambda: seen.append("after"))

    with caplog.at_level(logging.ERROR, "strait.store"):
        first = writer.submit(work)
        await asyncio.sleep(0)
        await asyncio.gather(first, write(writer, "next"))
    assert seen == ["before", "after"]
    assert notes(database) == ["next"]
    assert "what follows a transaction failed" in caplog.text


async def test_an_action_may_submit_and_what_waited_before_goes_first(
    writer: Writer, database: Path
) -> None:
    from_action: list[asyncio.Future[None]] = []

    def work() -> None:
        writer.connection.execute("INSERT INTO notes VALUES ('first')")
        writer.after_commit(lambda: from_action.append(write(writer, "from the action")))

    first = writer.submit(work)
    await asyncio.sleep(0)
    await asyncio.gather(first, write(writer, "waited"))
    await from_action[0]
    assert notes(database) == ["first", "waited", "from the action"]


async def test_an_operation_submitted_by_an_operation_runs_after_it(
    writer: Writer, database: Path
) -> None:
    inner: list[asyncio.Future[None]] = []

    def work() -> None:
        inner.append(write(writer, "inner"))
        writer.connection.execute("INSERT INTO notes VALUES ('outer')")

    await writer.submit(work)
    await inner[0]
    assert notes(database) == ["outer", "inner"]


async def test_after_commit_is_refused_outside_of_an_operation(writer: Writer) -> None:
    with pytest.raises(RuntimeError, match="after_commit"):
        writer.after_commit(lambda: None)


async def test_a_commit_that_fails_fails_the_whole_batch_and_tells_memory(database: Path) -> None:
    rolled_back: list[bool] = []
    seen: list[str] = []
    connection = open_writer(database)
    connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    connection.execute(
        "CREATE TABLE notes (text TEXT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)"
    )
    writer = Writer(connection, on_rollback=lambda: rolled_back.append(True))

    def good() -> None:
        connection.execute("INSERT INTO parent VALUES (1)")
        writer.after_commit(lambda: seen.append("good"))

    # A deferred constraint is looked at by COMMIT, so this is a commit that SQLite refuses.
    futures = [writer.submit(good), write(writer, "17")]
    for future in futures:
        with pytest.raises(StoreUnavailable, match="could not be written"):
            await future
    assert rolled_back == [True]
    assert seen == []
    assert connection.execute("SELECT count(*) FROM parent").fetchone() == (0,)
    await writer.submit(good)
    assert seen == ["good"]
    await writer.close()


async def test_memory_is_told_of_an_operation_that_is_undone_if_it_had_written(
    database: Path,
) -> None:
    told: list[bool] = []
    connection = open_writer(database)
    connection.execute("CREATE TABLE notes (text TEXT)")
    writer = Writer(connection, on_rollback=lambda: told.append(True))

    def fails(*, writes: bool) -> None:
        if writes:
            connection.execute("INSERT INTO notes VALUES ('half')")
        raise KeyError("reason")

    for writes, expected in ((False, []), (True, [True])):
        with pytest.raises(KeyError):
            await writer.submit(lambda writes=writes: fails(writes=writes))
        assert told == expected

    def runs_out() -> None:
        connection.execute("INSERT INTO notes VALUES ('half')")
        next(iter(()))

    with pytest.raises(RuntimeError):
        await writer.submit(runs_out)
    assert told == [True, True]
    await writer.close()


async def test_a_full_disk_refuses_writes_until_there_is_room(
    writer: Writer, database: Path
) -> None:
    (pages,) = writer.connection.execute("PRAGMA page_count").fetchone()
    writer.connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreUnavailable, match="full"):
        await write(writer, "x" * 100_000)
    # SQLite undoes the transaction, so whoever shared it has to come again as well.
    shared = [write(writer, "small"), write(writer, "y" * 100_000)]
    for future in shared:
        with pytest.raises(StoreUnavailable):
            await future
    assert notes(database) == []
    writer.connection.execute("PRAGMA max_page_count=1000000")
    await asyncio.gather(write(writer, "small"), write(writer, "x" * 100_000))
    assert notes(database) == ["small", "x" * 100_000]


async def test_reading_operations_do_not_sync_the_disk(writer: Writer) -> None:
    await write(writer, "one")

    def read() -> int:
        return int(writer.connection.execute("SELECT count(*) FROM notes").fetchone()[0])

    assert await writer.submit(read) == 1


async def test_drain_returns_when_everything_is_on_disk(writer: Writer, database: Path) -> None:
    futures = [write(writer, "a")]
    await asyncio.sleep(0)
    futures += [write(writer, "b")]
    await writer.drain()
    assert notes(database) == ["a", "b"]
    assert all(future.done() for future in futures)


async def test_close_finishes_what_was_submitted(database: Path) -> None:
    connection = open_writer(database)
    connection.execute("CREATE TABLE notes (text TEXT)")
    writer = Writer(connection)
    future = write(writer, "last words")
    await writer.close()
    assert future.done()
    assert notes(database) == ["last words"]


async def test_a_caller_that_went_away_does_not_disturb_its_batch(
    writer: Writer, database: Path
) -> None:
    gone, stays = write(writer, "gone"), write(writer, "stays")
    gone.cancel()
    await stays
    assert notes(database) == ["gone", "stays"]


async def test_more_operations_than_a_batch_takes_are_all_written(
    writer: Writer, database: Path
) -> None:
    first = write(writer, "first")
    await asyncio.sleep(0)
    await asyncio.gather(first, *(write(writer, str(n)) for n in range(2_500)))
    assert notes(database) == ["first", *map(str, range(2_500))]
    assert writer.commits == 4

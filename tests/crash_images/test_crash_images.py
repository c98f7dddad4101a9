"""When the power is cut, whatever was acknowledged is on the disk, and the database is whole."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from crash_images.disk import Acknowledged, RecordedDisk, Sync
from crash_images.driver import connect_on
from strait.server.outside import Outside
from strait.server.run import Server
from strait.server.settings import Settings
from strait.store.connection import open_writer
from strait.store.writer import Writer
from support.handlers import Handlers, ok
from support.world import PROJECT, SECRET, World, _project_and_key

IMAGES = 150


def opened(directory: Path) -> sqlite3.Connection:
    """Open an image as the next server would, and see that no page of it is broken."""
    db = sqlite3.connect(directory / "strait.db")
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return db


async def test_every_image_of_the_writer_has_what_was_acknowledged(tmp_path: Path) -> None:
    disk = RecordedDisk()
    (tmp_path / "disk").mkdir()
    connection = open_writer(tmp_path / "disk" / "strait.db", connect_on(disk.name))
    # Checkpoints move pages from the log into the database; there shall be many of them.
    connection.execute("PRAGMA wal_autocheckpoint=20")
    connection.execute("CREATE TABLE things (name TEXT PRIMARY KEY, filling TEXT)")
    writer = Writer(connection)
    chance = random.Random(1)
    for number in range(200):
        name, filling = f"thing-{number}", "x" * chance.choice((1, 100, 5000))
        await writer.submit(
            lambda name=name, filling=filling: connection.execute(
                "INSERT INTO things VALUES (?, ?)", (name, filling)
            )
        )
        disk.acknowledge(name)
    await writer.close()
    assert sum(isinstance(entry, Sync) for entry in disk.log) >= 200
    _check_images(disk, tmp_path, "SELECT name FROM things")


async def test_every_image_of_a_platform_has_its_acknowledged_runs_and_starts(
    tmp_path: Path, handlers: Handlers
) -> None:
    disk = RecordedDisk()
    (tmp_path / "disk").mkdir()
    handlers.script = lambda call: ok({"n": call.json})
    async with _platform(tmp_path / "disk", disk, handlers) as world:
        job = await world.job()
        for number in range(40):
            run_id = await world.trigger(job, number)
            disk.acknowledge(run_id)
            if number % 4 == 0:
                await world.until(run_id, "completed")
                disk.acknowledge(f"{run_id} completed")
    query = "SELECT id FROM runs UNION SELECT id || ' ' || status FROM runs"
    last, promised = _check_images(disk, tmp_path, query)
    run_ids = [what for what in promised if " " not in what]
    assert run_ids, "the last image is of a moment in which something was acknowledged"
    # The last image is a platform that goes on.
    async with _platform(last, RecordedDisk(), handlers) as again:
        for run_id in run_ids:
            run = await again.until(run_id, "completed")
            assert run["id"] == run_id


def test_a_disk_that_never_syncs_would_be_found_out(tmp_path: Path) -> None:
    disk = RecordedDisk()
    (tmp_path / "disk").mkdir()
    connection = open_writer(tmp_path / "disk" / "strait.db", connect_on(disk.name))
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("CREATE TABLE things (name TEXT PRIMARY KEY)")
    for number in range(100):
        connection.execute("INSERT INTO things VALUES (?)", (f"thing-{number}",))
        disk.acknowledge(f"thing-{number}")
    connection.close()
    with pytest.raises((AssertionError, sqlite3.DatabaseError)):
        _check_images(disk, tmp_path, "SELECT name FROM things")


def _check_images(disk: RecordedDisk, tmp_path: Path, query: str) -> tuple[Path, set[str]]:
    """Look into images of many moments; return the last one, and what it must have."""
    chance = random.Random(7)
    started = next(n for n, entry in enumerate(disk.log) if isinstance(entry, Acknowledged))
    directory, promised = tmp_path, set[str]()
    for number in range(IMAGES):
        directory = tmp_path / f"image-{number}"
        directory.mkdir()
        moment = chance.randrange(started, len(disk.log) + 1)
        disk.image(moment, chance, directory)
        with closing(opened(directory)) as db:
            present = {row[0] for row in db.execute(query)}
        promised = disk.promised(moment)
        missing = promised - present
        assert not missing, json.dumps({"moment": moment, "missing": sorted(missing)})
    return directory, promised


@asynccontextmanager
async def _platform(
    directory: Path, disk: RecordedDisk, handlers: Handlers
) -> AsyncIterator[World]:
    settings = Settings(
        port=0, database=directory / "strait.db", internal_secret=SECRET, encryption_key="k" * 32
    )
    outside = Outside(connect=connect_on(disk.name))
    async with Server(settings, outside=outside) as server:
        world = World(server, handlers, await server.platform.write(_project_and_key))
        assert PROJECT
        yield world
        await world.aclose()

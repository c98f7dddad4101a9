from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from strait.store.connection import open_writer
from strait.store.writer import Writer


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "strait.db"


@pytest.fixture
async def writer(database: Path) -> AsyncIterator[Writer]:
    """A writer over a file with one table, `notes(text UNIQUE)`."""
    connection = open_writer(database)
    connection.execute("CREATE TABLE notes (text TEXT NOT NULL UNIQUE)")
    made = Writer(connection)
    yield made
    await made.close()


def write(writer: Writer, text: str) -> asyncio.Future[None]:
    def work() -> None:
        writer.connection.execute("INSERT INTO notes VALUES (?)", (text,))

    return writer.submit(work)


def notes(database: Path) -> list[str]:
    """What another connection sees, which is what was committed."""
    connection = sqlite3.connect(database)
    try:
        return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY rowid")]
    finally:
        connection.close()

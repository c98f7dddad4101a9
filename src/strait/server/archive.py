"""Where rows go before they are deleted: lines of JSON in gzip files, on the disk first."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path

from strait.clock import Timestamp
from strait.store.backup import sync_directory
from strait.store.retention import Rows

# Columns that hold JSON; in the archive they are JSON too, not text.
_JSON = frozenset({"doc", "payload", "result", "data", "value", "labels"})


class Archive:
    """One file a day in a directory, `runs-<day>-<start of the server>.jsonl.gz`.

    Each line is `{"id": …, "rows": {table: [row, …]}}`. A batch is a gzip member of its own behind
    the others. A file is never continued by another start of the server: what a crash has cut off
    is the end of its file, and stands whole in the next one, because its rows were not deleted.
    """

    def __init__(self, directory: Path, epoch: int) -> None:
        self._directory = directory
        self._epoch = epoch

    def write(self, at: Timestamp, subjects: Iterable[tuple[str, Rows]]) -> None:
        """Append subjects, and return once they are on the disk.

        Raises:
            OSError: they are not; the file is as it was.
        """
        text = "".join(_line(subject, rows) for subject, rows in subjects)
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"runs-{at[:10]}-{self._epoch}.jsonl.gz"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, gzip.compress(text.encode(), compresslevel=6))
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
        if before == 0:
            sync_directory(self._directory)


def unwritable(directory: Path) -> str:
    """Return why an archive cannot be kept in a directory, which is made; "" if it can."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return str(error)
    return "" if os.access(directory, os.W_OK | os.X_OK) else f"`{directory}` cannot be written"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _line(subject: str, rows: Rows) -> str:
    plain = {
        table: [{name: _plain(name, value) for name, value in row.items()} for row in found]
        for table, found in rows.items()
    }
    return json.dumps({"id": subject, "rows": plain}, ensure_ascii=False) + "\n"


def _plain(name: str, value: object) -> object:
    return json.loads(value) if name in _JSON and isinstance(value, str) else value

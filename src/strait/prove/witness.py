"""What the steps of the shop write down themselves, outside of the platform.

A file of lines that is only appended to, by one `write` for each, so that a process may be killed
at any moment and what it wrote stays. It tells when a step was begun, and when its result had come
back from `ctx.step`: from then on it is recorded, whoever is killed, and may never be begun again.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BEGAN = "began"
KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the witness.

    Attributes:
        what: `BEGAN` or `KEPT`.
        run_id: the run.
        step: the name of the step; a run of the shop has none twice.
        at_us: unix time in microseconds.
        pid: the process.
    """

    what: str
    run_id: str
    step: str
    at_us: int
    pid: int


class Writer:
    """Appends lines, from a process that may be killed.

    Args:
        path: the file; it is made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, what: str, run_id: str, step: str) -> None:
        """Append a line."""
        line = [what, run_id, step, time.time_ns() // 1_000, os.getpid()]
        os.write(self._fd, (json.dumps(line) + "\n").encode())


class Reader:
    """Follows the file while it grows; threads may share one.

    Args:
        path: the file, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._at = 0
        self._begun = 0

    @property
    def begun(self) -> int:
        """How many steps were begun so far."""
        self._look()
        return self._begun

    def _look(self) -> None:
        with self._lock, suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._at)
            fresh = file.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]
            self._at += len(whole)
            for line in _parsed(whole):
                self._begun += line.what == BEGAN


def lines_of(path: Path) -> list[Line]:
    """Return all lines of a file."""
    return list(_parsed(path.read_bytes()))


def _parsed(text: bytes) -> Iterator[Line]:
    for line in text.splitlines():
        yield Line(*json.loads(line))

"""`python -m tests.scratch`: where the files of the tests go, for `TMPDIR`.

Tests wait for their disk ten thousand times, which is a seventh of a run where it is slow. Files in
memory do as well for them: what a cut of the power leaves of a disk has suites of its own.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 * 1024**3


def place(memory: Path = MEMORY) -> Path:
    """Return a folder in memory with room in which programs can be run, else the usual one."""
    usual = Path(tempfile.gettempdir())
    try:
        has_room = shutil.disk_usage(memory).free >= ENOUGH_BYTES
        return memory if has_room and _runs_programs(memory) else usual
    except OSError:
        return usual


def _runs_programs(folder: Path) -> bool:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        program = Path(scratch, "program")
        program.write_text("#!/bin/sh\n")
        program.chmod(stat.S_IRWXU)
        try:
            return subprocess.run([program], check=False).returncode == os.EX_OK
        except PermissionError:
            return False


if __name__ == "__main__":
    print(place())  # noqa: T201 - it is what is asked for

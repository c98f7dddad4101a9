"""Databases that go with their process: where they lie, and what killed processes have left."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from strait.store.owner import is_abandoned, lock_beside

# Nobody else names a folder so, because what is left of one is deleted.
_PREFIX = "strait-ephemeral-"
_NAME = "strait.db"


def folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder for a database, and delete those whose process was killed."""
    _forget_abandoned(Path(tempfile.gettempdir()))
    return tempfile.TemporaryDirectory(prefix=_PREFIX)


def database_in(made: tempfile.TemporaryDirectory[str]) -> Path:
    """Return the database of a folder."""
    return Path(made.name) / _NAME


def _forget_abandoned(directory: Path) -> None:
    with suppress(OSError):
        for left in directory.glob(f"{_PREFIX}*"):
            if _is_ours(left) and is_abandoned(lock_beside(left / _NAME)):
                shutil.rmtree(left, ignore_errors=True)


def _is_ours(left: Path) -> bool:
    # Others may put what they like into a directory for everybody's files.
    try:
        return not left.is_symlink() and left.stat().st_uid == os.getuid()
    except (OSError, AttributeError):  # it is gone, or this is no Unix
        return False

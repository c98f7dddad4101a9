"""Copies of a database: made beside a server that writes, and put back.

A copy is whole or it is not there: it is written under another name, synced, and renamed. The key
of its secrets lies in a file beside it, `<copy>.secrets`, because the copy is worth little without.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from strait.store import maintenance
from strait.store.connection import StoreError
from strait.store.maintenance import SIDE_FILES, owned, size_of
from strait.store.owner import lock_beside

# Told how many pages are copied, of how many.
Progress: TypeAlias = Callable[[int, int], None]

KEY_SUFFIX = ".secrets"
# 4 MiB: few enough calls to cost nothing, often enough for a bar that moves.
_PAGES_AT_ONCE = 1_024


class Copied(NamedTuple):
    """A copy that is on the disk.

    Attributes:
        path: where it is.
        size_bytes: its size.
        with_key: whether the key of its secrets was put beside it.
    """

    path: Path
    size_bytes: int
    with_key: bool


def key_beside(database: Path) -> Path:
    """Return where the key of a database is kept, unless it is given in the environment."""
    return database.with_name(database.name + KEY_SUFFIX)


def backup(
    database: Path,
    out: Path,
    *,
    with_key: bool = True,
    force: bool = False,
    progress: Progress = lambda done, of: None,
) -> Copied:
    """Copy a database as it is at this moment, beside a server that writes or without one.

    The copy is looked over before it gets its name: what is there can be restored.

    Args:
        database: the database.
        out: where the copy goes.
        with_key: copy the key of the secrets too, to `<out>.secrets`.
        force: write over what is at `out`.
        progress: told how far the copy is.

    Raises:
        StoreError: the database cannot be read or is broken, or `out` is there or cannot be
            written.
    """
    if out.exists() and not force:
        raise StoreError(f"`{out}` is there already; choose another name, or add `--force`")
    if out.exists() and out.samefile(database):
        raise StoreError(f"`{out}` is the database itself; choose another name")
    key = key_beside(database) if with_key and key_beside(database).exists() else None
    # What is at `out` may be a database too, and in use.
    with owned(out) if out.exists() else nullcontext():
        _put(database, out, key, progress, look_over=True)
    return Copied(out, size_of(out), key is not None)


def restore(
    source: Path,
    database: Path,
    *,
    force: bool = False,
    progress: Progress = lambda done, of: None,
) -> Copied:
    """Put a copy in the place of a database, after it was looked over.

    Args:
        source: a copy that `backup` has made; the key beside it goes along.
        database: where it goes.
        force: write over the database that is there.
        progress: told how far it is.

    What root restores belongs to the owner of the database that was there, or of its directory.

    Raises:
        OwnedError: a server has the database.
        StoreError: the copy is broken, or there is a database already.
    """
    problem = _problem(source)
    if problem:
        raise StoreError(f"`{source}` is not restored, it is broken: {problem}")
    if database.exists() and not force:
        raise StoreError(f"`{database}` is there already; add `--force` to replace it")
    if database.exists() and database.samefile(source):
        raise StoreError(f"`{source}` is the database itself; there is nothing to restore")
    key = key_beside(source) if key_beside(source).exists() else None
    with owned(database, must_exist=False):
        owner = (database if database.exists() else database.parent).stat()
        _put(source, database, key, progress)
        _hand_over(database, owner)
    return Copied(database, size_of(database), key is not None)


def _hand_over(database: Path, owner: os.stat_result) -> None:
    """Give what root has restored to whose database, or else whose directory, it was.

    The server runs under a user of its own, who could not read what is root's.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    for file in (database, key_beside(database), lock_beside(database)):
        if file.exists():
            os.chown(file, owner.st_uid, owner.st_gid)


def _problem(database: Path) -> str:
    """Return the first thing that is wrong with a database, or ""."""
    return next(iter(maintenance.check(database).problems), "")


def _put(
    source: Path, target: Path, key: Path | None, progress: Progress, *, look_over: bool = False
) -> None:
    """Write a copy under another name, and give it its own once it is on the disk.

    Args:
        source: what is copied.
        target: where it goes.
        key: the key that goes beside it.
        progress: told how far it is.
        look_over: have no copy rather than one that a restore would refuse.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _unfinished(target) as copy:
            _copy(source, copy, progress)
            problem = _problem(copy) if look_over else ""
            if problem:
                raise StoreError(
                    f"`{source}` is broken, and no backup of it was made: {problem}; "
                    "keep its files as they are, and restore an older backup: `strait db restore`"
                )
            if key is not None:
                _write_key(key_beside(target), key.read_bytes())
            _settle_old(target)
            os.replace(copy, target)
            sync_directory(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"`{source}` could not be copied to `{target}`: {error}") from error


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(descriptor)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _copy(source: Path, copy: Path, progress: Progress) -> None:
    with (
        closing(maintenance.open_to_look(source)) as read,
        closing(sqlite3.connect(copy, isolation_level=None)) as write,
    ):
        # A crash leaves nothing that counts, so nothing is synced before the end.
        write.execute("PRAGMA journal_mode=OFF")
        write.execute("PRAGMA synchronous=OFF")
        # Inside of a read transaction the copy is of one moment. Without it SQLite would begin
        # again with every commit of the server, and under load never come to an end.
        read.execute("BEGIN")
        read.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        read.backup(
            write,
            pages=_PAGES_AT_ONCE,
            progress=lambda _, left, total: progress(total - left, total),
        )
        # A copy is one file, also while somebody reads it. Whoever serves it changes it to WAL.
        write.execute("PRAGMA journal_mode=DELETE")
    _sync(copy)


def _settle_old(target: Path) -> None:
    """See to it that what lies beside the old file is never taken for a part of the new one.

    Its write-ahead log goes into it first: until the rename the old database stays whole.
    """
    if target.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(target)) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    for suffix in (*SIDE_FILES, "-journal"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    sync_directory(target.parent)


def _write_key(path: Path, key: bytes) -> None:
    with _unfinished(path) as copy:
        # `mkstemp` has made it readable by its owner only.
        copy.write_bytes(key)
        _sync(copy)
        os.replace(copy, path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Opening the database: what SQLite is told, and what is refused."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

MEMORY = ":memory:"
Connect: TypeAlias = Callable[..., sqlite3.Connection]

# SQLite's locks do not hold on these; a database there would be corrupted sooner or later.
_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs"}
)
_MMAP_BYTES = 256 * 1024 * 1024
_LOG_PAGES = 8_000
# They are in every database of ours, whatever its version.
_FIRST_TABLES = frozenset({"meta", "projects", "api_keys", "job_versions"})
# The first with `->>`.
_MINIMUM_VERSION = (3, 38, 0)


class StoreError(Exception):
    """The database cannot be opened or written, with the reason and what to do."""


def open_writer(path: Path | str, connect: Connect = sqlite3.connect) -> sqlite3.Connection:
    """Open the one connection that writes, in WAL mode with every commit synced to the disk.

    Args:
        path: the database.
        connect: opens a connection as `sqlite3.connect` does; another driver in tests.

    Raises:
        StoreError: another program's tables are in it.
    """
    connection = _connect(path, connect)
    _refuse_of_others(connection, path)
    # The change to WAL leaves through a rollback journal. With EXTRA its directory is synced once
    # it is deleted; one that came back after a power cut would undo everything since.
    connection.execute("PRAGMA synchronous=EXTRA")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    if sys.platform == "darwin":
        # fsync() on macOS leaves data in the drive's cache.
        connection.execute("PRAGMA fullfsync=ON")
        connection.execute("PRAGMA checkpoint_fullfsync=ON")
    # The writer empties the log where that holds nobody up; this is for rows of unusual size.
    connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(f"PRAGMA mmap_size={_MMAP_BYTES}")
    return connection


def open_reader(path: Path | str, connect: Connect = sqlite3.connect) -> sqlite3.Connection:
    """Open a connection that only reads; `connect` as in `open_writer`.

    It never checkpoints: SQLite before 3.51.3 can corrupt a database when one connection
    checkpoints while another writes, so the writer does both.
    """
    connection = _connect(path, connect)
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute(f"PRAGMA mmap_size={_MMAP_BYTES}")
    return connection


def _refuse_of_others(connection: sqlite3.Connection, path: Path | str) -> None:
    """Refuse a database that another program has made, before anything in it is changed."""
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"cannot open the database `{path}`: {error}") from error
    if tables and not tables >= _FIRST_TABLES:
        connection.close()
        raise StoreError(
            f"`{path}` is a database of another program; choose another file with `--db`"
        )


def refuse_network_file_system(path: Path) -> None:
    """Refuse a database on a file system whose locks cannot be trusted.

    Raises:
        StoreError: the directory of `path` is on a network file system.
    """
    kind = file_system_of(path.parent.resolve())
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"`{path}` is on a network file system ({kind}), where SQLite's locks do not hold; "
            "choose a local path with `--db`"
        )


def file_system_of(directory: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system that holds `directory`, or "" where it is unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        _, mount_point, fs_type, *_ = line.split(" ")
        inside = directory.is_relative_to(mount_point.replace("\\040", " "))
        if inside and len(mount_point) >= len(best):
            best, kind = mount_point, fs_type
    return kind


def _connect(path: Path | str, connect: Connect) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < _MINIMUM_VERSION:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; 3.38 or later is needed")
    try:
        connection = connect(
            os.fspath(path),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"cannot open the database `{path}`: {error}") from error
    return connection

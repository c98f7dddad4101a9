"""What `strait doctor` looks at on this machine: Python, extras, database, disk, port."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from strait._version import __version__
from strait.cli.doctor import Finding, fail, ok, warn
from strait.cli.places import database, local_platform

_OLDEST_SQLITE = (3, 38, 0)
# Below this a transaction may soon not fit.
_LEAST_FREE_BYTES = 500 * 1024 * 1024
# It is written back at 1,000 pages; one that grew so far has a reader that never ends.
_LARGE_WAL_BYTES = 256 * 1024 * 1024
_PORT = 7676
_EXTRAS = {
    "server": ("uvicorn", "msgspec", "jwt", "cryptography", "prometheus_client"),
    "cli": ("click", "rich"),
    "httpx2": ("httpx2",),
    "aiohttp": ("aiohttp",),
    "otel": ("opentelemetry",),
    "otlp": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
}
# What a command line works without.
_OPTIONAL = {"httpx2", "aiohttp", "otel", "otlp"}


def findings() -> Iterator[Finding]:
    """Look at this machine."""
    yield ok(
        "strait", f"{__version__}, {platform.python_implementation()} {platform.python_version()}"
    )
    yield _sqlite()
    yield _extras()
    yield from _database(database())
    yield _port()


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        return fail(
            "sqlite",
            f"{sqlite3.sqlite_version} is too old for a platform here",
            "use a Python with SQLite 3.38 or later",
        )
    return ok("sqlite", sqlite3.sqlite_version)


def _extras() -> Finding:
    missing = {
        extra: [name for name in modules if not _is_there(name)]
        for extra, modules in _EXTRAS.items()
    }
    there = ", ".join(extra for extra, names in missing.items() if not names) or "none"
    needed = [extra for extra, names in missing.items() if names and extra not in _OPTIONAL]
    if needed:
        what = ", ".join(f"`{name}`" for extra in needed for name in missing[extra])
        install = f"`pip install 'strait-python[{','.join(needed)}]'`"
        return warn("extras", f"{there}; {what} is not installed", install)
    return ok("extras", there)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package that it would be in
        return False


def _database(path: Path) -> Iterator[Finding]:
    from strait.store.connection import StoreError, refuse_network_file_system

    try:
        refuse_network_file_system(path)
    except StoreError as error:
        yield fail("database", str(error), "use a local disk: `strait dev --db PATH`")
    if not path.exists():
        yield ok("database", f"{path} is not there yet; `strait dev` makes it")
    else:
        yield _opened(path)
        yield from _permissions(path)
    yield _disk(path)


def _opened(path: Path) -> Finding:
    from strait.store.migrations import newest

    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            (mode,) = db.execute("PRAGMA journal_mode").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        advice = "`strait db check` says more, `strait db restore` brings a backup"
        return fail("database", f"{path} cannot be read: {error}", advice)
    if version > newest():
        text = f"{path}: schema {version}, which a newer release wrote; this one knows {newest()}"
        return fail("database", text, "upgrade `strait-python`, or choose another file with `--db`")
    wal = path.with_name(path.name + "-wal")
    wal_bytes = wal.stat().st_size if wal.exists() else 0
    if mode != "wal":
        return warn("database", f"{path}: journal mode {mode}", "a start of `strait dev` sets WAL")
    if wal_bytes > _LARGE_WAL_BYTES:
        text = f"{path}: its WAL has {wal_bytes // 2**20} MiB"
        return warn("database", text, "end what reads it for long, such as a copy or a shell")
    size = path.stat().st_size // 1024
    return ok("database", f"{path}: {size} KiB, WAL {wal_bytes // 1024} KiB, schema {version}")


def _permissions(path: Path) -> Iterator[Finding]:
    for file in (path, *(path.with_name(path.name + end) for end in (".key", ".secrets"))):
        if not file.exists():
            continue
        mode = stat.S_IMODE(file.stat().st_mode)
        if file != path and mode & 0o077:
            advice = f"`chmod 600 {file}`"
            yield fail("database", f"{file} can be read by others ({mode:o})", advice)
        if not os.access(file, os.R_OK | os.W_OK):
            yield fail("database", f"{file} cannot be written by you", "ask its owner")


def _disk(path: Path) -> Finding:
    folder = next(parent for parent in path.resolve().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free on {folder}"
    if free < _LEAST_FREE_BYTES:
        return warn("disk", text, "make room: `strait db vacuum`, or `--retain-days`")
    return ok("disk", text)


def _port() -> Finding:
    if (local := local_platform()) is not None and local.base_url.endswith(f":{_PORT}"):
        return ok("port", f"{_PORT} is this directory's platform")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _PORT))
        except OSError:
            return warn("port", f"{_PORT} is taken", "`strait dev --port 0` takes another")
    return ok("port", f"{_PORT} is free")

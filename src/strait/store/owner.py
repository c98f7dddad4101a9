"""One process owns a database; a second one learns who that is."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from strait.store.connection import StoreError

try:
    import fcntl
except ImportError:  # Windows, where the server wing is untested
    fcntl = None  # type: ignore[assignment]  # its absence is checked where it is used


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that has a database open: its pid, and its address once it serves one."""

    pid: int
    address: str


class OwnedError(StoreError):
    """Another living process owns the database.

    Attributes:
        owner: who that is.
    """

    def __init__(self, path: Path, owner: Owner) -> None:
        where = f", serving {owner.address}" if owner.address else ""
        super().__init__(
            f"`{path}` is in use by process {owner.pid}{where}; stop it, "
            "or choose another file with `--db`"
        )
        self.owner = owner


def lock_beside(database: Path) -> Path:
    """Return the file whose lock is that of a database."""
    return database.with_name(database.name + ".lock")


def is_abandoned(lock: Path) -> bool:
    """Say whether a process that had a lock has ended without giving it back."""
    if fcntl is None:
        return False
    try:
        file = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # One that is empty was given back, or is about to be taken: whoever tries it now could be
        # the one that is in the way.
        if os.fstat(file).st_size == 0:
            return False
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file).st_size > 0
    except OSError:
        return False
    finally:
        os.close(file)


class Ownership:
    """An exclusive lock on `<database>.lock`, held until `release` or the end of the process.

    The kernel drops the lock with the process, however it ends, so a stale file never blocks.

    Raises:
        OwnedError: another living process has the lock.
        StoreError: the database has a second name, under which another process could take it.
    """

    def __init__(self, database: Path) -> None:
        _refuse_second_names(database)
        self._path = lock_beside(database)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                owner = self._read()
                os.close(self._file)
                raise OwnedError(database, owner) from None
        try:
            self.announce("")
        except OSError as error:
            os.close(self._file)
            raise StoreError(f"`{self._path}` cannot be written: {error.strerror}") from error

    def announce(self, address: str, grpc_addr: str = "") -> None:
        """Write down who owns the database and where it is served, to workers too."""
        told = {"pid": os.getpid(), "address": address}
        record = json.dumps({**told, "grpc_addr": grpc_addr} if grpc_addr else told).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, record, 0)

    def release(self) -> None:
        """Let the next process have the database."""
        with suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)

    def _read(self) -> Owner:
        try:
            record = json.loads(os.pread(self._file, 4096, 0))
            return Owner(pid=int(record["pid"]), address=str(record["address"]))
        except (ValueError, KeyError, TypeError):
            return Owner(pid=0, address="")


def _refuse_second_names(database: Path) -> None:
    """Refuse a file that can be opened under two names: each would have a lock of its own.

    Under a hard link SQLite writes a second `-wal` besides, of which the first name knows nothing.
    """
    if database.is_symlink():
        raise StoreError(
            f"`{database}` is a link to `{database.resolve()}`; name that file with `--db`, since "
            "its lock, its key and its `-wal` lie beside it"
        )
    if database.exists() and database.stat().st_nlink > 1:
        raise StoreError(
            f"`{database}` has a second name (a hard link), under which another process could open "
            "it; remove that one, and make copies with `strait db backup`"
        )

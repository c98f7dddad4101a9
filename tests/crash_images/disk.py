"""A disk whose power can be cut: every write and every sync is written down, in their order.

A disk may have done any part of what it was told since the last sync, sector by sector. `image`
makes one of the disks that a cut of the power may leave behind.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512
_names = iter(range(1_000_000))


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that were written to a file."""

    file: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file that was cut."""

    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """All that was written to a file is on the disk."""

    file: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Somebody was told that this is done."""

    what: str


Entry = Write | Truncate | Sync | Acknowledged


class RecordedDisk(apsw.VFS):
    """The files of one directory, and all that happened to them.

    Attributes:
        log: what happened, in order.
    """

    def __init__(self) -> None:
        self.name = f"recorded-{next(_names)}"
        self.log: list[Entry] = []
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self.log, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.log.append(Truncate(Path(filename).name, 0))
        super().xDelete(filename, syncdir)
        if syncdir:  # the directory is synced too, so that the file stays away
            self.log.append(Sync(Path(filename).name))

    def acknowledge(self, what: str) -> None:
        """Write down that somebody was told."""
        self.log.append(Acknowledged(what))

    def promised(self, moment: int) -> set[str]:
        """Return what had been acknowledged before entry `moment` of the log."""
        return {entry.what for entry in self.log[:moment] if isinstance(entry, Acknowledged)}

    def image(self, moment: int, chance: random.Random, directory: Path) -> None:
        """Write the files that a cut of the power at entry `moment` may leave behind."""
        for name, content in _files(self.log[:moment], chance).items():
            (directory / name).write_bytes(content)


class _File(apsw.VFSFile):
    def __init__(self, log: list[Entry], name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        path = name.filename() if hasattr(name, "filename") else name
        self._log = log
        self._name = Path(path).name if path else ""

    def xWrite(self, data: bytes, offset: int) -> None:
        self._log.append(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._log.append(Truncate(self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._log.append(Sync(self._name))


def _files(log: list[Entry], chance: random.Random) -> dict[str, bytes]:
    durable = {entry.file: n for n, entry in enumerate(log) if isinstance(entry, Sync)}
    files: dict[str, bytearray] = {}
    for number, entry in enumerate(log):
        if isinstance(entry, Sync | Acknowledged):
            continue
        content = files.setdefault(entry.file, bytearray())
        is_certain = number < durable.get(entry.file, -1)
        if isinstance(entry, Truncate):
            if is_certain or chance.random() < 0.5:
                del content[entry.size :]
        elif is_certain:
            _put(content, entry.offset, entry.data)
        else:
            _put_some(content, entry, chance)
    return {name: bytes(content) for name, content in files.items()}


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _put_some(content: bytearray, write: Write, chance: random.Random) -> None:
    """Do what a disk may have done of a write: all of it, nothing, or some of its sectors."""
    match chance.choice(("all", "nothing", "some", "head")):
        case "all":
            _put(content, write.offset, write.data)
        case "some":
            for at in range(0, len(write.data), SECTOR):
                if chance.random() < 0.5:
                    _put(content, write.offset + at, write.data[at : at + SECTOR])
        case "head":
            end = chance.randrange(len(write.data)) // SECTOR * SECTOR
            _put(content, write.offset, write.data[:end])

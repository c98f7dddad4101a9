"""Watching the files of a project by looking at them: a few hundred `stat` calls take 1 ms.

That needs no library, and works where notifications do not: in containers, on shared folders, and
for files that an editor replaces. What has changed is told once nothing changes any more.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from strait.serve.loading import Stamp, is_foreign, stamp

_LOOK_EVERY_SECS = 0.08
# Files are quiet when nothing has changed for so long; longer when saves come one after another.
_QUIET_SECS = 0.04
_QUIET_IN_A_STORM_SECS = 0.25
_STORM_SECS = 1.0
_LONGEST_QUIET_SECS = 2.0
# A look may take so much of the time at most.
_SHARE = 0.04


class Watcher:
    """Tells what has changed since it was last told what to watch."""

    def __init__(self) -> None:
        self._known: dict[str, Stamp | None] = {}
        self._trees: tuple[Path, ...] = ()
        self._folders: tuple[Path, ...] = ()
        self._told_at = 0.0
        self._since = 0.0

    def watch(
        self,
        files: Mapping[str, Stamp | None],
        *,
        trees: Iterable[Path] = (),
        folders: Iterable[Path] = (),
        since: float,
    ) -> None:
        """Watch other things from now on.

        Args:
            files: files as they were read; None for one that is not there.
            trees: folders in which, at any depth, a new Python file counts.
            folders: the same, without what is below them.
            since: the unix time from which a file there is new, in s.
        """
        self._known = dict(files)
        self._trees, self._folders, self._since = tuple(trees), tuple(folders), since

    def also(self, files: Mapping[str, Stamp]) -> None:
        """Watch further files."""
        for path, found in files.items():
            self._known.setdefault(path, found)

    def begin_anew(self, trees: Iterable[Path], since: float) -> None:
        """Take everything as it is now, while it is read again.

        Args:
            trees: further folders in which, at any depth, a new Python file counts.
            since: the unix time from which a file there is new, in s.
        """
        self._known = {path: stamp(path) for path in self._known}
        self._trees, self._since = tuple(dict.fromkeys((*self._trees, *trees))), since

    async def changes(self) -> tuple[str, ...]:
        """Wait until files have changed and are quiet again; return which."""
        pause = _LOOK_EVERY_SECS
        while True:
            await asyncio.sleep(pause)
            began = time.perf_counter()
            found = await asyncio.to_thread(self.changed)
            pause = max(_LOOK_EVERY_SECS, (time.perf_counter() - began) / _SHARE)
            if found:
                found = await self._when_quiet(found)
            if found:
                self._told_at = time.monotonic()
                return tuple(sorted(found))

    async def _when_quiet(self, found: dict[str, Stamp | None]) -> dict[str, Stamp | None]:
        storm = time.monotonic() - self._told_at < _STORM_SECS
        quiet = _QUIET_IN_A_STORM_SECS if storm else _QUIET_SECS
        until = time.monotonic() + _LONGEST_QUIET_SECS
        while time.monotonic() < until:
            await asyncio.sleep(quiet)
            now = await asyncio.to_thread(self.changed)
            if now == found:
                break
            found, quiet = now, _QUIET_IN_A_STORM_SECS
        return found

    def changed(self) -> dict[str, Stamp | None]:
        """Return what is not as it was, with its stamp now."""
        now = {path: stamp(path) for path in list(self._known)}
        found = {path: seen for path, seen in now.items() if seen != self._known[path]}
        for path in self._others():
            if path not in now and (seen := stamp(path)) is not None and self._is_new(path):
                found[path] = seen
        return found

    def _is_new(self, path: str) -> bool:
        try:
            # Of a file that was moved here, the content may be old.
            if os.stat(path).st_ctime >= self._since:
                return True
        except OSError:
            return False
        self._known[path] = stamp(path)
        return False

    def _others(self) -> Iterator[str]:
        for tree in self._trees:
            for folder, below, names in os.walk(tree):
                below[:] = [name for name in below if not _is_left_out(Path(folder, name))]
                yield from (os.path.join(folder, name) for name in names if _is_python(name))
        for place in self._folders:
            try:
                names = os.listdir(place)
            except OSError:
                continue
            yield from (os.path.join(place, name) for name in names if _is_python(name))


def _is_python(name: str) -> bool:
    return name.endswith(".py") and name != "__main__.py" and not name.startswith(".")


def _is_left_out(folder: Path) -> bool:
    return folder.name.startswith(".") or is_foreign(folder) or (folder / "pyvenv.cfg").exists()

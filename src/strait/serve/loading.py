"""Importing a project's own files: which they are, and never from bytecode of an older save.

Python believes a `.pyc` file whose source has the same size and the same *second* of change, so a
file that is saved twice within a second may be imported as it was. Files of the project are
imported by a loader that knows better, and that remembers what it has read.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

# When a file was changed, in ns, its size and its inode: what tells one save from another.
Stamp: TypeAlias = tuple[int, int, int]

_FOREIGN = frozenset({"site-packages", "dist-packages", "node_modules", "__pycache__"})


def stamp(path: str | Path) -> Stamp | None:
    """Return the stamp of a file; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def is_foreign(path: Path) -> bool:
    """Return whether a path lies in what was installed, and not in what is written here."""
    return any(part in _FOREIGN for part in path.parts) or _in_environment(path)


def _in_environment(path: Path) -> bool:
    prefix = Path(sys.prefix)
    return prefix != Path(sys.base_prefix) and path.is_relative_to(prefix)


class ProjectFiles:
    """Imports from the folders of a project, and remembers each file with its stamp.

    Args:
        roots: the folders; what is installed below them is none of the project's.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = tuple(root.resolve() for root in roots)
        self.stamps: dict[str, Stamp] = {}

    def install(self) -> None:
        """Import all that lies in the folders from now on."""
        files, stamps = self, self.stamps

        class Loader(importlib.machinery.SourceFileLoader):
            def path_stats(self, path: str) -> dict[str, float]:
                found = stamp(path)
                if found is not None:
                    stamps[path] = found
                    _drop_doubtful_bytecode(path, found)
                return dict(super().path_stats(path))

        hook = importlib.machinery.FileFinder.path_hook(
            (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
            (Loader, importlib.machinery.SOURCE_SUFFIXES),
            (importlib.machinery.SourcelessFileLoader, importlib.machinery.BYTECODE_SUFFIXES),
        )

        def finder(folder: str) -> object:
            if not files.has(Path(folder or os.curdir)):
                raise ImportError(folder)
            return hook(folder)

        sys.path_hooks.insert(0, finder)  # type: ignore[arg-type]  # a finder of the standard library
        sys.path_importer_cache.clear()

    def has(self, path: Path) -> bool:
        """Return whether a path is the project's own."""
        found = path.resolve()
        return any(found.is_relative_to(root) for root in self.roots) and not is_foreign(found)

    def look(self) -> dict[str, Stamp]:
        """Return all files of the project that are imported now, with their stamps."""
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if not path or path in self.stamps or not path.endswith(".py"):
                continue
            # Such as an editable installation, which has a finder of its own.
            if self.has(Path(path)) and (found := stamp(path)) is not None:
                self.stamps[path] = found
        return dict(self.stamps)


def _drop_doubtful_bytecode(path: str, found: Stamp) -> None:
    """Remove bytecode that was written in the very second in which its source was saved."""
    with suppress(NotImplementedError, OSError):
        cached = importlib.util.cache_from_source(path)
        if os.stat(cached).st_mtime < found[0] // 1_000_000_000 + 1:
            os.unlink(cached)

"""What `kill -9` leaves of a database at each point that a commit passes."""

from __future__ import annotations

import shutil
from pathlib import Path


class Images:
    """A probe for `Outside` that copies the database at the points before and after a commit.

    Attributes:
        taken: directories with a copy each, in order; beside the database's own.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._watching = False
        self.taken: list[Path] = []

    def watch(self) -> None:
        """Begin to copy."""
        self._watching = True

    def stop(self) -> None:
        """Copy no more."""
        self._watching = False

    def __call__(self, point: str) -> None:
        # In the thread that commits, so that nothing is written meanwhile.
        if not self._watching or point not in {"worked", "committed"}:
            return
        place = self._database.parent / f"image-{len(self.taken)}"
        place.mkdir()
        for file in self._database.parent.glob(f"{self._database.name}*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, place / file.name)
        self.taken.append(place / self._database.name)

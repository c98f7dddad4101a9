"""`strait` that kills itself at a commit point: `python -m tests.support.mortal POINT COUNT dev …`.

The process ends as by `kill -9` when its writer passes POINT for the COUNTth time after a SIGUSR1.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from strait.cli import main
from strait.store.writer import COMMIT_POINTS, Writer


class Probe:
    """Counts how often a point is passed."""

    def __init__(self, point: str, count: int) -> None:
        if point not in COMMIT_POINTS:
            raise ValueError(f"`{point}` is no commit point; there are {COMMIT_POINTS}")
        self._point = point
        self._left = count
        self._armed = False
        signal.signal(signal.SIGUSR1, self._arm)

    def _arm(self, number: int, frame: object) -> None:
        self._armed = True

    def __call__(self, point: str) -> None:
        if self._armed and point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    probe = Probe(sys.argv[1], int(sys.argv[2]))
    initialise = Writer.__init__

    def mortal(self: Writer, *arguments: Any, **options: Any) -> None:
        initialise(self, *arguments, **{**options, "probe": probe})

    Writer.__init__ = mortal  # type: ignore[method-assign] # the command has no option for it
    sys.argv = ["strait", *sys.argv[3:]]
    main()

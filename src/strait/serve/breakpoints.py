"""`breakpoint()` in a handler: a debugger at a socket, for the terminal that attaches to it.

A handler runs in a process without a terminal. So its `breakpoint()` listens on a socket in a
folder that only its user can read, and waits there: `strait dev --attach SOCKET` is the other end.
A debugger that was set up otherwise (debugpy, `PYTHONBREAKPOINT`) is left alone.
"""

from __future__ import annotations

import os
import pdb
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TextIO, TypeAlias

# Told where it stands and what to attach to; returns what to call when it goes on.
Stopped: TypeAlias = Callable[[str, str], Callable[[], None]]


def install(stopped: Stopped) -> None:
    """Let `breakpoint()` wait for somebody to attach, where nothing else was set up for it."""
    plain = sys.breakpointhook is sys.__breakpointhook__
    if not plain or "PYTHONBREAKPOINT" in os.environ or not hasattr(socket, "AF_UNIX"):
        return

    def hook(*_: object, **__: object) -> None:
        _wait(sys._getframe(1), stopped)  # noqa: SLF001 - as `pdb.set_trace` does

    sys.breakpointhook = hook


def _wait(frame: FrameType, stopped: Stopped) -> None:
    # `mkdtemp` makes a folder for its owner's eyes only.
    folder = Path(tempfile.mkdtemp(prefix="strait-"))
    path = folder / "pdb"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        go_on = stopped(f"{frame.f_code.co_filename}:{frame.f_lineno}", str(path))
        try:
            connection, _ = listener.accept()
        finally:
            path.unlink(missing_ok=True)
            folder.rmdir()
    _Remote(connection, go_on).set_trace(frame)


class _Remote(pdb.Pdb):
    """A `pdb` that speaks over a connection, which ends when the code goes on for good."""

    def __init__(self, connection: socket.socket, go_on: Callable[[], None]) -> None:
        self._connection = connection
        self._go_on: Callable[[], None] | None = go_on
        reader: TextIO = connection.makefile("r", encoding="utf-8")
        writer: TextIO = connection.makefile("w", encoding="utf-8")
        super().__init__(stdin=reader, stdout=writer, nosigint=True, readrc=False)
        self.use_rawinput = False

    def set_continue(self) -> None:
        super().set_continue()
        if not self.breaks:
            self._leave()

    def set_quit(self) -> None:
        super().set_quit()
        self._leave()

    def do_EOF(self, arg: str) -> bool | None:  # noqa: N802 - the name that `cmd` looks for
        """Go on when the terminal goes away."""
        self.clear_all_breaks()
        return self.do_continue(arg)

    def _leave(self) -> None:
        go_on, self._go_on = self._go_on, None
        if go_on is not None:
            go_on()
        for file in (self.stdout, self.stdin):
            with suppress(OSError):
                file.close()
        self._connection.close()

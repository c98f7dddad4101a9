"""`strait dev --attach SOCKET`: this terminal becomes that of a handler's `breakpoint()`."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading


def attach(path: str) -> None:
    """Speak with the debugger at a socket until it goes on; exit with 1 when nobody is there."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError as error:
            sys.exit(f"strait: nothing waits at `{path}`: {error.strerror}")
        threading.Thread(
            target=_type, args=(connection,), name="strait-attach", daemon=True
        ).start()
        while said := connection.recv(65_536):
            sys.stdout.buffer.write(said)
            sys.stdout.buffer.flush()


def _type(connection: socket.socket) -> None:
    """Send what is typed; the end of the input lets the handler go on."""
    with contextlib.suppress(OSError):
        while typed := os.read(0, 65_536):
            connection.sendall(typed)
        connection.shutdown(socket.SHUT_WR)

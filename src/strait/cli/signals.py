"""The signals that end a command which runs until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


def on_end(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Call `stop` at each SIGINT and SIGTERM, and at SIGHUP if nothing has ended it yet.

    A terminal that is closed may send SIGHUP twice, from the system and from its shell, which says
    nothing of haste. Whoever started the command has it ignored, as `nohup` does, where it is to
    outlive the terminal.
    """
    begun = False

    def end() -> None:
        nonlocal begun
        begun = True
        stop()

    def hang_up() -> None:
        if not begun:
            end()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    name = getattr(signal, "SIGHUP", None)  # Windows has none
    if name is not None and signal.getsignal(name) != signal.SIG_IGN:
        loop.add_signal_handler(name, hang_up)

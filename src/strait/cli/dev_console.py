"""What `strait dev` says: lines for a person on the standard error, or JSON on the standard output.

A thread writes, so that a terminal that is stopped, or a pipe that nobody reads, holds up nothing.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any, TextIO

from strait.clock import SECOND, to_timestamp

# Lines about runs are left out when so many lines wait to be written, and counted.
_MOST_WAITING = 2_000
_CLOSE_SECS = 2.0
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}


class Console:
    """Writes lines, in their order.

    Args:
        as_json: events are lines of JSON on the standard output.
        quiet: runs are not told.
        colour: whether lines for a person are coloured; by default on a terminal, unless
            `NO_COLOR` is set.
        as_log: what is said is written as the log is that it stands between: lines of JSON.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        quiet: bool = False,
        colour: bool | None = None,
        as_log: bool = False,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.as_log = as_log
        coloured = _is_terminal(sys.stderr) if colour is None else colour
        self._colour = coloured and not as_log
        self._waiting: SimpleQueue[tuple[int, str] | None] = SimpleQueue()
        self._left_out = 0
        self._early: list[dict[str, Any]] | None = []
        self._thread = threading.Thread(target=self._write, name="strait-console", daemon=True)
        self._thread.start()

    def paint(self, text: str, colour: str) -> str:
        """Return a text in a colour, if there are any."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._colour and colour else text

    def say(self, line: str) -> None:
        """Write a line for a person, or for who reads the log."""
        self._waiting.put((2, _logged(line) if self.as_log else line))

    def ready(self, line: dict[str, Any]) -> None:
        """Write the first line for a program, and then what was told before it."""
        early, self._early = self._early or [], None
        for one in (line, *early):
            self.tell(one)

    def tell(self, line: dict[str, Any]) -> None:
        """Write a line for a program, once it knows that all is ready."""
        if self._early is not None:
            self._early.append(line)
            return
        self._waiting.put((1, json.dumps(line, ensure_ascii=False)))

    def event(self, kind: str, text: str, colour: str = "", **data: Any) -> None:
        """Write what has happened: for a person with its time, for a program as JSON."""
        if self.as_json:
            self.tell({"event": kind, **data})
        else:
            self.say(f"{self.clock()}  {self.paint(f'{kind:<8}', colour)} {text}")

    def run(self, text: str, data: dict[str, Any]) -> None:
        """Write how a run or a workflow run moved on, unless that is not wanted or too much."""
        if self.quiet:
            return
        if self._waiting.qsize() > _MOST_WAITING:
            self._left_out += 1
            return
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            self.event("dropped", f"{left_out} lines about runs were left out", lines=left_out)
        if self.as_json:
            self.tell(data)
        else:
            self.say(f"{self.clock()}  {text}")

    def clock(self) -> str:
        """Return the time of the day."""
        # A line of the log has its time already.
        return "" if self.as_log else self.paint(time.strftime("%H:%M:%S"), "dim")

    def close(self) -> None:
        """Write what waits, if somebody reads it."""
        self._waiting.put(None)
        self._thread.join(_CLOSE_SECS)

    def _write(self) -> None:
        while (item := self._waiting.get()) is not None:
            file, line = item
            left = (line + "\n").encode(errors="replace")
            try:
                while left:
                    left = left[os.write(file, left) :]
            except OSError:
                continue  # nobody reads it any more


def _is_terminal(file: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return file.isatty()


def _logged(line: str) -> str:
    """Return a line as the server's log has it (`strait.log_lines`)."""
    record = {
        "time": to_timestamp(round(time.time() * SECOND)),
        "level": "warning" if line.startswith("warning:") else "info",
        "logger": "strait.cli",
        "message": " ".join(line.split()),
    }
    return json.dumps(record, ensure_ascii=False)

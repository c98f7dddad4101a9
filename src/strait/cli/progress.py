"""A bar on the terminal for what takes longer than a second; nothing where there is no terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# What is over sooner needs no bar.
_AFTER_SECS = 1.0
_CHARS = 30
# What fits a terminal of the usual width.
_WIDEST = 79


class Bar:
    """A bar of what is being done; it is drawn on the standard error."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = time.monotonic()
        self._shown = ""

    def move(self, done: int, of: int) -> None:
        """Show how far it is."""
        if not sys.stderr.isatty() or time.monotonic() - self._started < _AFTER_SECS:
            return
        share = min(done / max(of, 1), 1.0)
        filled = round(share * _CHARS)
        self._draw(f"\r{self._what} [{'#' * filled:<{_CHARS}}] {share:4.0%}")

    def count(self, done: int) -> None:
        """Show how many are done, where nobody knows of how many."""
        if not sys.stderr.isatty() or time.monotonic() - self._started < _AFTER_SECS:
            return
        self._draw(f"\r{self._what} … {done}")

    def _draw(self, text: str) -> None:
        if text != self._shown:
            self._shown = text
            print(text, end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            print(file=sys.stderr)
            self._shown = ""


def tracked(what: str, items: Sequence[T]) -> Iterator[T]:
    """Go through items, with a bar once that takes longer than a second."""
    bar = Bar(what)
    try:
        for done, item in enumerate(items):
            bar.move(done, len(items))
            yield item
        bar.move(len(items), len(items))
    finally:
        bar.end()


def counted(what: str, items: Iterable[T]) -> Iterator[T]:
    """Go through items whose number nobody knows, with a counter after a second."""
    bar = Bar(what)
    try:
        for done, item in enumerate(items):
            bar.count(done)
            yield item
    finally:
        bar.end()


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say on the terminal that something goes on, and for how long, where nobody knows how far."""
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    ticker = threading.Thread(target=_tick, args=(what, over), name="strait-progress", daemon=True)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()


def _tick(what: str, over: threading.Event) -> None:
    secs = 0
    while not over.wait(_AFTER_SECS):
        secs += 1
        place = secs % _CHARS
        bar = f"{'·' * place}#{'·' * (_CHARS - place - 1)}"
        print(f"\r{what} [{bar}] {secs} s", end="", file=sys.stderr, flush=True)
    if secs:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


class LiveLine:
    """A bar at the bottom of the terminal, with lines above it; without a terminal lines only."""

    def __init__(self) -> None:
        self._shown = ""

    def move(self, share: float, message: str) -> bool:
        """Draw the bar; False where there is no terminal."""
        if not sys.stdout.isatty():
            return False
        filled = round(min(max(share, 0.0), 1.0) * _CHARS)
        self._shown = f"[{'#' * filled:<{_CHARS}}] {share:4.0%} {message}"[:_WIDEST]
        print(f"\r\033[K{self._shown}", end="", flush=True)
        return True

    def above(self, text: str) -> None:
        """Print a line, and the bar again below it."""
        if self._shown:
            print(f"\r\033[K{text}\n{self._shown}", end="", flush=True)
        else:
            print(text, flush=True)

    def end(self) -> None:
        """Take the bar away."""
        if self._shown:
            print("\r\033[K", end="", flush=True)
            self._shown = ""

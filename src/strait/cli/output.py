"""What commands print: JSON for programs, and tables for people.

Tables are plain text wherever the output is no terminal; on one they are drawn by `rich`, if that
is installed. What came from runs is shown without the characters that would steer a terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from strait.errors import Json

_GAP = "  "
_IDENTITIES = frozenset({"id", "run"})
# A text in a narrower column is not read.
_LEAST_FOLDED = 20
# How a status is shown on a terminal.
_STYLES = {
    "completed": "green",
    "ok": "green",
    "executing": "cyan",
    "running": "cyan",
    "waiting": "yellow",
    "paused": "yellow",
    "delayed": "yellow",
    "warn": "yellow",
    "failed": "red",
    "fail": "red",
    "timed_out": "red",
    "crashed": "red",
    "system_failed": "red",
    "dead_letter": "red",
    "expired": "magenta",
    "canceled": "magenta",
}


def print_json(value: Json) -> None:
    """Print a value as one line of JSON, at once."""
    # What a terminal of another encoding lacks is escaped the way of JSON.
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    print(json.dumps(value, ensure_ascii=plain), flush=True)


def shown_json(value: Json) -> str:
    """Return a value as JSON that a person can read; it has no characters that steer a terminal."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def say(text: str = "") -> None:
    """Print a line for a person."""
    print(text, flush=True)


def note(text: str) -> None:
    """Print a line to the standard error, so that it is in no pipe."""
    print(text, file=sys.stderr, flush=True)


def clean(value: object) -> str:
    """Return a text of a run on one line, without what would steer a terminal."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "") -> None:
    """Print rows under headings, or `empty` if there are none."""
    cells = [["" if value is None else clean(value) for value in row] for row in rows]
    if not cells:
        say(empty or "nothing")
        return
    if is_drawn():
        _draw(headings, cells)
    else:
        print("\n".join(_lines(headings, cells)), flush=True)


def is_drawn() -> bool:
    """Say whether the output is a terminal that `rich` may draw on."""
    return (
        sys.stdout.isatty()
        and os.environ.get("TERM") != "dumb"
        and not os.environ.get("NO_COLOR")
        and find_spec("rich") is not None
    )


def _lines(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    return [
        _GAP.join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (headings, *cells)
    ]


def _draw(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Draw a table; only its last column is folded, unless that is an identity, which is copied.

    Where there is no room even so, rows are longer than the terminal is wide, and it folds them:
    words that are cut in pieces are not read.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    widths = [max(map(cell_len, column)) for column in zip(headings, *cells, strict=True)]
    *others, last = widths
    room = console.width - sum(others) - len(_GAP) * len(others)
    if room < last and (headings[-1] in _IDENTITIES or room < _LEAST_FOLDED):
        room = last
    rows = [[Text(heading, style="bold") for heading in headings]]
    rows += [[Text(cell, style=_STYLES.get(cell, "")) for cell in row] for row in cells]
    for row in rows:
        folded = row[-1].wrap(console, max(room, 1), overflow="fold") or [Text()]
        row[-1] = folded[0]
        console.print(_line(row, others), soft_wrap=True)
        indent = " " * (sum(others) + len(_GAP) * len(others))
        for more in folded[1:]:
            console.print(Text(indent) + more, soft_wrap=True)


def _line(row: Sequence[Text], widths: Sequence[int]) -> Text:
    from rich.text import Text

    line = Text()
    for cell, width in zip(row, widths, strict=False):
        line += cell
        line.append(" " * (width - cell.cell_len) + _GAP)
    line += row[-1]
    line.rstrip()
    return line


def fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line; what is None or empty is left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{name:<{width}}{_GAP}{clean(value)}")


def when(stamp: str | None) -> str:
    """Return an instant of the API in the time of this machine, to the second."""
    return parsed(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S") if stamp else ""


def clock(stamp: str | None) -> str:
    """Return the time of day of an instant of the API, to the millisecond."""
    if not stamp:
        return ""
    moment = parsed(stamp).astimezone()
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"


def parsed(stamp: str) -> datetime:
    """Return an instant of the API."""
    return datetime.fromisoformat(stamp)


def short(path: str) -> str:
    """Return a path as one would type it here."""
    found, here = Path(path), Path(os.curdir).resolve()
    return str(found.relative_to(here)) if found.is_relative_to(here) else path


def took(run: Json) -> str:
    """Return how long a run took from its start to its end; empty while it has not ended."""
    if not (run.get("started_at") and run.get("finished_at")):
        return ""
    return span(parsed(run["finished_at"]) - parsed(run["started_at"]))


def span(duration: timedelta) -> str:
    """Return a duration as one would say it: `41 ms`, `3.2 s`, `5 min 10 s`, `2 h 5 min`."""
    secs = max(duration.total_seconds(), 0.0)
    if secs < 1:
        return f"{secs * 1000:.0f} ms"
    if secs < 60:
        return f"{secs:.1f} s"
    minutes, rest = divmod(round(secs), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""Writing HTML and SVG so that nothing which was read from a run can become markup.

Every text is escaped unless it is `Markup`, and only `tag` and `join` make that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any

_VOID = frozenset({"meta", "br", "hr", "link"})
# What XML and HTML cannot hold, and what would turn the direction of the text around.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_MOST_CHARS = 16_000
_MOST_CHARS_IN_ALL = 4_000_000
_INLINE_CHARS = 60


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: str | float | bool | None) -> Markup:
    """Return an element; children that are no `Markup` are escaped, None is left out.

    Attributes that are None or False are left out, True has no value; `_` in a name is `-`, and a
    trailing one is dropped (`class_`).
    """
    written = "".join(
        f" {_attribute(key)}" if value is True else f' {_attribute(key)}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    inside = "".join(
        child if isinstance(child, Markup) else text(child) for child in children if child
    )
    return Markup(f"<{name}{written}>{inside}</{name}>")


def join(pieces: Iterable[Markup], between: str = "") -> Markup:
    """Return pieces of markup as one."""
    return Markup(between.join(pieces))


def text(value: str) -> Markup:
    """Return a text as HTML shows it, in an element and in an attribute alike."""
    return Markup(escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", value), quote=True))


def shortened(value: str, most: int) -> str:
    """Return a text that fits, with an ellipsis where it was cut."""
    line = " ".join(value.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    if count < 1_000:
        return f"{count} B"
    return f"{count / 1_000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


class Values:
    """Shows JSON values: small ones in the line, others folded, large ones cut.

    It counts what it has shown, so that a page stays one that a browser opens.
    """

    def __init__(self) -> None:
        self._left = _MOST_CHARS_IN_ALL

    def show(self, value: Any, summary: str = "", *, is_open: bool = False) -> Markup:
        """Return a value.

        Args:
            value: JSON.
            summary: what its fold is called; by default its beginning.
            is_open: show it unfolded.
        """
        sealed = _sealed(value)
        if sealed:
            return tag("span", sealed, class_="sealed")
        line = json.dumps(value, ensure_ascii=False)
        if len(line) <= _INLINE_CHARS and not summary and not is_open:
            return tag("code", line)
        whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        return self.block(whole, summary or shortened(line, 72), is_open=is_open)

    def block(self, whole: str, summary: str = "", *, is_open: bool = False) -> Markup:
        """Return a text of several lines, folded under a summary."""
        shown = whole[: max(0, min(_MOST_CHARS, self._left))]
        self._left -= len(shown)
        cut = None
        if len(shown) < len(whole):
            held = len(whole.encode("utf-8", "replace"))
            cut = tag("p", f"cut here; the whole value has {size(held)}", class_="cut")
        body = tag("pre", shown, tabindex="0")
        return tag(
            "details", tag("summary", tag("code", summary)), body, cut, class_="value", open=is_open
        )


def _sealed(value: Any) -> str:
    """Say what stands in the place of a value that a codec or a blob store has."""
    if not isinstance(value, dict) or len(value) != 1:
        return ""
    if isinstance(value.get("$sealed"), str):
        return f"sealed by a codec ({size(len(value['$sealed']) * 3 // 4)})"
    if isinstance(value.get("$blob"), str):
        return f"in the blob store: {value['$blob']}"
    return ""


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")

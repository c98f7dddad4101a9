"""Reads Markdown for the tests that hold it: its blocks of code, its tables, and running both."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

_FENCE = re.compile(r"^```(\w*)\s*$")
_HEADING = re.compile(r"^#+ (.*)$")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: the word behind the fence.
        heading: the heading that it stands under, without backticks.
        ordinal: how many blocks of its language stand before it under this heading.
        line: the number of its first line in the file.
        text: what is between the fences.
        file: the file.
    """

    language: str
    heading: str
    ordinal: int
    line: int
    text: str
    file: Path

    @property
    def name(self) -> str:
        """The heading, with a number from the second block on."""
        return self.heading + (f" {self.ordinal + 1}" if self.ordinal else "")

    def with_(self, replacements: Mapping[str, str]) -> Block:
        """Return the block with its placeholders filled; one that is not there is an error."""
        text = self.text
        for placeholder, value in replacements.items():
            assert placeholder in text, f"{self.name}: there is no {placeholder!r}"
            text = text.replace(placeholder, value)
        return Block(self.language, self.heading, self.ordinal, self.line, text, self.file)

    def compiled(self) -> CodeType:
        """Return the code, in which `await` may stand outside of functions."""
        # The line numbers of a traceback are those of the document.
        text = "\n" * (self.line - 1) + self.text
        return compile(text, str(self.file), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    def run(self, names: dict[str, Any]) -> dict[str, Any]:
        """Run the block, on a loop of its own if it awaits; return the names that it leaves."""
        result = eval(self.compiled(), names)
        if inspect.iscoroutine(result):
            asyncio.run(result)
        return names

    async def run_here(self, names: dict[str, Any]) -> dict[str, Any]:
        """Run the block on the loop of the test and return the names that it leaves."""
        result = eval(self.compiled(), names)
        if inspect.iscoroutine(result):
            await result
        return names


def blocks(file: Path, language: str = "python") -> list[Block]:
    """Return the blocks of a language in the order of the file."""
    found: list[Block] = []
    heading, fence, start, lines = "", "", 0, []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if match := _FENCE.match(line):
            if start and fence == language:
                before = sum(block.heading == heading for block in found)
                text = "\n".join(lines) + "\n"
                found.append(Block(language, heading, before, start, text, file))
            start, fence, lines = (0, "", []) if start else (number + 1, match[1], [])
        elif start:
            lines.append(line)
        elif match := _HEADING.match(line):
            heading = match[1].replace("`", "")
    return found


def tables(file: Path) -> dict[str, list[list[str]]]:
    """Return the rows of the last table under each heading, without its head."""
    found: dict[str, list[list[str]]] = {}
    heading, rows, fenced = "", [], False
    for line in [*file.read_text("utf-8").splitlines(), ""]:
        fenced ^= bool(_FENCE.match(line))
        if line.startswith("|") and not fenced:
            rows.append([_text(cell) for cell in _CELL.split(line.strip())[1:-1]])
            continue
        if rows:
            found[heading], rows = rows[2:], []
        if not fenced and (match := _HEADING.match(line)):
            heading = match[1].replace("`", "")
    return found


def _text(cell: str) -> str:
    return cell.replace("\\|", "|").strip().strip("`").strip()

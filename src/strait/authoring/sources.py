"""Where in the user's files something is written: of a definition, its options, its calls.

Nothing is run here; files are parsed once. What cannot be found more exactly is at the line of its
definition.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_OWN = __name__.partition(".")[0]
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file.

    Attributes:
        path: the file.
        line: its line, from 1.
    """

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    def at(self, node: ast.AST) -> Place:
        """Return the place of a node of the same file."""
        return Place(self.path, getattr(node, "lineno", self.line))


def calling_place() -> Place:
    """Return the nearest line on the stack that is not of this package."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] != _OWN:
            return Place(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return Place("<unknown>", 0)


@cache
def parsed(path: str) -> ast.Module:
    """Return the tree of a file; an empty one when it cannot be read as Python."""
    try:
        return ast.parse(Path(path).read_text("utf-8"), path)
    except (OSError, SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def statement_at(place: Place) -> ast.stmt | None:
    """Return the innermost statement that a line belongs to."""
    holding = [
        node
        for node in ast.walk(parsed(place.path))
        if isinstance(node, ast.stmt) and _first(node) <= place.line <= (node.end_lineno or 0)
    ]
    return max(holding, key=_first, default=None)


def option_place(place: Place, name: str) -> Place:
    """Return where the definition at a place gives an option by its name."""
    return next((place.at(word) for word in _keywords(place) if word.arg == name), place)


def step_place(place: Place, ref: str, name: str = "") -> Place:
    """Return where a step is made, or an option of it; `place` is where its workflow is."""
    nearby = statement_at(place)
    for tree in ([nearby] if nearby else []) + [parsed(place.path)]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _names(node, ref):
                words = (word for word in _inside(node) if word.arg == name)
                return place.at(next(words, node))
    return place


def function_at(place: Place) -> _Function | None:
    """Return the function whose `def`, or first decorator, is at a line."""
    for node in ast.walk(parsed(place.path)):
        if isinstance(node, _Function) and _first(node) <= place.line <= node.lineno:
            return node
    return None


def _first(node: ast.stmt) -> int:
    """Return the first line of a statement, which may be that of a decorator."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return node.lineno


def _keywords(place: Place) -> Iterator[ast.keyword]:
    statement = statement_at(place)
    if isinstance(statement, _Function):
        for decorator in statement.decorator_list:
            yield from _inside(decorator)
    elif statement is not None:
        yield from _inside(statement)


def _inside(node: ast.AST) -> Iterator[ast.keyword]:
    return (found for found in ast.walk(node) if isinstance(found, ast.keyword))


def _names(call: ast.Call, ref: str) -> bool:
    values = [*call.args[:1], *(word.value for word in call.keywords if word.arg in _REF_WORDS)]
    return any(isinstance(value, ast.Constant) and value.value == ref for value in values)


_REF_WORDS = frozenset({"ref", "step_ref"})

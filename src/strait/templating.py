"""The platform's templates and output paths (`contract/workflows.md` §3.4, §3.5).

Templates are bare placeholders, `{{name}}` or `{{a.b.c}}`; what they name is looked up in the
payload that the workflow run was triggered with. There are no expressions, no spaces, no defaults,
and a placeholder that cannot be resolved stays as it stands. Paths (`transform`) are the part of
the platform's path language that reads: names, indexes, `#`, `@this`, and several paths at once.

    >>> render({"to": "{{user.mail}}", "note": "order {{id}}"}, {"id": 7, "user": {"mail": "a@b"}})
    {'to': 'a@b', 'note': 'order 7'}
    >>> transform("items.#.id", {"items": [{"id": 1}, {"id": 2}]})
    [1, 2]

What comes out is bounded: a short template may name a large value many times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeAlias

Json: TypeAlias = Any

MAX_RENDERED_CHARS = 4 * 1024 * 1024
"""How much JSON text placeholders and several paths at once may expand to."""
MAX_DEPTH = 200
"""How deep a payload with placeholders may be nested."""
MAX_PATH_CHARS = 1_000
"""How long a path may be."""
MAX_PATH_PARTS = 100
"""How many dots and brackets a path may have."""
MAX_PATH_STEPS = 200_000
"""How many values a path may look at in one output."""

# A later part may begin with a digit, which finds array items in event keys only.
_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\}\}", re.ASCII)


class TemplateError(ValueError):
    """A template expands to too much."""


class TransformError(ValueError):
    """A path finds nothing in an output; the text is the contract's."""


# ------------------------------------------------------------------------------------- templates


def render(value: Json, variables: Json) -> Json:
    """Return `value` with the placeholders in its strings replaced.

    A string that is one placeholder and nothing else becomes the value itself, with its type;
    inside a longer string it is written as text. Keys are never looked at, array items cannot be
    named, and `value` is not changed.

    Args:
        value: decoded JSON, the payload of a step.
        variables: the trigger payload. If it is no object, nothing is replaced.

    Raises:
        TemplateError: the result is larger than `MAX_RENDERED_CHARS` or deeper than `MAX_DEPTH`.
    """
    if not isinstance(variables, dict):
        return value
    return _Rendering(variables).render(value, MAX_DEPTH)


def render_key(text: str, variables: Json) -> str:
    """Return an event key with its placeholders replaced; here `{{list.0}}` names an item.

    Objects and arrays become their JSON, `null` becomes nothing.

    Raises:
        TemplateError: the result is larger than `MAX_RENDERED_CHARS`.
    """
    if not isinstance(variables, dict):
        return text
    budget = _Budget()

    def replacement(match: re.Match[str]) -> str:
        found = _lookup(variables, match[1], indexes=True)
        return match[0] if found is _NOTHING else budget.spend(_as_text(found))

    return _PLACEHOLDER.sub(replacement, text)


class _Nothing:
    """What a lookup returns that found nothing; `None` is a value."""


_NOTHING = _Nothing()


class _Budget:
    """Counts what is put in for placeholders, or what a path looks at."""

    def __init__(self, limit: int = MAX_RENDERED_CHARS) -> None:
        self._left = self._limit = limit

    def spend(self, text: str) -> str:
        self.take(len(text))
        return text

    def take(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise TemplateError(f"template expands to more than {self._limit} characters")


class _Rendering:
    """One rendering, with what it may still put in."""

    def __init__(self, variables: dict[str, Json]) -> None:
        self._variables = variables
        self._budget = _Budget()
        self._sizes: dict[str, int] = {}

    def render(self, value: Json, depth: int) -> Json:
        if isinstance(value, str):
            return self._render_text(value)
        if not isinstance(value, dict | list):
            return value
        if depth == 0:
            raise TemplateError(f"template is nested deeper than {MAX_DEPTH}")
        if isinstance(value, list):
            return [self.render(item, depth - 1) for item in value]
        return {key: self.render(item, depth - 1) for key, item in value.items()}

    def _render_text(self, text: str) -> Json:
        if "{{" not in text:
            return text
        whole = _PLACEHOLDER.fullmatch(text)
        return _PLACEHOLDER.sub(self._as_part, text) if whole is None else self._as_value(whole)

    def _as_value(self, match: re.Match[str]) -> Json:
        found = _lookup(self._variables, match[1], indexes=False)
        if found is _NOTHING:
            return match[0]
        if isinstance(found, str | dict | list):
            self._budget.take(self._size(match[1], found))
        return found

    def _as_part(self, match: re.Match[str]) -> str:
        found = _lookup(self._variables, match[1], indexes=False)
        return match[0] if found is _NOTHING else self._budget.spend(_as_text(found))

    def _size(self, path: str, value: Json) -> int:
        if path not in self._sizes:
            self._sizes[path] = len(_as_text(value))
        return self._sizes[path]


def _lookup(variables: Json, path: str, *, indexes: bool) -> Json:
    value = variables
    for name in path.split("."):
        value = _member(value, name, indexes=indexes)
        if value is _NOTHING:
            break
    return value


def _member(value: Json, name: str, *, indexes: bool) -> Json:
    if isinstance(value, dict):
        return value.get(name, _NOTHING)
    if isinstance(value, list) and indexes and name.isascii() and name.isdecimal():
        # An index of many digits is out of range, whatever it says.
        index = int(name) if len(name) <= _INDEX_DIGITS else len(value)
        return value[index] if index < len(value) else _NOTHING
    return _NOTHING


_INDEX_DIGITS = 9


def _as_text(value: Json) -> str:
    """Write a value into a longer text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # JSON has one kind of number: 2.0 is 2, and 1e21 has no exponent
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError as error:
        raise TemplateError("value of a placeholder is nested too deep") from error


# ----------------------------------------------------------------------------------------- paths


def transform(path: str, output: Json) -> Json:
    r"""Return what `path` finds in the output of a step.

    | path | finds |
    |---|---|
    | `a.b.2.c` | members by name, items by index; `a\.b` is a name with a dot |
    | `items.#` | how many items there are |
    | `items.#.id` | the `id` of every item that has one |
    | `@this` | the value itself |
    | `{a,b:c.d}` | an object of several paths, named after their last part or as said |
    | `[a,c.d]` | an array of several paths |

    Raises:
        TransformError: nothing is found, or the path uses what is not named here (queries,
            wildcards, other modifiers), or what it finds is larger than `MAX_RENDERED_CHARS`.
    """
    try:
        found = _compile(path)(output, _Budget(MAX_PATH_STEPS))
        if found is not _NOTHING and ("{" in path or "[" in path):
            _Budget().spend(_as_text(found))
    except (TemplateError, _BadPathError):
        found = _NOTHING
    if found is _NOTHING:
        raise TransformError(f'output transform: path "{path}" not found in output')
    return found


class _BadPathError(Exception):
    """The path is not in the language."""


_Finder: TypeAlias = Callable[[Json, _Budget], Json]


@lru_cache(maxsize=256)
def _compile(path: str) -> _Finder:
    if len(path) > MAX_PATH_CHARS or len(re.findall(r"[.{\[]", path)) > MAX_PATH_PARTS:
        raise _BadPathError
    return _compile_path(path)


def _compile_path(path: str) -> _Finder:
    if path[:1] in ("{", "["):
        several, rest = _split_several(path)
        return _then(_several(several), rest)
    name, rest = _split_name(path)
    if name == "#":
        return _count if not rest else _in_all(_compile_path(rest))
    if name == "@this":
        return _then(_itself, rest)
    return _then(_named(_unescaped(name)), rest)


def _then(first: _Finder, rest: str) -> _Finder:
    if not rest:
        return first
    second = _compile_path(rest)

    def find(value: Json, budget: _Budget) -> Json:
        found = first(value, budget)
        return found if found is _NOTHING else second(found, budget)

    return find


def _itself(value: Json, budget: _Budget) -> Json:
    budget.take(1)
    return value


def _count(value: Json, budget: _Budget) -> Json:
    budget.take(1)
    return len(value) if isinstance(value, list) else _NOTHING


def _named(name: str) -> _Finder:
    def find(value: Json, budget: _Budget) -> Json:
        budget.take(1)
        return _member(value, name, indexes=True)

    return find


def _in_all(finder: _Finder) -> _Finder:
    def find(value: Json, budget: _Budget) -> Json:
        if not isinstance(value, list):
            return _NOTHING
        found = (finder(item, budget) for item in value)
        return [item for item in found if item is not _NOTHING]

    return find


def _several(bracketed: str) -> _Finder:
    parts = list(_split_parts(bracketed[1:-1]))
    if bracketed[0] == "[":
        return _listed([_compile_path(part) for part in parts])
    return _mapped({name: _compile_path(part) for name, part in map(_split_alias, parts)})


def _listed(finders: list[_Finder]) -> _Finder:
    def find(value: Json, budget: _Budget) -> Json:
        found = (finder(value, budget) for finder in finders)
        return [item for item in found if item is not _NOTHING]

    return find


def _mapped(finders: dict[str, _Finder]) -> _Finder:
    def find(value: Json, budget: _Budget) -> Json:
        found = {name: finder(value, budget) for name, finder in finders.items()}
        return {name: item for name, item in found.items() if item is not _NOTHING}

    return find


_NOT_IN_NAMES = re.compile(r"[#@*?|!{}\[\]()\"~^]")


def _split_name(path: str) -> tuple[str, str]:
    """Split the first part off, still escaped; a path may not end in a dot."""
    end = next((i for i, char in _plain_chars(path) if char == "."), len(path))
    name, rest = path[:end], path[end + 1 :]
    if not name or (end < len(path) and not rest):
        raise _BadPathError
    if name not in ("#", "@this") and any(_NOT_IN_NAMES.match(c) for _, c in _plain_chars(name)):
        raise _BadPathError
    return name, rest


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _split_several(path: str) -> tuple[str, str]:
    """Split `{…}` or `[…]` off, and the dot behind it."""
    end = next((i for i, char, depth in _nested_chars(path) if depth == 0), len(path))
    several, rest = path[: end + 1], path[end + 1 :]
    if end == len(path) or several[-1] != _CLOSING[several[0]] or rest == ".":
        raise _BadPathError
    if rest and rest[0] != ".":
        raise _BadPathError
    return several, rest[1:]


_CLOSING = {"{": "}", "[": "]"}


def _split_parts(inside: str) -> Iterator[str]:
    """Yield the paths between the commas that are not inside another bracket."""
    start = 0
    for i, char, depth in _nested_chars(inside):
        if char == "," and depth == 0:
            yield inside[start:i]
            start = i + 1
    yield inside[start:]


def _split_alias(part: str) -> tuple[str, str]:
    """Split `name:path`; without a name the last part of the path names the value."""
    for i, char, depth in _nested_chars(part):
        if depth == 0 and char == ":":
            return _unescaped(part[:i]).strip('"'), part[i + 1 :]
    if part[:1] in ("{", "["):
        return "_", part
    dots = [i for i, char, depth in _nested_chars(part) if depth == 0 and char == "."]
    return _unescaped(part[dots[-1] + 1 :] if dots else part), part


def _nested_chars(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield the characters that are not escaped, with place and depth of brackets after them."""
    depth = 0
    for i, char in _plain_chars(text):
        depth += (char in "{[") - (char in "}]")
        yield i, char, depth


def _plain_chars(text: str) -> Iterator[tuple[int, str]]:
    """Yield the characters that are not escaped, with their places."""
    escaped = False
    for i, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            yield i, char

"""Reads `published_0_1_1.txt`: what the published client let programs import and call."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from inspect import Parameter
from pathlib import Path
from types import ModuleType
from typing import Any

import strait.client

LINES = [
    line
    for line in Path(__file__).with_name("published_0_1_1.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]
KINDS = ("call", "class", "enum", "fields", "name", "property")


@dataclass(frozen=True, slots=True)
class Called:
    """A function, a method or a class as it could be called.

    Attributes:
        name: the whole name, such as `strait.Client.do_request`.
        parameters: in their order, without `self`.
    """

    name: str
    parameters: tuple[Parameter, ...]


def rest_of(kind: str) -> list[str]:
    """Return what stands behind a word at the beginning of the lines."""
    return [line.removeprefix(f"{kind} ") for line in LINES if line.startswith(f"{kind} ")]


def calls() -> Iterator[Called]:
    """Return everything that could be called."""
    for line in rest_of("call"):
        name, _, signature = line.partition("(")
        yield Called(name, tuple(_parameters(f"({signature}")))


def _parameters(signature: str) -> Iterator[Parameter]:
    function = ast.parse(f"def f{signature}: pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + [*arguments.defaults]
    for argument, default in zip(plain, defaults, strict=True):
        is_only = argument in arguments.posonlyargs
        kind = Parameter.POSITIONAL_ONLY if is_only else Parameter.POSITIONAL_OR_KEYWORD
        yield Parameter(argument.arg, kind, default=_value(default))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield Parameter(argument.arg, Parameter.KEYWORD_ONLY, default=_value(default))
    if arguments.kwarg:
        yield Parameter(arguments.kwarg.arg, Parameter.VAR_KEYWORD)


def _value(node: ast.expr | None) -> Any:
    return Parameter.empty if node is None else ast.literal_eval(node)


def find(name: str) -> Any:
    """Return what a published name leads to today.

    Raises:
        AttributeError: to nothing.
    """
    parts = name.split(".")
    size = next(n for n in (3, 2, 1) if _is_module(".".join(parts[:n])))
    found: Any = import_module(".".join(parts[:size]))
    for part in parts[size:]:
        found = getattr(found, part)
    return found


def _is_module(name: str) -> bool:
    try:
        import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def signature_of(name: str) -> list[Parameter]:
    """Return the parameters that a published name has today, without `self`."""
    found = find(name)
    parameters = [*inspect.signature(found).parameters.values()]
    owner = find(name.rpartition(".")[0])
    is_method = inspect.isfunction(found) and inspect.isclass(owner)
    bare = inspect.getattr_static(owner, name.rpartition(".")[2], None)
    return parameters[1:] if is_method and not isinstance(bare, staticmethod) else parameters


@cache
def _client() -> tuple[ModuleType, ...]:
    found = pkgutil.iter_modules(strait.client.__path__)
    return tuple(import_module(f"strait.client.{module.name}") for module in found)


def further_keywords(name: str, parameter: Parameter) -> set[str]:
    """Return the keywords that `**options: Unpack[...]` of a function takes."""
    found = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
    assert found, f"{name}: **{parameter.name} is {parameter.annotation!r}"
    (options,) = {t for home in _client() if (t := getattr(home, found[1], None)) is not None}
    # Of a `TypedDict` these are those of its bases, too.
    return set(options.__annotations__)

"""Prints `strait.models`: a module for each service, a shared one, and the request types."""

from __future__ import annotations

import keyword
from collections.abc import Iterator

from codegen.ir import (
    Alias,
    Api,
    Array,
    Enum,
    Field,
    Free,
    Map,
    Nullable,
    Object,
    Ref,
    Scalar,
    Type,
)
from codegen.reach import SHARED, closure, direct, modules
from codegen.server import request_schemas

_SCALAR = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


def modules_of_models(api: Api) -> dict[str, str]:
    """Return the source of each module by its name, `__init__` and `params` included."""
    places = modules(api)
    order = closure(api, sorted(places))
    found = {
        module: _module(module, [n for n in order if places.get(n) == module], places, api)
        for module in sorted(set(places.values()))
    }
    found["params"] = _params(api)
    found["__init__"] = _facade(places, api)
    return found


def _module(module: str, names: list[str], places: dict[str, str], api: Api) -> str:
    needed = sorted(
        {inner for name in names for inner in direct(api, name) if places[inner] != module}
    )
    title = "What several services answer with." if module == SHARED else api.tags[module]
    lines = [
        f'"""{title}"""',
        "from __future__ import annotations",
        "from datetime import datetime",
        "from typing import Annotated, Any, Literal, TypeAlias",
        "from pydantic import Field",
        "from strait.models.base import OPEN, StraitModel",
    ]
    if needed:
        lines.append(f"from strait.models.{SHARED} import {', '.join(needed)}")
    lines += [_schema(name, api) for name in names]
    return "\n".join(lines)


def _schema(name: str, api: Api) -> str:
    schema = api.schemas[name]
    match schema:
        case Enum(values=values):
            options = ", ".join(repr(value) for value in values)
            return f"{name}: TypeAlias = Annotated[Literal[{options}] | str, OPEN]"
        case Alias(type=kind):
            return f"{name}: TypeAlias = {annotation(kind)}"
        case Object(fields=fields):
            body = [line for part in fields for line in _member(part)] or ["pass"]
            return "\n".join([f"class {name}(StraitModel):", *(f"    {line}" for line in body)])


def _member(part: Field) -> Iterator[str]:
    kind = annotation(part.type)
    default = None if part.required else "None"
    if default and kind != "Any" and not isinstance(part.type, Nullable):
        kind = f"{kind} | None"
    alias = f"alias={part.wire!r}" if part.python != part.wire else ""
    if alias:
        arguments = ", ".join(filter(None, (f"default={default}" if default else "", alias)))
        yield f"{part.python}: {kind} = Field({arguments})"
    else:
        yield f"{part.python}: {kind}" + (f" = {default}" if default else "")
    if part.unit == "ns":
        yield '"""In nanoseconds."""'


def annotation(kind: Type) -> str:
    """Return the annotation of a value that the platform sends."""
    match kind:
        case Free():
            return "Any"
        case Scalar(format="date-time"):
            return "datetime"
        case Scalar(kind=scalar):
            return _SCALAR[scalar]
        case Ref(name):
            return name
        case Array(item):
            return f"list[{annotation(item)}]"
        case Map(value):
            return f"dict[str, {annotation(value)}]"
        case Nullable(inner):
            text = annotation(inner)
            return text if text == "Any" else f"{text} | None"


def _params(api: Api) -> str:
    names = [n for n in request_schemas(api) if isinstance(api.schemas[n], Object)]
    enums = sorted(
        {inner for n in names for inner in direct(api, n) if isinstance(api.schemas[inner], Enum)}
    )
    lines = [
        '"""What requests consist of, as dictionaries that a type checker knows."""',
        "from __future__ import annotations",
        "from collections.abc import Mapping, Sequence",
        "from datetime import datetime",
        "from typing import TYPE_CHECKING, Any, Required, TypedDict",
        "if TYPE_CHECKING:",
        *(f"    from strait.models import {name}" for name in enums),
    ]
    for name in names:
        schema = api.schemas[name]
        assert isinstance(schema, Object)
        lines.append(f"class {name}(TypedDict, total=False):")
        for part in schema.fields:
            kind = argument(part.type, nested=True)
            lines.append(f"    {part.wire}: " + (f"Required[{kind}]" if part.required else kind))
        if not schema.fields:
            lines.append("    pass")
    return "\n".join(lines)


def argument(kind: Type, *, nested: bool = False) -> str:
    """Return the annotation of a value that the caller gives.

    Args:
        kind: the type.
        nested: whether it stands inside a dictionary, where null is a value of its own.
    """
    match kind:
        case Free():
            return "Any"
        case Scalar(format="date-time"):
            return "datetime | str"
        case Scalar(kind=scalar):
            return _SCALAR[scalar]
        case Ref(name):
            return name
        case Array(item):
            inner = argument(item, nested=nested)
            either = f"{inner} | Mapping[str, Any]" if _is_object(item) else inner
            return f"Sequence[{either}]"
        case Map(value):
            return f"Mapping[str, {argument(value, nested=nested)}]"
        case Nullable(inner_type):
            text = argument(inner_type, nested=nested)
            return f"{text} | None" if nested and text != "Any" else text


def _is_object(kind: Type) -> bool:
    return isinstance(kind, Ref) and kind.name.endswith(("Request", "Item", "Override", "Config"))


def safe(name: str) -> str:
    """Return a name that can be an argument."""
    return name + "_" if keyword.iskeyword(name) else name


def _facade(places: dict[str, str], api: Api) -> str:
    by_module: dict[str, list[str]] = {}
    for name, module in sorted(places.items()):
        by_module.setdefault(module, []).append(name)
    imports = [
        f"    from strait.models.{module} import {', '.join(f'{n} as {n}' for n in names)}"
        for module, names in sorted(by_module.items())
    ]
    return "\n".join(
        [
            '"""The things of the platform, each imported when it is first used."""',
            "from __future__ import annotations",
            "from importlib import import_module",
            "from typing import TYPE_CHECKING, Any",
            "if TYPE_CHECKING:",
            "    from strait.models.base import StraitModel as StraitModel",
            *imports,
            f"_MODULES = {dict(sorted({**places, 'StraitModel': 'base'}.items()))!r}",
            "def __getattr__(name: str) -> Any:",
            "    module = _MODULES.get(name)",
            "    if module is None:",
            '        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")',
            '    value = getattr(import_module(f"{__name__}.{module}"), name)',
            "    globals()[name] = value",
            "    return value",
            "def __dir__() -> list[str]:",
            "    return sorted({*globals(), *_MODULES})",
        ]
    )

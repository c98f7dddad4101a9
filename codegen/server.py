"""Prints the server's half: the route table, the structs of request bodies, and their rules."""

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
    Operation,
    QueryParameter,
    Ref,
    Scalar,
    Spelling,
    Type,
)

_ZERO = {"string": '""', "integer": "0", "number": "0.0", "boolean": "False"}
_SCALAR = {"string": "str", "integer": "Int64", "number": "float", "boolean": "bool"}


def routes(api: Api) -> str:
    """Return `routes.py`: every operation of the description, the never routed ones too."""
    lines = [
        '"""Every operation of the API as a route, in the order of the description."""',
        "from __future__ import annotations",
        "from typing import Final",
        "from strait.server._generated import bodies",
        "from strait.server.schema import Query, Route",
        "",
        "ROUTES: Final[tuple[Route, ...]] = (",
        *(_route(op, api) for op in api.operations),
        ")",
        "BY_ID: Final = {route.id: route for route in ROUTES}",
    ]
    return "\n".join(lines)


def _route(op: Operation, api: Api) -> str:
    body = f"bodies.{op.body.name}" if isinstance(op.body, Ref) else None
    success = sorted({answer.status for answer in op.answers})
    parts = {
        "id": repr(op.id),
        "method": repr(op.method),
        "path": repr(op.path),
        "plane": repr(op.plane),
        "auth": repr(op.auth),
        "permission": repr(op.permission) if op.permission else None,
        "idempotent": "True" if op.idempotent else None,
        "body": body,
        "body_required": "True" if op.body_required else None,
        "query": _tuple([_query(q, api) for q in op.query]) if op.query else None,
        "paging": repr(op.paging.kind) if op.paging else None,
        "stream": repr(op.stream.kind) if op.stream else None,
        "success": repr(tuple(success)) if success else None,
        "errors": repr(op.errors) if op.errors else None,
        "platform": repr(op.platform) if op.platform else None,
        "instead": repr(op.instead) if op.instead else None,
        "edition": repr(op.edition) if op.edition else None,
    }
    return "Route(" + _arguments(parts) + "),"


def _query(query: QueryParameter, api: Api) -> str:
    kind = query.type
    named = api.schemas[query.ref] if query.ref else None
    values = named.values if isinstance(named, Enum) else ()
    scalar = kind if isinstance(kind, Scalar) else Scalar("string")
    name = "array" if isinstance(kind, Array) else scalar.kind
    parts = {
        "name": repr(query.name),
        "type": repr(name) if name != "string" else None,
        "required": "True" if query.required else None,
        "min": _given(query.min),
        "max": _given(query.max),
        "exclusive_min": _given(query.exclusive_min),
        "max_length": _given(query.max_length),
        "default": _given(query.default),
        "clamped": "True" if query.clamped else None,
        "unchecked": "True" if query.unchecked else None,
        "enum": repr(values or scalar.enum) if values or scalar.enum else None,
        "ref": repr(query.ref) if query.ref else None,
        "format": repr(scalar.format) if scalar.format else None,
        "style": repr(query.style) if query.style else None,
        "alt": repr(query.alt) if query.alt else None,
        "with_": repr(query.with_) if query.with_ else None,
    }
    return "Query(" + _arguments(parts) + ")"


def bodies(api: Api) -> str:
    """Return `bodies.py`: one struct for each schema of a request, and the rules of each."""
    objects = [api.schemas[name] for name in request_schemas(api)]
    structs = [schema for schema in objects if isinstance(schema, Object)]
    rules = [(schema.name, list(_rules(schema, api))) for schema in structs]
    lines = [
        '"""What request bodies are decoded to, and the rules that their values must satisfy.',
        "",
        "Required scalars have their zero value when they are absent, optional fields None, and",
        "any JSON is `UNSET` when absent, so that absence, null and a value stay distinct.",
        '"""',
        "from __future__ import annotations",
        "from typing import Annotated, Final, TypeAlias",
        "from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field",
        "from strait.server.schema import Rule",
        "",
        "# SQLite's integers, and the platform's, have 64 bits.",
        "Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]",
        *(_struct(schema, api) for schema in structs),
        "",
        "RULES: Final[dict[str, tuple[Rule, ...]]] = {",
        *(f"{name!r}: {_tuple(found)}," for name, found in rules if found),
        "}",
    ]
    source = "\n".join(lines)
    return (
        source if "field(name=" in source else source.replace(", UnsetType, field", ", UnsetType")
    )


def request_schemas(api: Api) -> list[str]:
    """Return the schemas that bodies consist of, each after those that it contains."""
    found: dict[str, None] = {}

    def visit(kind: Type) -> None:
        match kind:
            case Ref(name) if name not in found:
                schema = api.schemas[name]
                for part in schema.fields if isinstance(schema, Object) else ():
                    visit(part.type)
                if isinstance(schema, Alias):
                    visit(schema.type)
                found[name] = None
            case Array(item):
                visit(item)
            case Map(value):
                visit(value)
            case Nullable(inner):
                visit(inner)
            case _:
                pass

    for op in sorted(
        api.operations, key=lambda op: op.body.name if isinstance(op.body, Ref) else ""
    ):
        if op.body is not None:
            visit(op.body)
    return list(found)


def _struct(schema: Object, api: Api) -> str:
    lines = [f"class {schema.name}(Struct, kw_only=True):"]
    lines += [f"    {_member(part, api)}" for part in schema.fields]
    for spelling in schema.spellings:
        kind = next(
            _annotation(f.type, api, required=False)
            for f in schema.fields
            if f.wire == spelling.field
        )
        lines.append(f"    {spelling.wire}: {kind[0]} = {kind[1]}")
    if schema.spellings:
        lines.append("    def __post_init__(self) -> None:")
        lines += [f"        {line}" for s in schema.spellings for line in _fold(s, schema)]
    if not schema.fields:
        lines.append("    pass")
    return "\n".join(lines)


def _fold(spelling: Spelling, schema: Object) -> list[str]:
    free = any(f.wire == spelling.field and isinstance(f.type, Free) for f in schema.fields)
    absent = f"self.{spelling.field} is UNSET" if free else f"not self.{spelling.field}"
    given = f"self.{spelling.wire} is not UNSET" if free else f"self.{spelling.wire}"
    return [f"if {absent} and {given}:", f"    self.{spelling.field} = self.{spelling.wire}"]


def _member(part: Field, api: Api) -> str:
    name = _attribute(part)
    kind, default = _annotation(part.type, api, required=part.required)
    if name != part.wire:
        default = f"field(name={part.wire!r}, default={default})"
    return f"{name}: {kind} = {default}"


def _attribute(part: Field) -> str:
    return part.wire + "_" if keyword.iskeyword(part.wire) else part.wire


def _annotation(kind: Type, api: Api, *, required: bool) -> tuple[str, str]:
    if isinstance(kind, Free):
        return "Raw | UnsetType", "UNSET"
    name = _name(kind, api)
    zero = _zero(kind, api)
    if required and zero:
        return name, zero
    return f"{name} | None", "None"


def _zero(kind: Type, api: Api) -> str:
    match kind:
        case Scalar(scalar):
            return _ZERO[scalar]
        case Ref(name) if isinstance(api.schemas[name], Enum):
            return '""'
        case _:
            return ""


def _name(kind: Type, api: Api) -> str:
    match kind:
        case Nullable(inner):
            return _name(inner, api)
        case Scalar(scalar):
            return _SCALAR[scalar]
        case Array(item):
            return f"list[{_name(item, api)}]"
        case Map(value):
            return f"dict[str, {_name(value, api)}]"
        case Ref(name):
            schema = api.schemas[name]
            if isinstance(schema, Alias):
                return _name(schema.type, api)
            return "str" if isinstance(schema, Enum) else name
        case Free():
            return "Raw"


def _rules(schema: Object, api: Api) -> Iterator[str]:
    for part in schema.fields:
        limits = part.limits
        nullable = isinstance(part.type, Nullable)
        required = part.required and _has_required_rule(part)
        shortest = limits.min_length
        if required and shortest == 1 and _zero(part.type, api) == '""':
            shortest = None  # `required` says it already
        parts = {
            "required": "True" if required else None,
            "zero_is_absent": "True" if not (required or nullable) else None,
            "min": _given(limits.min),
            "max": _given(limits.max),
            "min_length": _given(shortest),
            "max_length": _given(limits.max_length),
            "one_of": f"frozenset({sorted(limits.one_of)!r})" if limits.one_of else None,
            "format": repr(limits.format) if limits.format else None,
            "dive": repr(_inside(part.type)) if limits.dive else None,
        }
        if any(value for key, value in parts.items() if key != "zero_is_absent"):
            head = {"field": repr(part.wire), "attribute": repr(_attribute(part))}
            yield "Rule(" + _arguments({**head, **parts}) + ")"


def _has_required_rule(part: Field) -> bool:
    """Tell whether absence is refused; a text that may be empty is left to the handler."""
    limits = part.limits
    checked = bool(limits.min_length or limits.nonzero or limits.one_of or limits.format)
    return checked or not isinstance(part.type, Scalar)


def _inside(kind: Type) -> str:
    match kind:
        case Nullable(inner) | Array(inner) | Map(inner):
            return _inside(inner)
        case Ref(name):
            return name
        case _:
            return ""


def _given(value: str | float | None) -> str | None:
    return None if value is None else repr(value)


def _tuple(parts: list[str]) -> str:
    return "(" + "".join(f"{part}, " for part in parts) + ")"


def _arguments(parts: dict[str, str | None]) -> str:
    return ", ".join(f"{key}={value}" for key, value in parts.items() if value is not None)

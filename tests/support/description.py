"""Checks answers of the server against `api/openapi.json`: statuses, fields, types, formats."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from strait.server._generated.routes import ROUTES
from strait.server.router import MethodNotAllowed, Router

_DESCRIPTION = Path(__file__).parents[2] / "api" / "openapi.json"
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
# Every operation may say that it is not served here.
_EVERYWHERE = {"501"}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "object": dict,
    "array": list,
    "null": type(None),
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


@cache
def description() -> dict[str, Any]:
    """The whole description."""
    loaded: dict[str, Any] = json.loads(_DESCRIPTION.read_text(encoding="utf-8"))
    return loaded


@cache
def _router() -> Router:
    return Router(route for route in ROUTES if route.method)


def operation_of(method: str, path: str) -> str:
    """Return the id of the operation that a request is for; empty for none."""
    try:
        found = _router().match(method, path)
    except MethodNotAllowed:
        return ""
    return found[0].id if found else ""


def problems(method: str, path: str, status: int, body: bytes, content_type: str) -> list[str]:
    """Return what is wrong with an answer by the description; nothing when it is right."""
    try:
        found = _router().match(method, path)
    except MethodNotAllowed:
        return []
    if found is None:
        return []
    route = found[0]
    operation = description()["paths"][route.path][route.method.lower()]
    plane = {str(code) for code in description()["x-strait-plane-errors"].get(route.plane, [])}
    described = resolved(operation["responses"].get(str(status), {}))
    where = f"{route.id} {status}"
    if not described:
        if str(status) not in plane | _EVERYWHERE:
            return [f"{where}: this status is not described"]
        described = {"content": {"application/json": {"schema": _reference("ErrorResponse")}}}
    content = described.get("content")
    if not content:
        return [f"{where}: has a body, and none is described"] if body else []
    kind = content_type.partition(";")[0]
    if kind not in content:
        return [f"{where}: is {kind or 'nothing'}, and {sorted(content)} is described"]
    if kind != "application/json":
        return []
    return [f"{where}: {p}" for p in mismatches(json.loads(body), content[kind]["schema"], "$")]


def mismatches(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    """Return where a value does not fit a schema; fields that are not described do not fit."""
    schema = resolved(schema)
    if "anyOf" in schema:
        tries = [mismatches(value, inner, path) for inner in schema["anyOf"]]
        return [] if [] in tries else min(tries, key=len)
    kinds = schema.get("type")
    if kinds is not None:
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if not any(_is(value, kind) for kind in kinds):
            return [f"{path} must be {' or '.join(kinds)}, is {value!r:.60}"]
    if "const" in schema and value != schema["const"]:
        return [f"{path} must be {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path} must be one of {schema['enum']}, is {value!r}"]
    if schema.get("format") == "date-time" and isinstance(value, str):
        return [] if _TIMESTAMP.fullmatch(value) else [f"{path} is no timestamp: {value!r}"]
    if isinstance(value, dict):
        return _in_object(value, schema, path)
    if isinstance(value, list) and "items" in schema:
        return [
            problem
            for index, item in enumerate(value)
            for problem in mismatches(item, schema["items"], f"{path}[{index}]")
        ]
    return []


def _in_object(value: dict[str, Any], schema: dict[str, Any], path: str) -> list[str]:
    properties = schema.get("properties")
    found = [f"{path}.{name} is absent" for name in schema.get("required", []) if name not in value]
    if properties is None and "additionalProperties" not in schema:
        return found  # any object
    properties = properties or {}
    # Fields that only one version of the platform has.
    older = schema.get("x-strait-2026-03", {}).get("only", [])
    for name, inner in value.items():
        if name in properties:
            found += mismatches(inner, properties[name], f"{path}.{name}")
        elif name in older:
            continue
        elif isinstance(more := schema.get("additionalProperties", False), dict):
            found += mismatches(inner, more, f"{path}.{name}")
        elif not more:
            found.append(f"{path}.{name} is not described")
    return found


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema, or what it refers to."""
    while "$ref" in schema:
        target: Any = description()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}

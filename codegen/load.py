"""Reads `api/openapi.json` and `api/names.toml` into the dataclasses of `ir`."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from codegen.ir import (
    Alias,
    Answer,
    Api,
    Array,
    Enum,
    Field,
    Free,
    Json,
    Limits,
    Map,
    Nullable,
    Object,
    Operation,
    Paging,
    PathArgument,
    QueryParameter,
    Ref,
    Scalar,
    Schema,
    Spelling,
    Stream,
    Tracked,
    Type,
)


class NamesError(ValueError):
    """`names.toml` does not fit the description."""


def load(folder: Path) -> Api:
    """Return the API that the two files in `folder` describe.

    Raises:
        NamesError: an operation has no name, or a name belongs to no operation.
    """
    document = json.loads((folder / "openapi.json").read_text("utf-8"))
    names = tomllib.loads((folder / "names.toml").read_text("utf-8"))
    schemas = _Schemas(document["components"]["schemas"], names)
    operations = tuple(
        _operation(path, method, entry, names, schemas)
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
    )
    _check_names(operations, names)
    return Api(
        schemas=dict(sorted(schemas.done.items())),
        operations=operations,
        services=names["services"],
        tags={tag["name"]: tag["description"] for tag in document["tags"]},
        tracked={service: Tracked(**entry) for service, entry in names["tracked"].items()},
        plane_errors={k: tuple(v) for k, v in document["x-strait-plane-errors"].items()},
    )


def snake_case(wire: str) -> str:
    """Return the Python form of a name of the API: `workflowRunID` is `workflow_run_id`."""
    words = re.sub(r"ID$", "Id", wire)
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", words).lower()


def _check_names(operations: tuple[Operation, ...], names: Json) -> None:
    unknown = set(names["operations"]) - {op.id for op in operations}
    methods = {f"{op.service}.{op.name}" for op in operations}
    wrong = {entry["method"] for entry in names["aliases"].values()} - methods
    clashes = set(names["aliases"]) & methods
    if unknown or wrong or clashes or len(methods) != len(operations):
        raise NamesError(
            f"names.toml: unknown operations {sorted(unknown)}, aliases of nothing "
            f"{sorted(wrong)}, aliases that are methods {sorted(clashes)}, "
            f"{len(operations) - len(methods)} methods named twice"
        )


class _Schemas:
    """The component schemas; alternatives are merged, so every one becomes plain data."""

    def __init__(self, components: Json, names: Json) -> None:
        self._components = components
        self._fields = names["fields"]
        self._spellings = names["spellings"]
        self.done: dict[str, Schema] = {}
        for name, schema in components.items():
            self.done[name] = self._schema(name, schema)

    def merged(self, name: str, alternatives: list[Json]) -> str:
        """Make one schema of several alternatives, and return its name."""
        if name not in self.done:
            self.done[name] = self._object(name, {"anyOf": alternatives})
        return name

    def type(self, schema: Json) -> Type:
        """Return the type that a schema in place describes."""
        if "$ref" in schema:
            return Ref(schema["$ref"].rsplit("/", 1)[1])
        if "anyOf" in schema:
            rest = [option for option in schema["anyOf"] if option.get("type") != "null"]
            inner = self.type(rest[0]) if len(rest) == 1 else Free()
            return Nullable(inner) if len(rest) < len(schema["anyOf"]) else inner
        kind = schema.get("type")
        if isinstance(kind, list):
            (only,) = [part for part in kind if part != "null"]
            return Nullable(self.type({**schema, "type": only}))
        if kind == "array":
            return Array(self.type(schema.get("items", {})))
        if kind == "object":
            return Map(self.type(schema.get("additionalProperties", {})))
        if kind is None:
            return Free()
        enum = tuple(str(value) for value in schema.get("enum", ()) if value is not None)
        return Scalar(kind, schema.get("format", ""), enum)

    def _schema(self, name: str, schema: Json) -> Schema:
        if "enum" in schema:
            return Enum(name, tuple(schema["enum"]))
        if "properties" in schema or "anyOf" in schema:
            return self._object(name, schema)
        return Alias(name, self.type(schema))

    def _object(self, name: str, schema: Json) -> Object:
        properties, required = self._properties(schema)
        return Object(
            name,
            tuple(self._field(wire, part, wire in required) for wire, part in properties.items()),
            tuple(
                Spelling(full.split(".")[1], entry["field"])
                for full, entry in self._spellings.items()
                if full.split(".")[0] == name
            ),
        )

    def _properties(self, schema: Json) -> tuple[dict[str, Json], set[str]]:
        if "$ref" in schema:
            return self._properties(self._components[schema["$ref"].rsplit("/", 1)[1]])
        if "anyOf" not in schema:
            return schema.get("properties", {}), set(schema.get("required", ()))
        properties: dict[str, Json] = {}
        parts = [self._properties(option) for option in schema["anyOf"]]
        for found, _ in parts:
            for wire, part in found.items():
                # Where alternatives disagree about a field, all that is known is that it is JSON.
                known = properties.setdefault(wire, part)
                properties[wire] = known if known == part else {}
        return properties, set.intersection(*(required for _, required in parts))

    def _field(self, wire: str, schema: Json, required: bool) -> Field:
        inner = Ref if "$ref" in schema else None
        limits = Limits(
            min=schema.get("minimum"),
            max=schema.get("maximum"),
            min_length=schema.get("minLength", schema.get("minItems", schema.get("minProperties"))),
            max_length=schema.get("maxLength", schema.get("maxItems")),
            one_of=() if inner else tuple(v for v in schema.get("enum", ()) if v is not None),
            format=schema.get("format", ""),
            nonzero=schema.get("x-nonzero", False),
            dive=schema.get("x-strait-dive", False),
        )
        python = self._fields[wire]["python"] if wire in self._fields else wire
        return Field(wire, python, self.type(schema), required, limits, schema.get("x-unit", ""))


def _operation(path: str, method: str, entry: Json, names: Json, schemas: _Schemas) -> Operation:
    op_id = entry["operationId"]
    if op_id not in names["operations"]:
        raise NamesError(f"names.toml: operation `{op_id}` has no name")
    service, name = names["operations"][op_id].split(".")
    answers = tuple(_answers(entry["responses"], schemas))
    body = entry.get("requestBody")
    parameters = [p for p in entry.get("parameters", ()) if "in" in p]
    return Operation(
        id=op_id,
        service=service,
        name=name,
        aliases=tuple(
            alias.split(".")[1]
            for alias, target in names["aliases"].items()
            if target["method"] == f"{service}.{name}"
        ),
        summary=entry["summary"],
        description=entry.get("description", ""),
        method=method.upper(),
        path=path,
        plane=entry["x-strait-plane"],
        auth=entry["x-strait-auth"],
        permission=entry.get("x-strait-permission", ""),
        platform=tuple(entry["x-strait-platform"]),
        instead=entry.get("x-strait-instead", ""),
        edition=entry.get("x-strait-edition", ""),
        idempotent=entry.get("x-strait-idempotent", False),
        repeatable=op_id in names["repeatable"],
        settled=names["settled"].get(op_id, {}).get("status", 0),
        arguments=tuple(
            PathArgument(p["name"], _argument(op_id, p["name"], names["arguments"]))
            for p in parameters
            if p["in"] == "path"
        ),
        query=tuple(_query(p, schemas) for p in parameters if p["in"] == "query"),
        body=schemas.type(body["content"]["application/json"]["schema"]) if body else None,
        body_required=bool(body and body["required"]),
        answers=answers,
        errors=tuple(int(s) for s in entry["responses"] if s.isdigit() and int(s) >= 400),
        result=_result(op_id, entry["responses"], names["results"], schemas),
        paging=_paging(entry.get("x-strait-paging")),
        starts=names["starts"].get(op_id, ""),
        until=op_id in names["until"],
        unread=names["unread"].get(op_id, {}).get("parameter", ""),
        stream=_stream(op_id, entry.get("x-strait-stream"), names["streams"], schemas),
    )


def _argument(op_id: str, wire: str, exceptions: Json) -> str:
    entry = exceptions.get(f"{op_id}.{wire}")
    return str(entry["python"]) if entry else snake_case(wire)


def _query(parameter: Json, schemas: _Schemas) -> QueryParameter:
    schema = parameter["schema"]
    kind = schemas.type(schema)
    style = ""
    if schema.get("type") == "array":
        style = "repeat" if parameter["explode"] else "comma"
    ref = kind.item if isinstance(kind, Array) else kind
    return QueryParameter(
        name=parameter["name"],
        type=kind,
        required=parameter.get("required", False),
        default=schema.get("default"),
        min=schema.get("minimum"),
        max=schema.get("maximum"),
        exclusive_min=schema.get("exclusiveMinimum"),
        max_length=schema.get("maxLength"),
        clamped=parameter.get("x-strait-clamped", False),
        unchecked=parameter.get("x-strait-unchecked", False),
        style=style,
        alt=parameter.get("x-strait-alt", ""),
        with_=parameter.get("x-strait-with", ""),
        ref=ref.name if isinstance(ref, Ref) else "",
    )


def _answers(responses: Json, schemas: _Schemas) -> list[Answer]:
    answers = []
    for status, response in responses.items():
        if not status.isdigit() or int(status) >= 400:
            continue
        content = response.get("content")
        if not content:
            answers.append(Answer(int(status)))
        for content_type, media in (content or {}).items():
            kind = schemas.type(media["schema"]) if "schema" in media else None
            answers.append(Answer(int(status), content_type, kind))
    return answers


def _result(op_id: str, responses: Json, names: Json, schemas: _Schemas) -> str:
    """Return the schema that holds every shape of success, if there is more than one."""
    shapes = [
        response["content"]["application/json"]["schema"]
        for status, response in responses.items()
        if status.isdigit() and int(status) < 400
        if "schema" in response.get("content", {}).get("application/json", {})
    ]
    if op_id not in names:
        if len(shapes) > 1 or any("anyOf" in shape for shape in shapes):
            raise NamesError(f"names.toml: the result of `{op_id}` has no name")
        return ""
    return schemas.merged(names[op_id], shapes)


def _paging(entry: Json) -> Paging | None:
    if not entry:
        return None
    return Paging(entry["kind"], entry["item"], entry["data"], entry.get("next"), entry.get("more"))


def _stream(op_id: str, entry: Json, names: Json, schemas: _Schemas) -> Stream | None:
    if not entry:
        return None
    if entry["kind"] != "sse":
        return Stream(entry["kind"], when=entry["when"])
    ends = entry.get("ends", {"field": "", "values": ()})
    item = schemas.merged(names[op_id], [entry["item"]] if "item" in entry else [{}])
    return Stream(
        entry["kind"],
        event=entry["event"],
        item=item,
        ends_field=ends["field"],
        ends_values=tuple(ends["values"]),
        reopens=entry["reopens"],
    )

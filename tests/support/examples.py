"""The smallest values that fit the schemas of `api/openapi.json`."""

from __future__ import annotations

from typing import Any

from support.description import description

_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "uri": "https://a.test/x",
    "url": "https://a.test/x",
    "email": "ada@a.test",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "json": "{}",
}


def example(schema: dict[str, Any]) -> Any:
    """Return a value that fits a schema, with what is required alone."""
    while "$ref" in schema:
        target: Any = description()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    if "example" in schema:
        return schema["example"]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    kind = schema.get("type", "object")
    match kind[0] if isinstance(kind, list) else kind:
        case "string":
            least = max(1, schema.get("minLength", 1))
            return _FORMATS.get(schema.get("format", ""), "a" * least)
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case "array":
            return [example(schema.get("items", {}))] * schema.get("minItems", 0)
        case "null":
            return None
    properties = schema.get("properties", {})
    found = {name: example(properties[name]) for name in schema.get("required", ())}
    if not found and schema.get("minProperties"):
        found["a"] = example(schema.get("additionalProperties", {"type": "string"}))
    return found

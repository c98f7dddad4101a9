"""JSON schemas as platforms read them: without references, and what can be told from two of them.

The platform's check knows `type`, `required`, `properties` and `items`, and looks up no `$ref`. So
references are put in where they stand; one that leads back to itself becomes "anything".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Any
Schema: TypeAlias = Mapping[str, Json]

ANYTHING: Schema = {}
# As deep as the platform looks.
_DEEPEST = 32
_DEFINITIONS = "$defs"
# They are names of Python classes and fields, and say nothing about the JSON.
_DROPPED = frozenset({_DEFINITIONS, "title", "discriminator"})


def inlined(schema: Schema) -> dict[str, Json]:
    """Return a schema with what its references mean put in their places."""
    return _inline(schema, schema.get(_DEFINITIONS, {}), ())


def _inline(schema: Schema, definitions: Schema, inside: tuple[str, ...]) -> dict[str, Json]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name in inside or len(inside) >= _DEEPEST:
            return {}
        meant = _inline(definitions.get(name, {}), definitions, (*inside, name))
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return {**meant, **_inline(beside, definitions, inside)}
    return {
        key: _inside(key, value, definitions, inside)
        for key, value in schema.items()
        if key not in _DROPPED
    }


def _inside(key: str, value: Json, definitions: Schema, inside: tuple[str, ...]) -> Json:
    if key in ("properties", "patternProperties") and isinstance(value, dict):
        return {name: _inline(inner, definitions, inside) for name, inner in value.items()}
    if key in ("const", "default", "enum", "examples", "required"):
        return value
    if isinstance(value, dict):
        return _inline(value, definitions, inside)
    if isinstance(value, list):
        return [
            _inline(item, definitions, inside) if isinstance(item, dict) else item for item in value
        ]
    return value


def member(schema: Schema, name: str) -> Schema | None:
    """Return the schema of a member; `ANYTHING` if nothing is known of it, None if there is none.

    A schema that lists properties is taken to list all, unless it says that there may be more.
    """
    options = alternatives(schema)
    if len(options) != 1:
        found = [member(option, name) for option in options]
        known = [one for one in found if one is not None]
        return None if not known else known[0] if len(known) == 1 else ANYTHING
    return _own_member(options[0], name)


def _own_member(schema: Schema, name: str) -> Schema | None:
    if schema.get("type", "object") != "object":
        return None
    properties = schema.get("properties", {})
    if name in properties:
        found: Schema = properties[name]
        return found
    more = schema.get("additionalProperties", not properties)
    if isinstance(more, Mapping):
        return more
    return ANYTHING if more else None


def item(schema: Schema) -> Schema | None:
    """Return the schema of the items of an array; None if it is none."""
    options = [one for one in alternatives(schema) if one.get("type", "array") == "array"]
    if not options:
        return None
    found: Schema = options[0].get("items", ANYTHING)
    return found if len(options) == 1 else ANYTHING


def alternatives(schema: Schema) -> list[Schema]:
    """Return what a value may be, one schema for each way; null is left out if there is more."""
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            found = [inner for option in schema[word] for inner in alternatives(option)]
            return [one for one in found if one.get("type") != "null"] or found
    if isinstance(schema.get("allOf"), list) and len(schema["allOf"]) == 1:
        return alternatives(schema["allOf"][0])
    return [schema]


def misfits(given: Schema, wanted: Schema, place: str = "") -> list[str]:
    """Say where values of one schema would not do for another; nothing if they might all.

    Only what is certain is told: what one of the two leaves open is taken to fit.
    """
    options = alternatives(wanted)
    sources = alternatives(given)
    if not sources:
        return []
    if len(options) != 1 or len(sources) != 1:
        results = [_misfit(source, option, place) for source in sources for option in options]
        return min(results, key=len, default=[])
    return _misfit(sources[0], options[0], place)


def _misfit(given: Schema, wanted: Schema, place: str) -> list[str]:
    has, needs = given.get("type"), wanted.get("type")
    if isinstance(has, str) and isinstance(needs, str) and not _is_a(has, needs):
        return [f"{_at(place)} is {_a(has)}, not {_a(needs)}"]
    found = _missing(given, wanted, place)
    for name, inner in wanted.get("properties", {}).items():
        source = given.get("properties", {}).get(name)
        if source is not None:
            found += misfits(source, inner, f"{place}.{name}" if place else name)
    if isinstance(given.get("items"), Mapping) and isinstance(wanted.get("items"), Mapping):
        found += misfits(given["items"], wanted["items"], f"{place}[]")
    return found


def _missing(given: Schema, wanted: Schema, place: str) -> list[str]:
    return [
        f"{_at(f'{place}.{name}' if place else name)} is needed and is not there"
        for name in wanted.get("required", ())
        if member(given, name) is None
    ]


def _is_a(has: str, needs: str) -> bool:
    return has == needs or (has == "integer" and needs == "number")


def _at(place: str) -> str:
    return f"`{place}`" if place else "it"


def _a(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"

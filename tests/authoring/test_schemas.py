"""What can be told from schemas alone: references put in, members found, two compared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from strait.authoring.schemas import ANYTHING, inlined, item, member, misfits

NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.sampled_from(["string", "integer", "number", "boolean", "null"]).map(
    lambda kind: {"type": kind}
)


def _object(properties):
    return {"type": "object", "properties": properties, "required": sorted(properties)[:1]}


SCHEMAS = st.recursive(
    LEAVES | st.just({}),
    lambda inner: st.one_of(
        st.dictionaries(NAMES, inner).map(_object),
        inner.map(lambda one: {"type": "array", "items": one}),
        st.lists(inner, min_size=1, max_size=2).map(lambda some: {"anyOf": some}),
    ),
    max_leaves=8,
)


@given(SCHEMAS)
def test_a_schema_always_does_for_itself(schema):
    assert misfits(schema, schema) == []
    assert misfits(schema, ANYTHING) == misfits(ANYTHING, schema) == []


@given(SCHEMAS)
def test_putting_references_in_changes_nothing_where_there_are_none(schema):
    assert inlined(schema) == schema
    there = {"$defs": {"It": schema}, "type": "array", "items": {"$ref": "#/$defs/It"}}
    assert inlined(there) == {"type": "array", "items": schema}


@given(SCHEMAS, SCHEMAS)
def test_a_missing_member_is_always_told(given_schema, wanted):
    given_object = {"type": "object", "properties": {"x": given_schema}}
    wanted_object = {"type": "object", "properties": {"y": wanted}, "required": ["y"]}
    assert misfits(given_object, wanted_object) == ["`y` is needed and is not there"]


def test_a_member_is_known_missing_or_open():
    closed = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert member(closed, "a") == {"type": "string"}
    assert member(closed, "b") is None
    assert member({"type": "string"}, "a") is None
    assert member({**closed, "additionalProperties": True}, "b") == ANYTHING
    assert member({"additionalProperties": {"type": "integer"}}, "b") == {"type": "integer"}
    assert member({"anyOf": [closed, {"type": "null"}]}, "a") == {"type": "string"}
    assert member({"anyOf": [closed, {"type": "object"}]}, "b") == ANYTHING


def test_items_are_those_of_arrays_only():
    assert item({"type": "array", "items": {"type": "string"}}) == {"type": "string"}
    assert item({"type": "array"}) == ANYTHING
    assert item({"type": "object"}) is None


def test_definitions_that_lead_to_each_other_end():
    schema = {
        "$defs": {
            "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}},
            "B": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}},
        },
        "$ref": "#/$defs/A",
    }
    assert inlined(schema) == {
        "type": "object",
        "properties": {"b": {"type": "object", "properties": {"a": {}}}},
    }

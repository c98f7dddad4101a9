"""Schemas that users give: what they check, and that none takes more than it may."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait.server import checks
from strait.server.checks import MAX_SCHEMA_STEPS, mismatch
from support.world import PROJECT, World

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)
WORDS = st.sampled_from(["type", "required", "properties", "items", "$ref", "a"])
SCHEMAS = st.recursive(
    JSON,
    lambda inner: st.dictionaries(WORDS, inner | st.lists(inner, max_size=3), max_size=4),
    max_leaves=20,
)


class Counted(dict[str, Any]):
    """A schema that counts how often it is looked at."""

    looks = 0

    def get(self, *args: Any) -> Any:
        self.looks += 1
        return super().get(*args)


@given(JSON, SCHEMAS)
def test_any_schema_can_be_held_against_any_value(value: Any, against: Any) -> None:
    assert isinstance(mismatch(value, against), str)


@pytest.mark.parametrize(
    "against",
    [
        {"items": {"required": ["a"] * 10_000}},
        {"items": {"properties": {f"p{number}": {} for number in range(10_000)}}},
        {"items": {"items": {"type": "integer"}}},
    ],
    ids=["required", "properties", "items"],
)
def test_a_large_list_under_a_large_schema_is_refused_and_not_compared_to_its_end(
    against: Any,
) -> None:
    inner: Any = {"a": 1} if "items" not in against["items"] else [1] * 10
    counted = Counted(against["items"])
    value = [inner] * 100_000
    assert "comparisons" in mismatch(value, {"items": counted})
    assert counted.looks <= MAX_SCHEMA_STEPS * 3


def test_a_reference_is_never_followed() -> None:
    assert mismatch(1, {"$ref": "http://127.0.0.1:1/schema.json"}) == ""
    with pytest.raises(checks.ApiError, match=r"payload validation failed: \$.a is required"):
        checks.schema({}, {"$ref": "file:///etc/passwd", "required": ["a", ["b"], {}]}, "payload")


@pytest.mark.parametrize(
    "against",
    [
        {"$ref": "https://example.com/a.json"},
        {"properties": {"a": {"items": {"$ref": "file:///etc/passwd"}}}},
        {"anyOf": [{"type": "null"}, {"$ref": "other.json#/$defs/a"}]},
    ],
)
async def test_a_schema_that_leads_elsewhere_is_refused_where_it_is_given(
    world: World, against: Any
) -> None:
    job = await world.job()
    source = await world.api.post(
        "/v1/event-sources", json={"project_id": PROJECT, "name": "shop", "schema": against}
    )
    changes = [
        (name, await world.api.patch(f"/v1/jobs/{job['id']}", json={name: against}))
        for name in ("payload_schema", "result_schema")
    ]
    for name, refused in (("schema", source), *changes):
        assert refused.status_code == 400
        text = refused.json()["error"]["message"]
        assert text.startswith(f"{name}: $ref ")
        assert "leads out of the schema, and nothing is fetched" in text
    assert (await world.api.get(f"/v1/jobs/{job['id']}")).json()["version"] == 1


async def test_a_schema_may_refer_to_itself_and_speak_of_references(world: World) -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"a": {"type": "integer"}},
        "properties": {"a": {"$ref": "#/$defs/a"}, "$ref": {"type": "string"}},
        "examples": [{"$ref": "https://example.com/data-no-schema"}],
    }
    job = await world.job(payload_schema=schema)
    assert (await world.api.get(f"/v1/jobs/{job['id']}")).json()["payload_schema"] == schema

"""`api/openapi.json` is a sound OpenAPI 3.1 document, and `names.toml` fits it."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

API = Path(__file__).parents[2] / "api"
DOCUMENT: dict[str, Any] = json.loads((API / "openapi.json").read_text("utf-8"))
NAMES: dict[str, Any] = tomllib.loads((API / "names.toml").read_text("utf-8"))
OPERATIONS = [
    (path, method, entry)
    for path, methods in DOCUMENT["paths"].items()
    for method, entry in methods.items()
]
IDS = [entry["operationId"] for _, _, entry in OPERATIONS]
TYPES = {"string", "integer", "number", "boolean", "array", "object", "null"}
EACH = pytest.mark.parametrize(("path", "method", "entry"), OPERATIONS, ids=IDS)


def walk(node: Any, where: str = "#") -> Iterator[tuple[str, Any]]:
    yield where, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, f"{where}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, f"{where}/{index}")


def resolved(pointer: str) -> Any:
    node: Any = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_it_is_openapi_3_1_with_every_operation_once() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert set(DOCUMENT["info"]) >= {"title", "version"}
    # Those of the platforms, and those of the embedded one only.
    embedded = [o for o in OPERATIONS if o[2]["x-strait-platform"] == ["embedded"]]
    # What is our own may grow; what the platforms have is what the contract lists.
    assert len(OPERATIONS) - len(embedded) == 325
    assert [name for name, count in Counter(IDS).items() if count > 1] == []
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(tag["description"] for tag in DOCUMENT["tags"])
    assert {tag for _, _, entry in OPERATIONS for tag in entry["tags"]} == tags


def test_every_reference_leads_somewhere() -> None:
    for where, node in walk(DOCUMENT):
        if isinstance(node, dict) and "$ref" in node:
            assert resolved(node["$ref"]) is not None, where


def test_no_two_paths_are_the_same_but_for_the_names_of_their_parameters() -> None:
    shapes = Counter(re.sub(r"\{[^}]*\}", "{}", path) for path in DOCUMENT["paths"])
    assert [shape for shape, count in shapes.items() if count > 1] == []


def test_every_schema_is_one_of_json_schema() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for where, node in walk(schema, name):
            if not isinstance(node, dict) or where.endswith("/properties"):
                continue
            kinds = node.get("type", [])
            assert set([kinds] if isinstance(kinds, str) else kinds) <= TYPES, where
            assert set(node.get("required", ())) <= set(node.get("properties", ())), where
            for word in ("minLength", "maxLength", "minItems", "maxItems"):
                assert isinstance(node.get(word, 0), int), where


@EACH
def test_an_operation_is_complete(path: str, method: str, entry: dict[str, Any]) -> None:
    assert method in {"get", "put", "post", "delete", "patch"}
    assert entry["summary"].endswith(".")
    assert entry["summary"][0].isupper()
    assert "\n" not in entry["summary"]
    assert entry["responses"]
    assert all(re.fullmatch(r"[1-5]\d\d|default", status) for status in entry["responses"])
    assert entry["x-strait-plane"] in DOCUMENT["x-strait-plane-errors"]
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert all(set(requirement) <= set(schemes) for requirement in entry["security"])
    scopes = re.split(r"[|&]", entry.get("x-strait-permission", "*"))
    assert set(scopes) <= set(DOCUMENT["x-strait-scopes"])
    assert method not in {"get", "delete"} or "requestBody" not in entry


@EACH
def test_the_parameters_are_those_of_the_path(
    path: str, method: str, entry: dict[str, Any]
) -> None:
    parameters = [
        p if "$ref" not in p else resolved(p["$ref"]) for p in entry.get("parameters", ())
    ]
    in_path = [p["name"] for p in parameters if p["in"] == "path"]
    assert in_path == re.findall(r"\{([^}]*)\}", path)
    assert all(p["required"] for p in parameters if p["in"] == "path")
    keys = Counter((p["in"], p["name"]) for p in parameters)
    assert all(count == 1 for count in keys.values())
    assert all("schema" in p for p in parameters)
    names = {p["name"] for p in parameters}
    assert {p["x-strait-with"] for p in parameters if "x-strait-with" in p} <= names


@EACH
def test_the_platforms_that_have_it_are_told(path: str, method: str, entry: dict[str, Any]) -> None:
    platforms = entry["x-strait-platform"]
    assert set(platforms) <= {"2026-03", "head"} or platforms == ["embedded"]
    assert ("x-strait-instead" in entry) is not bool({"head", "embedded"} & set(platforms))


@EACH
def test_pages_say_where_their_items_are(path: str, method: str, entry: dict[str, Any]) -> None:
    paging = entry.get("x-strait-paging")
    if paging is None or paging["data"] is None:
        return
    answer = entry["responses"]["200"]["content"]["application/json"]["schema"]
    properties = resolved(answer["$ref"])["properties"]
    item = properties[paging["data"]]["items"]
    assert item == {"$ref": f"#/components/schemas/{paging['item']}"}
    assert all(properties[name] for name in (paging.get("next"), paging.get("more")) if name)


def test_a_name_belongs_to_each_operation_and_each_exception_has_its_reason() -> None:
    assert set(NAMES["operations"]) == set(IDS)
    assert set(NAMES["services"]) == {name.split(".")[0] for name in NAMES["operations"].values()}
    for section in ("aliases", "arguments", "fields", "settled", "spellings"):
        assert all(entry["reason"] for entry in NAMES[section].values()), section
    assert all(NAMES["repeatable"].values())


def test_the_services_of_the_readme_are_there() -> None:
    documented = {
        "analytics", "api_keys", "batch_operations", "deployments", "environments",
        "event_sources", "event_triggers", "health", "job_groups", "jobs", "log_drains", "rbac",
        "runs", "sdk_runs", "secrets", "stats", "webhooks", "workflow_runs", "workflows",
    }  # fmt: skip
    assert len(documented) == 19
    assert documented <= set(NAMES["services"])

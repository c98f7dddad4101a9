"""The documents about the API: what is described is what is served, and it is valid."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from strait import AsyncClient
from strait.server._generated.routes import ROUTES
from strait.server.configuration import load
from strait.server.routes import registry
from support.handlers import Handlers
from support.world import World
from support.world import world as a_world


async def described(world: World) -> dict[str, Any]:
    answer = await world.client().get("/reference/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


async def test_what_is_described_is_what_is_served_and_valid_openapi(world: World) -> None:
    document = await described(world)
    OpenAPIV31SpecValidator(document).validate()
    operations = {
        operation["operationId"]
        for item in document["paths"].values()
        for method, operation in item.items()
        if method in {"get", "post", "put", "patch", "delete"}
    }
    routed = {route.id for route in ROUTES if route.method}
    assert operations == registry.operations() & routed
    used = {
        tag
        for item in document["paths"].values()
        for operation in item.values()
        for tag in operation["tags"]
    }
    assert {tag["name"] for tag in document["tags"]} == used


async def test_behind_a_proxy_the_description_tells_its_prefix(handlers: Handlers) -> None:
    async with a_world(handlers, root_path="/strait") as world:
        assert (await described(world))["servers"] == [{"url": "/strait"}]
        moved = await world.client().get("/reference/openapi.yaml")
        assert (moved.status_code, moved.headers["location"]) == (
            301,
            "/strait/reference/openapi.json",
        )


@pytest.mark.parametrize(
    ("told", "root"), [("/team/strait/", "/team/strait"), ("//evil.example", "")]
)
async def test_the_description_stands_below_the_prefix_that_a_proxy_tells(
    world: World, told: str, root: str
) -> None:
    client = world.client()
    headers = {"X-Forwarded-Prefix": told}
    document = await client.get("/reference/openapi.json", headers=headers)
    assert document.json()["servers"] == [{"url": root or "/"}]
    moved = await client.get("/reference/openapi.yaml", headers=headers)
    assert moved.headers["location"] == f"{root}/reference/openapi.json"
    page = await client.get("/reference", headers=headers)
    links = _Links()
    links.feed(page.text)
    assert links.targets == [f"{root}/reference/openapi.json"]
    # What keeps answers does not give one of them to who comes by another way.
    assert {each.headers["vary"] for each in (document, moved, page)} == {"x-forwarded-prefix"}


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.targets += [value for name in ("href", "src") if (value := found.get(name))]
        if tag == "dt":
            self.ids.add(found["id"] or "")


async def test_the_page_names_each_operation_and_needs_nothing_from_elsewhere(
    world: World,
) -> None:
    answer = await world.client().get("/reference")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = _Links()
    page.feed(answer.text)
    assert page.targets == ["/reference/openapi.json"]
    assert page.ids == registry.operations() & {route.id for route in ROUTES if route.method}


@pytest.mark.parametrize(
    ("file", "right"),
    [
        ({"project": {"id": "p"}, "sdk": {"base_url": "https://x.dev", "timeout_ms": 5}}, True),
        ({"server": {"query_secs": 5, "open_metrics": True, "trusted_proxies": ["::1"]}}, True),
        ({"environments": {"prod": {"api_key_env": "PROD_KEY"}}}, True),
        ({"server": {"query_sec": 5}}, False),
        ({"server": {"encryption_key": "x"}}, False),
        ({"sdk": {"auth_type": "password"}}, False),
        ({"sdk": {"timeout_ms": "5"}}, False),
    ],
)
async def test_the_schema_of_the_file_takes_what_the_file_may_say(
    world: World, tmp_path: Path, file: dict[str, Any], right: bool
) -> None:
    answer = await world.client().get("/schemas/v1/strait.json")
    assert answer.headers["content-type"] == "application/schema+json"
    schema = answer.json()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(file) is right
    if right and "server" in file:
        kept = tmp_path / "strait.json"
        kept.write_text(json.dumps(file), "utf-8")
        assert load({}, {}, kept).keys() == file["server"].keys()


async def test_there_is_no_login_by_oauth(world: World) -> None:
    answer = await world.client().get("/.well-known/oauth-protected-resource")
    assert answer.status_code == 404
    assert answer.content == b""


async def test_the_regions_are_those_of_the_platform_and_none_is_here(world: World) -> None:
    async with AsyncClient(base_url=world.server.base_url, api_key=world.key) as client:
        regions = (await client.regions.list()).regions or []
    codes = [region.code for region in regions]
    assert len(codes) == 36
    assert codes == sorted(set(codes))
    assert all(region.availability == {"platform": True, "embedded": False} for region in regions)

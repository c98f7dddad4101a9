"""The description of what this server serves, as JSON and as a page, and that of `strait.json`."""

from __future__ import annotations

import sqlite3
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from msgspec import json

from strait.server.configuration import SECTION, schema
from strait.server.http import Call, Reply, reply
from strait.server.platform import Platform
from strait.server.prefix import VARY, root_of
from strait.server.registry import Registry

registry = Registry()

_METHODS = ("get", "post", "put", "patch", "delete")
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_VARY = ((b"vary", VARY),)
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Reference of the API</title>
<h1>Reference of the API</h1>
<p>What this server serves: {count} operations. The whole description, with all schemas, is
<a href="{root}/reference/openapi.json">openapi.json</a> (OpenAPI {version}).</p>
{groups}
</html>
"""


@registry.other("get-openapi-json")
async def openapi(call: Call, platform: Platform) -> Reply:
    """Return the OpenAPI document of what is served here."""
    root = root_of(platform.settings, call.headers) or "/"
    return reply({**_served(), "servers": [{"url": root}]})._replace(headers=_VARY)


@registry.other("get-openapi-yaml")
async def openapi_yaml(call: Call, platform: Platform) -> Reply:
    """Send whoever knows the older address to the newer one."""
    target = f"{root_of(platform.settings, call.headers)}/reference/openapi.json"
    return Reply(301, headers=((b"location", target.encode()), *_VARY))


@registry.other("get-api-reference")
async def page(call: Call, platform: Platform) -> Reply:
    """Return a page that needs nothing from elsewhere."""
    body = _page().replace("{root}", escape(root_of(platform.settings, call.headers)))
    return Reply(200, body.encode(), _VARY, content_type=b"text/html; charset=utf-8")


@registry.read("get-config-schema")
def config_schema(call: Call, db: sqlite3.Connection) -> Reply:
    """Return the JSON schema of `strait.json`."""
    return Reply(200, json.encode(_config_schema()), content_type=b"application/schema+json")


@registry.read("get-oauth-protected-resource")
def oauth(call: Call, db: sqlite3.Connection) -> Reply:
    """Say that nobody logs in here by OAuth: there are API keys."""
    return Reply(404)


# --------------------------------------------------------------------------------- the description


@cache
def _served() -> dict[str, Any]:
    """Return the description without what is answered with 501 here."""
    # The registry of all modules imports this one.
    from strait.server.routes import registry as everything  # noqa: PLC0415

    text = resources.files("strait.server._generated").joinpath("openapi.json").read_bytes()
    document: dict[str, Any] = json.decode(text)
    served = everything.operations()
    paths = {
        path: {
            key: value
            for key, value in item.items()
            if key not in _METHODS or value["operationId"] in served
        }
        for path, item in document["paths"].items()
    }
    document["paths"] = {
        path: item for path, item in paths.items() if any(key in _METHODS for key in item)
    }
    tags = {tag for _, _, operation in _operations(document) for tag in operation["tags"]}
    document["tags"] = [tag for tag in document["tags"] if tag["name"] in tags]
    return document


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, item[method])
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]


@cache
def _page() -> str:
    document = _served()
    operations = _operations(document)
    groups = "\n".join(
        f"<h2>{escape(tag['name'])}</h2>\n<p>{escape(tag.get('description', ''))}</p>\n<dl>\n"
        + "\n".join(_entry(*found) for found in operations if tag["name"] in found[2]["tags"])
        + "\n</dl>"
        for tag in document["tags"]
    )
    page = _PAGE.replace("{count}", str(len(operations))).replace("{groups}", groups)
    return page.replace("{version}", document["openapi"])


def _entry(method: str, path: str, operation: dict[str, Any]) -> str:
    scope = operation.get("x-strait-permission")
    needs = f" Needs <code>{escape(scope)}</code>." if scope else ""
    query = [
        f"<code>{escape(given['name'])}</code>"
        for given in operation.get("parameters", [])
        if given.get("in") == "query"
    ]
    asked = f" Query: {', '.join(query)}." if query else ""
    return (
        f'<dt id="{escape(operation["operationId"])}"><code>{method.upper()} {escape(path)}</code>'
        f"</dt>\n<dd>{escape(operation.get('summary', ''))}{needs}{asked}</dd>"
    )


# ------------------------------------------------------------------------------------ strait.json


def _config_schema() -> dict[str, Any]:
    text = {"type": "string"}
    client = {
        "type": "object",
        "properties": {
            "base_url": {"type": "string", "format": "uri"},
            "auth_type": {"enum": ["apiKey", "bearer", "runToken"]},
            "timeout_ms": {"type": "integer", "minimum": 1},
            "api_key_env": {**text, "description": "the variable that has the key"},
        },
    }
    return {
        "$schema": _DRAFT,
        "title": "strait.json",
        "description": "Settings of a client and of an embedded server, without secrets.",
        "type": "object",
        "properties": {
            "project": {"type": "object", "properties": {"id": text}},
            "sdk": client,
            "environments": {"type": "object", "additionalProperties": client},
            SECTION: schema(),
        },
    }

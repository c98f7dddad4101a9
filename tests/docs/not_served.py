"""`python -m tests.docs.not_served` writes docs/not-served.md from the API description.

What is not served is in `tests/server/not_served.txt`, which a test of the server compares with
what it really answers; this page shows the same list to people.
"""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

from strait.server._generated.routes import ROUTES
from strait.server.refusals import REASONS
from strait.server.schema import Route

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "not-served.md"
LISTED = ROOT / "tests" / "server" / "not_served.txt"

_HEAD = """\
# What the embedded platform does not serve

<!-- Written by `python -m tests.docs.not_served`; `make test` fails when it is out of date. -->

The API description has {all} operations, and the client has a method for each. The embedded
platform answers {served} of them. The {later} operations below it answers with **501** in the
platform's error envelope, after the caller's key was checked:

```json
{{"error": {{"code": "internal_error", "message": "operation `list-plans` is not served by \
the embedded server: …"}}, "request_id": "…"}}
```

The message goes on with the reason. In Python that is an `ApiError` with `status` 501. The hosted
platform serves them; here they would mean nothing. The list is also `tests/server/not_served.txt`,
and a test lets it only become shorter.

## Refused, and why
"""
_OLD = """
## Only in an older version of the platform

Platforms of 2026-03 have these {count}; later ones do not. The embedded platform serves {both} of
them, because handlers may still send them, and answers the others with 501.

| method of the client | address | served here |
|---|---|---|
"""
_NEVER = """
## Never routed by any platform

Published clients had a method for these {count} addresses, which no version of the platform ever
answered. The methods are kept; they raise `UnsupportedByPlatform` before anything is sent, and say
what to use.

| method of the client | why, and what to use |
|---|---|
"""


def render() -> str:
    """Return the page as it should be."""
    document = json.loads((ROOT / "api" / "openapi.json").read_text("utf-8"))
    names = tomllib.loads((ROOT / "api" / "names.toml").read_text("utf-8"))["operations"]
    listed = set(LISTED.read_text("utf-8").split())
    routed = [route for route in ROUTES if route.platform]
    later = [route for route in routed if route.id in listed and not route.instead]
    old = [route for route in routed if route.instead]
    never = [route for route in ROUTES if not route.platform]
    served = len(ROUTES) - len(listed)
    page = _HEAD.format(all=len(ROUTES), served=served, later=len(later))
    page += _by_service(document, names, later)
    page += _OLD.format(count=len(old), both=sum(route.id not in listed for route in old))
    for route in old:
        page += f"| {_method(names, route)} | {_address(route)} | "
        page += f"{'no' if route.id in listed else 'yes'} |\n"
    page += _NEVER.format(count=len(never))
    for route in never:
        page += f"| {_method(names, route)} | {route.instead} |\n"
    return page


def _by_service(document: dict[str, Any], names: dict[str, str], routes: list[Route]) -> str:
    groups: dict[str, list[Route]] = defaultdict(list)
    for route in routes:
        groups[names[route.id].partition(".")[0]].append(route)
    page = ""
    for tag in document["tags"]:
        if tag["name"] not in groups:
            continue
        found = groups.pop(tag["name"])
        page += f"\n### `{tag['name']}` ({len(found)})\n\n{tag['description']}\n\n"
        page += "| method of the client | address | why |\n|---|---|---|\n"
        page += "".join(
            f"| {_method(names, route)} | {_address(route)} | {REASONS[route.id]} |\n"
            for route in found
        )
    assert not groups, f"no tag describes {sorted(groups)}"
    return page


def _method(names: dict[str, str], route: Route) -> str:
    return f"`client.{names[route.id]}`"


def _address(route: Route) -> str:
    return f"`{route.method} {route.path}`"


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")

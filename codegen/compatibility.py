"""Prints `docs/compatibility.md` from the table of features and the description of the API."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from strait.compatibility import PLATFORM_VERSION, Feature, Status, features

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "compatibility.md"
_HEAD = """\
# What works where

<!-- Written by `make generate` from `src/strait/compatibility.toml` and `api/`. -->

The same program runs on the embedded platform and on the hosted one. This page says what each
can do. *Embedded* is `strait dev`, `strait serve` and `Client.local()` of this release. *Platform*
is version {version} of the Strait platform as one hosts it oneself (community edition): what
**works** and what is **broken** there was seen on a running one, *untested* was only read in its
source.

Ask for your own program, offline:

```bash
strait check shop.jobs --target platform
```

It names file and line of each use of what is broken or missing there, says what to use instead,
and ends with 1. `--allow ID` takes a feature all the same. The numbers in brackets (D1) are those
of the defects that were found; what the embedded platform does there is in
[Decisions](decisions.md#where-the-embedded-platform-differs-from-the-hosted-one).
"""
_WORDS: dict[Status, str] = {
    "works": "works",
    "broken": "**broken**",
    "missing": "**missing**",
    "untested": "untested",
}
_EMBEDDED_OPERATIONS = """
## Operations that only the embedded platform has

| method of the client | address |
|---|---|
"""
_EMBEDDED_FIELDS = """
## Fields that only the embedded platform knows

The hosted platform ignores them.

| schema | field |
|---|---|
"""
_CLOUD = """
## Operations of Strait Cloud

The community edition answers these with 402, "this feature requires Strait Cloud"; in Python that
is an `ApiError` with `status` 402. The embedded platform answers them.

| method of the client | address |
|---|---|
"""
_OLD = """
## Operations that platforms have no more, or never had

They are in [What the embedded platform does not serve](not-served.md), with what to use instead.
"""


def page() -> str:
    """Return the page as it should be."""
    document = json.loads((ROOT / "api" / "openapi.json").read_text("utf-8"))
    names = tomllib.loads((ROOT / "api" / "names.toml").read_text("utf-8"))["operations"]
    text = _HEAD.format(version=PLATFORM_VERSION)
    for area in dict.fromkeys(feature.area for feature in features()):
        text += f"\n## {area}\n\n| feature | embedded | platform | there | instead |\n"
        text += "|---|---|---|---|---|\n"
        text += "".join(_row(feature) for feature in features() if feature.area == area)
    text += _EMBEDDED_OPERATIONS
    text += _operation_rows(document, names, "x-strait-platform", ["embedded"])
    text += _EMBEDDED_FIELDS
    text += "".join(f"| `{name}` | `{field}` |\n" for name, field in _embedded_fields(document))
    text += _CLOUD + _operation_rows(document, names, "x-strait-edition", "cloud")
    return text + _OLD


def _row(feature: Feature) -> str:
    uses = ", ".join(f"`{use}`" for use in feature.uses if not use.startswith("shape."))
    title = f"{feature.title}<br>{uses}" if uses else feature.title
    cells = (title, _WORDS[feature.embedded], _WORDS[feature.platform], feature.says)
    return f'| <a id="{feature.id}"></a>{" | ".join(cells)} | {feature.instead} |\n'


def _operation_rows(
    document: dict[str, Any], names: dict[str, str], extension: str, value: object
) -> str:
    """Return a row for each operation of which an extension has a value."""
    return "".join(
        f"| `client.{names[operation['operationId']]}` | `{method.upper()} {path}` |\n"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get(extension) == value
    )


def _embedded_fields(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            if described.get("x-strait-embedded"):
                yield name, field

"""The site has every page once, says every code and method of the API, and asks nobody."""

from __future__ import annotations

import json
import re
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from codegen import llms, site
from strait.errors import map_http_error
from strait.server._generated.routes import ROUTES
from support.markdown import blocks, tables

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CODES = DOCS / "reference" / "error-codes.md"
API = DOCS / "reference" / "api"
CONFIG = (ROOT / "mkdocs.yml").read_text("utf-8")
DESCRIPTION = json.loads((ROOT / "api" / "openapi.json").read_text("utf-8"))


def test_the_site_has_every_page_once() -> None:
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    services = {page for page in pages if page.startswith("reference/api/")}
    named = [file for _, file in llms.nav()]
    assert len(named) == len(set(named))
    assert set(named) == pages - services | {"reference/api/index.md"}
    assert "not_in_nav: reference/api/*.md" in CONFIG


def test_the_map_has_every_page_of_the_site_in_its_order() -> None:
    rows = re.findall(
        r"^\| \[[^]]+\]\((\S+)\)", (DOCS / "index.md").read_text("utf-8"), re.MULTILINE
    )
    assert rows == [file for _, file in llms.nav() if file != "index.md"]


def test_the_site_asks_nobody_for_fonts_or_scripts() -> None:
    assert "\n  font: false\n" in CONFIG
    plugins = re.findall(r"^  - (\w+)", CONFIG, re.MULTILINE)
    # `offline` loads a script from elsewhere, a `repo_url` asks for the stars of a repository.
    assert plugins[:2] == ["search", "mkdocstrings"]
    assert "repo_url" not in CONFIG
    assert "extra_javascript" not in CONFIG


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://cdn.test/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.test/x.css">',
        '<img alt="" src="https://badges.test/x.svg">',
    ],
)
def test_a_page_that_would_load_something_from_elsewhere_is_not_built(element: str) -> None:
    with pytest.raises(RuntimeError, match="the site asks nobody"):
        site.on_post_page(f"<html>{element}</html>", "page")
    own = '<script src="assets/x.js"></script><a href="https://strait.dev">'
    assert site.on_post_page(own, "page") == own


# ------------------------------------------------------------------------------------ the codes


def rows_of(heading: str) -> list[list[str]]:
    return tables(CODES)[heading]


def told_codes() -> dict[str, tuple[list[int], str]]:
    rows = [*rows_of("By code"), *rows_of("Quotas"), *rows_of("Device login")]
    return {row[0]: ([int(status) for status in row[1].split(", ")], row[2]) for row in rows}


def test_the_page_has_every_error_code_of_the_api_with_its_status_and_class() -> None:
    described = {entry["code"]: entry["status"] for entry in DESCRIPTION["x-strait-error-codes"]}
    told = told_codes()
    assert {code: statuses for code, (statuses, _) in told.items()} == described
    for code, (statuses, name) in told.items():
        assert {type(map_http_error(status)).__name__ for status in statuses} == {name}, code


def test_every_code_says_what_to_do() -> None:
    rows = [*rows_of("By code"), *rows_of("Quotas"), *rows_of("Device login")]
    assert [row[0] for row in rows if len(row[3]) < 10] == []


def test_every_status_without_a_code_of_its_own_says_what_to_do() -> None:
    told = {int(s) for row in rows_of("By status") for s in row[0].split(", ")}
    statuses, _ = told_codes()["internal_error"]
    assert told == set(statuses)


def test_the_page_has_every_exception_of_the_sdk() -> None:
    errors = import_module("strait.errors")
    told = set(re.findall(r"`(\w+)`", CODES.read_text("utf-8")))
    classes = {
        name
        for name in errors.__all__
        if isinstance(cls := getattr(errors, name), type) and issubclass(cls, errors.StraitError)
    }
    # The two bases, and the kind of `ConfigurationError` that also is a `FileNotFoundError`.
    assert classes - told == {"StraitError", "HttpError", "ConfigFileNotFoundError"}


# -------------------------------------------------------------------------------- the reference


def test_the_reference_has_every_operation_where_its_method_is() -> None:
    pages = {page.stem: page.read_text("utf-8") for page in API.glob("*.md")}
    everywhere = "\n".join(pages.values())
    for route in ROUTES:
        assert f"`{route.method} {route.path}`" in everywhere, route.id


def test_every_method_of_a_service_stands_on_its_page() -> None:
    import inspect

    services = import_module("strait.client._generated.attributes").SyncServices
    for service in (name for name in vars(services) if not name.startswith("_")):
        page = (API / f"{service}.md").read_text("utf-8")
        module = import_module(f"strait.services.{service}")
        (cls,) = (
            found
            for name, found in vars(module).items()
            if inspect.isclass(found)
            and found.__module__ == module.__name__
            and not name.startswith("Async")
            and any(base.__name__ == "SyncService" for base in found.__bases__)
        )
        methods = {name for name, f in vars(cls).items() if inspect.isfunction(f)}
        named = set(re.findall(r"`(\w+)`", page)) | set(
            re.findall(r"^## (\w+)$", page, re.MULTILINE)
        )
        assert {name for name in methods if not name.startswith("_")} <= named, service


REFERENCE = ["authoring", "composition", "errors", "fsm", "testing"]


@pytest.mark.parametrize("name", REFERENCE)
def test_every_public_name_has_a_docstring_to_show(name: str) -> None:
    assert f"::: strait.{name}\n" in (DOCS / "reference" / f"{name}.md").read_text("utf-8")
    module = import_module(f"strait.{name}")
    silent = [
        public
        for public in module.__all__
        if callable(value := getattr(module, public)) and not (value.__doc__ or "").strip()
    ]
    assert silent == []


# ------------------------------------------------------------------------------------- the rest


def test_the_map_for_programs_is_that_of_the_site() -> None:
    assert llms.PAGE.read_text("utf-8") == llms.llms(), "run `make generate`"


def test_all_pages_in_one_file_are_all_pages() -> None:
    text = llms.full()
    assert "# Tutorial" in text
    assert "## Chang" not in text
    assert "--8<--" not in text


def test_deprecated_calls_can_be_made_errors_as_the_page_says() -> None:
    from strait import StraitDeprecationWarning

    (block,) = blocks(DOCS / "stability.md")
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        block.run(names)
        with pytest.raises(StraitDeprecationWarning):
            warnings.warn("going", StraitDeprecationWarning, stacklevel=1)

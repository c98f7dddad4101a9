"""The examples of `docs/testing.md`, run one after another as a reader would."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

from strait.testing import plugin
from support.markdown import blocks, tables

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def test_the_examples_of_the_page_run_in_its_order(monkeypatch):
    page = ModuleType("page")
    # Dataclasses and pydantic look their module up.
    monkeypatch.setitem(sys.modules, "page", page)
    names = vars(page)
    found = blocks(PAGE)
    for block in found:
        block.run(names)
    assert len(found) == 13
    assert names["later"].slug == "later"


def test_the_page_names_every_fixture_of_the_plugin():
    named = {row[0] for row in tables(PAGE)["Fixtures for pytest"]}
    fixtures = {name for name in vars(plugin) if name.startswith(("strait_", "run_"))}
    assert named == fixtures

"""The blocks of the published README, by the heading that they stand under."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.markdown import blocks

README = Path(__file__).with_name("readme_0_1_0.md")
SNIPPETS = {block.name: block for block in blocks(README)}


def snippet(name: str) -> pytest.MarkDecorator:
    """Give a test a snippet of the README as `block`."""
    return pytest.mark.parametrize("block", [SNIPPETS[name]], ids=[name])


def run_here(module: Mapping[str, Any]) -> set[str]:
    """Return the names of the snippets that the tests of a module run."""
    return {
        mark.args[1][0].name
        for test in module.values()
        for mark in getattr(test, "pytestmark", ())
        if mark.name == "parametrize" and mark.args[0] == "block"
    }

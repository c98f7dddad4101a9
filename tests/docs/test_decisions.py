"""docs/decisions.md: its figures are measured, and the tests that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.figures import PAGE, ROW, measured, sentences, written
from support.markdown import tables

ROOT = Path(__file__).parents[2]
HELD_BY = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_figure_is_the_measured_one() -> None:
    """`make generate` writes them."""
    page = PAGE.read_text("utf-8")
    told = {name: int(value) for name, value in ROW.findall(page)}
    assert told == measured()
    assert written(page) == page
    for sentence in sentences(measured()).values():
        assert sentence in page


HOLDERS = HELD_BY.findall(PAGE.read_text("utf-8"))


@pytest.mark.parametrize(("path", "name"), HOLDERS, ids=[name for _, name in HOLDERS])
def test_what_is_said_to_hold_a_decision_exists(path: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_every_decision_says_what_holds_it() -> None:
    found = tables(PAGE)
    rows = found["Choices"] + found["Where the embedded platform differs from the hosted one"]
    assert [
        row[0] for row in rows if not ("tests/" in row[-1] or row[-1].startswith("no test"))
    ] == []
    assert len(HOLDERS) > 40

"""What the distribution needs is bounded at the next major version, which may break it."""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))[
    "project"
]
EXTRAS = PROJECT["optional-dependencies"]
# Its versions are dates, and a newer one is only better.
DATED = {"tzdata"}


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *chain(*EXTRAS.values())])
def test_a_requirement_has_a_floor_and_a_cap(text: str) -> None:
    needed = Requirement(text)
    operators = {clause.operator for clause in needed.specifier}
    if needed.name == "strait-python":
        assert needed.extras <= set(EXTRAS)
    elif needed.name in DATED:
        assert operators == {">="}
    else:
        assert operators == {">=", "<"}

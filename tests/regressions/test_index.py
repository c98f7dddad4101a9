"""The index of bugs is complete for the client, and every test in it is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.regressions.index import HELD_BY

ROOT = Path(__file__).parents[2]
# 107 is about events that are defined in Python, which is the authoring room's.
OF_THE_CLIENT = {*range(1, 45), *range(63, 72), 105, 106, 108, 109}


def test_every_bug_of_the_client_is_held() -> None:
    assert OF_THE_CLIENT - HELD_BY.keys() == set()
    assert HELD_BY.keys() <= set(range(1, 110))


@pytest.mark.parametrize("bug", HELD_BY)
def test_the_test_of_a_bug_is_there_and_asserts(bug: int) -> None:
    file, _, name = HELD_BY[bug].partition("::")
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    (test,) = (
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    )
    raises = any(
        isinstance(node, ast.Attribute) and node.attr == "raises" for node in ast.walk(test)
    )
    assert raises or any(isinstance(node, ast.Assert) for node in ast.walk(test))

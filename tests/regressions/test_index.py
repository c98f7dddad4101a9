"""The index of bugs is complete, and every test in it is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.regressions.index import HELD_BY

ROOT = Path(__file__).parents[2]
TESTS = [
    pytest.param(test, id=f"b{bug}-{test.partition('::')[2]}")
    for bug, tests in HELD_BY.items()
    for test in ((tests,) if isinstance(tests, str) else tests)
]


def test_every_bug_of_the_published_client_is_held() -> None:
    assert list(HELD_BY) == list(range(1, 110))


@pytest.mark.parametrize("held_by", TESTS)
def test_the_test_of_a_bug_is_there_and_asserts(held_by: str) -> None:
    file, _, name = held_by.partition("::")
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

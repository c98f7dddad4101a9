"""Every operation that is served has a test of its behaviour, by name."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache

from strait.server.routes import registry

from .behaviours import ROOT, listed

# Served, and never with a success: there is nothing on this platform that they could be about.
# `tests/clients/test_all_operations.py` holds what they answer.
REFUSED = {
    "drop-audit-deadletter",
    "replay-audit-deadletter",
}


@cache
def functions_of(file: str) -> dict[str, ast.AST]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_operation_that_is_served_has_a_test_of_its_behaviour() -> None:
    assert set(listed()) | REFUSED == registry.operations(), (
        "run `python -m tests.server.behaviours` once there is a test"
    )


def test_these_tests_are_there_and_assert_more_than_one_status() -> None:
    for operation, test in listed().items():
        file, _, name = test.partition("::")
        found = functions_of(file).get(name)
        assert found is not None, f"{operation}: there is no {test}"
        asserts = [node for node in ast.walk(found) if isinstance(node, ast.Assert)]
        # Several calls whose answers depend on each other are behaviour, too.
        enough = len(asserts) > 1 or any("status_code" not in ast.unparse(one) for one in asserts)
        assert enough or not asserts, f"{operation}: {test} asserts one status and nothing else"


def test_no_one_test_stands_for_too_many_operations() -> None:
    counts = Counter(listed().values())
    (test, most), *_ = counts.most_common(1)
    assert most <= 5, test


def test_these_tests_are_about_the_server() -> None:
    # A scenario that calls all operations in a row is about none of them.
    assert {test.rpartition("/")[0] for test in listed().values()} == {
        "tests/server",
        "tests/worker",
    }

"""`python -m tests.server.behaviours` finds which test holds each operation's behaviour.

It runs the tests of the server, notes which operations each of them saw succeed, and writes for
each operation the test that is about it: whose file and name speak of it, and of those the one
that saw the fewest others. The list is `behaviours.txt`; a test holds that no operation that is
served is missing from it. A row stays while its test sees the operation, so that a better choice
may be written there by hand.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path

from .recording import VARIABLE

ROOT = Path(__file__).parents[2]
LISTED = Path(__file__).with_name("behaviours.txt")

_PYTEST = (sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "tests.server.recording")
# A test that sees so many operations is about none of them.
_SWEEP = 15
# Tests that see operations succeed on the way to something else.
_ASIDE = re.compile(r"another_projects?_|stranger|refused|scope|_a_restart|_client_")
# What tests say for the verbs of operations, which are nouns and participles in their names.
_SAID = {
    "batch": "batch|several|many",
    "bulk": "bulk|several|many|all_",
    "create": "create|made|make|new",
    "get": "shown|shows|read|told",
    "list": "list",
    "put": "put|made|change",
    "sdk": "sdk|handler",
    "update": "update|change|replace|moved",
    "upsert": "set|change",
}


def listed() -> dict[str, str]:
    """Return the test of each operation."""
    rows = (line.split(" ", 1) for line in LISTED.read_text("utf-8").splitlines())
    return dict(rows)


def chosen(seen: dict[str, set[str]]) -> dict[str, str]:
    """Return for each operation the test that is about it, of what tests saw."""
    by_operation: dict[str, list[str]] = defaultdict(list)
    for test, operations in seen.items():
        for operation in operations:
            by_operation[operation].append(test)

    def aside(operation: str, test: str) -> tuple[bool, int, int, str]:
        passes_by = len(seen[test]) > _SWEEP or bool(_ASIDE.search(test))
        return passes_by, -_spoken_of(operation, test), len(seen[test]), test

    return {
        operation: min(tests, key=partial(aside, operation))
        for operation, tests in sorted(by_operation.items())
    }


def _spoken_of(operation: str, test: str) -> int:
    """Count the words of an operation that the file and the name of a test have."""
    named = test.removeprefix("tests/").replace("::test_", "_")
    return sum(
        bool(re.search(rf"_({_SAID.get(word, _stem(word))})", named))
        for word in operation.split("-")
    )


def _stem(word: str) -> str:
    """`approve` is in `approval`, and `policy` in `policies`."""
    return word.rstrip("ey") if len(word) > 4 else word


def recorded() -> dict[str, set[str]]:
    """Run the tests and return which operations each of them saw succeed."""
    seen: dict[str, set[str]] = defaultdict(set)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "seen"
        subprocess.run(
            [*_PYTEST, "tests/server", "tests/worker"],
            cwd=ROOT,
            env={**os.environ, VARIABLE: str(file)},
            check=False,
        )
        for line in file.read_text("utf-8").splitlines():
            operation, test = line.split(" ", 1)
            seen[test].add(operation)
    return seen


def kept(seen: dict[str, set[str]]) -> dict[str, str]:
    """Return the rows whose tests still see their operations, or which no test sees succeed."""
    ever = set().union(*seen.values())
    return {
        operation: test
        for operation, test in listed().items()
        if operation in seen[test] or operation not in ever
    }


if __name__ == "__main__":
    from strait.server.routes import registry

    found = recorded()
    rows = {**chosen(found), **kept(found)}
    served = registry.operations()
    LISTED.write_text(
        "".join(f"{operation} {rows[operation]}\n" for operation in sorted(served & set(rows))),
        "utf-8",
    )
    sys.stderr.write(f"without a test: {sorted(served - set(rows))}\n")

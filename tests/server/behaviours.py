"""`python -m tests.server.behaviours` finds which test holds each operation's behaviour.

It runs the tests of the server, notes which operations each of them saw succeed, and writes for
each operation the test that saw the fewest others: the one that is about it. The list is
`behaviours.txt`; a test holds that no operation that is served is missing from it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTED = Path(__file__).with_name("behaviours.txt")

# Tests that see operations succeed on the way to something else.
_ASIDE = re.compile(r"another_projects?_|stranger|refused|scope|restart|_are_checked")
# No test here sees these succeed; the scenarios of both clients do, and assert what came of it.
THROUGH_CLIENTS = (
    "delete-project",
    "delete-throttle",
    "get-job-history",
    "get-secret",
    "get-throttle",
    "list-projects",
    "retry-webhook-delivery-legacy",
)
SCENARIOS = (
    "tests/clients/test_all_operations.py::"
    "test_every_operation_that_is_served_works_through_the_client"
)


def listed() -> dict[str, str]:
    """Return the test of each operation."""
    rows = (line.split(" ", 1) for line in LISTED.read_text("utf-8").splitlines())
    return dict(rows)


def chosen(seen: dict[str, set[str]]) -> dict[str, str]:
    """Return for each operation the test that saw the fewest others, of what tests saw."""
    by_operation: dict[str, list[str]] = defaultdict(list)
    for test, operations in seen.items():
        for operation in operations:
            by_operation[operation].append(test)
    return {
        operation: min(tests, key=lambda test: (bool(_ASIDE.search(test)), len(seen[test]), test))
        for operation, tests in sorted(by_operation.items())
    }


def recorded() -> dict[str, set[str]]:
    """Run the tests and return which operations each of them saw succeed."""
    seen: dict[str, set[str]] = defaultdict(set)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "seen"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests/server", "tests/worker"],
            cwd=ROOT,
            env={**os.environ, "STRAIT_TEST_RECORD": str(file)},
            check=False,
        )
        for line in file.read_text("utf-8").splitlines():
            operation, test = line.split(" ", 1)
            seen[test].add(operation)
    return seen


if __name__ == "__main__":
    from strait.server.routes import registry

    found = chosen(recorded())
    served = registry.operations()
    found = {**dict.fromkeys(THROUGH_CLIENTS, SCENARIOS), **found}
    rows = [f"{operation} {found[operation]}\n" for operation in sorted(served & set(found))]
    LISTED.write_text("".join(rows), "utf-8")
    sys.stderr.write(f"without a test: {sorted(served - set(found))}\n")

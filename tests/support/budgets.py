"""How much of its share of a test run each suite takes: told behind the tests, and no failure.

A suite is a folder of `tests/`. Its share is in `tests/budgets.toml`, in seconds of one of the
processes that `make test` has. A machine may be slow for an hour, so that who is over the share is
told and not refused; that the shares fit into the time there is, is a test.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "budgets.toml"
# Fewer suites than this are somebody's look at a few tests.
_WHOLE = 10


def shares() -> dict[str, int]:
    """Return how many seconds each suite may take, by its name."""
    return dict(tomllib.loads(FILE.read_text(encoding="utf-8"))["seconds"])


class Budgets:
    """Adds up what tests take, by suite."""

    def __init__(self) -> None:
        self.took: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test's set-up, call or end in."""
        self.took[suite_of(report.nodeid)] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what each suite took, where all of them ran."""
        if len(self.took) < _WHOLE:
            return
        terminalreporter.section("seconds of each suite, and its budget")
        for line in told(self.took, shares()):
            terminalreporter.write_line(line)


def suite_of(nodeid: str) -> str:
    """Return the suite of a test: the folder below `tests/`."""
    return nodeid.split("/")[1]


def told(took: Counter[str], budgets: dict[str, int]) -> list[str]:
    """Return a line for each suite, the one that takes most first."""
    lines = []
    for suite, seconds in took.most_common():
        budget = budgets.get(suite, 0)
        over = "  over its budget" if seconds > budget else ""
        lines.append(f"{suite:<16}{seconds:7.0f}{budget:7}{over}")
    total = sum(took.values())
    return [*lines, f"{'all':<16}{total:7.0f}{sum(budgets.values()):7}"]

"""The whole of the tests fits into a quarter of an hour, because each suite has a share of it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from support.budgets import FILE, shares, suite_of, told

TESTS = FILE.parent
LONGEST_SECS = 15 * 60
# What `make test` does before: a virtual environment, linters, types, documentation.
BEFORE_SECS = 2 * 60


def test_each_suite_has_a_budget() -> None:
    suites = {suite_of(str(path.relative_to(TESTS.parent))) for path in TESTS.rglob("test_*.py")}
    assert set(shares()) == suites


def test_the_budgets_fit_into_a_quarter_of_an_hour() -> None:
    (workers,) = re.findall(
        r"^WORKERS \?= (\d+)$", Path(TESTS.parent, "Makefile").read_text(), re.MULTILINE
    )
    assert sum(shares().values()) <= (LONGEST_SECS - BEFORE_SECS) * int(workers)


def test_who_is_over_its_budget_is_told() -> None:
    lines = told(Counter({"cron": 3.0, "store": 61.4}), {"cron": 5, "store": 60})
    assert [line.split() for line in lines] == [
        ["store", "61", "60", "over", "its", "budget"],
        ["cron", "3", "5"],
        ["all", "64", "65"],
    ]

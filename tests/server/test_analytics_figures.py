"""Each figure equals what a slow and plain computation gives over the same history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from strait.clock import to_timestamp
from strait.server.analytics import costs, jobs, runs
from strait.server.analytics.sql import Question
from strait.server.routes.analytics import ask
from support import plain_figures as plain
from support.histories import FROM, TO, History, histories, stored

FIGURES: list[tuple[str, Question, Callable[[History], Any]]] = [
    ("timeline", runs.QUESTIONS["get-run-timeline"], plain.timeline),
    ("distribution", runs.QUESTIONS["get-run-duration-distribution"], plain.distribution),
    ("summary", runs.QUESTIONS["get-run-summary"], plain.summary),
    ("by-trigger", runs.QUESTIONS["get-runs-by-trigger"], plain.by_trigger),
    ("tag-summary", runs.QUESTIONS["get-tag-summary"], plain.tag_summary),
    ("failing-tags", runs.QUESTIONS["get-top-failing-tags"], plain.failing_tags),
    ("comparison", jobs.QUESTIONS["get-job-comparison"], plain.comparison),
    ("reliability", jobs.QUESTIONS["get-job-reliability"], plain.reliability),
    ("by-version", jobs.QUESTIONS["get-runs-by-version"], plain.by_version),
    ("failing-jobs", jobs.QUESTIONS["get-top-failing-jobs"], plain.failing_jobs),
    ("job-history", jobs.QUESTIONS["get-job-history"], plain.job_history),
    ("health", jobs.HEALTH, plain.health),
    ("slowest", jobs.SLOWEST, plain.slowest),
    ("throughput", jobs.THROUGHPUT, plain.throughput),
    ("live", jobs.SUMMARY, plain.live),
    ("trends", costs.QUESTIONS["get-cost-trends"], plain.trends),
    ("top-costs", costs.QUESTIONS["get-top-costs"], plain.top_costs),
    ("ranking", costs.QUESTIONS["get-job-cost-ranking"], plain.ranking),
    ("tag-cost", costs.QUESTIONS["get-tag-cost"], plain.tag_cost),
    ("cost-by-trigger", costs.QUESTIONS["get-cost-by-trigger"], plain.cost_by_trigger),
    ("forecast", costs.QUESTIONS["get-cost-forecast"], plain.forecast),
    ("total-cost", costs.TOTAL, plain.total_cost),
    ("cost-by-job", costs.BY_JOB, plain.by_job),
    ("outliers", costs.OUTLIERS, plain.outliers),
]
PARAMETERS = {
    "project": "p",
    "from": to_timestamp(FROM),
    "to": to_timestamp(TO),
    "bucket": "hour",
    "limit": 100,
    "job_id": "j1",
    "job_ids": '["j3", "j1", "unknown"]',
    "threshold": 1.1,
}


@settings(max_examples=50, deadline=None)
@given(histories())
def test_each_figure_is_what_a_plain_computation_gives(history: History) -> None:
    db = stored(history)
    try:
        for name, question, worked_out in FIGURES:
            found, expected = ask(db, question, PARAMETERS), worked_out(history)
            assert _close(found, expected), f"{name}: {found} is not {expected}"
        found = ask(db, runs.QUESTIONS["get-run-failure-reasons"], PARAMETERS)
        shown = [(row["message"], row["count"], row["last_seen"]) for row in found]
        assert sorted(shown) == sorted(plain.reasons(history))
        assert [row["count"] for row in found] == sorted((n for _, n, _ in shown), reverse=True)
        by_id = {run.id: run for run in history.runs}
        assert all(by_id[row["example_run_id"]].error == row["message"] for row in found)
    finally:
        db.close()


def _close(found: Any, expected: Any) -> bool:
    """Compare, with numbers to nine digits, and those that are rounded to their last one."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(_close, found, expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            _number_close(found[key], value, key) for key, value in expected.items()
        )
    return bool(found == expected)


def _number_close(found: Any, expected: Any, name: str) -> bool:
    if not isinstance(expected, float):
        return bool(found == expected)
    # Halves are rounded up by SQLite and to even by Python.
    last = {"pct": 0.0101, "trend_pct": 0.0101, "health_score": 0.0101}.get(
        name, 1.01e-4 if name.endswith("rate") and name != "daily_rate" else 1e-9
    )
    return bool(found == pytest.approx(expected, rel=1e-9, abs=last))

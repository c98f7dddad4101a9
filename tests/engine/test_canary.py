"""When a canary is promoted, held or rolled back (`contract/workflows.md` §5.1)."""

from __future__ import annotations

import pytest

from strait.engine.canary import AutoPromote, Health, evaluate, goes_to_target, next_step

SECOND_NS = 10**9


def test_fewer_than_five_runs_say_nothing() -> None:
    config = AutoPromote(failure_rate_threshold=1)
    assert evaluate(config, Health(4, [1] * 4)) == "hold"
    assert evaluate(config, Health(0, [])) == "hold"


@pytest.mark.parametrize(("failed", "decision"), [(1, "promote"), (2, "rollback")])
def test_more_failures_than_allowed_roll_back(failed: int, decision: str) -> None:
    config = AutoPromote(failure_rate_threshold=10)
    assert evaluate(config, Health(failed, [1] * 10)) == decision


@pytest.mark.parametrize(("slowest", "decision"), [(2, "promote"), (3, "rollback")])
def test_slower_runs_than_allowed_roll_back(slowest: int, decision: str) -> None:
    config = AutoPromote(latency_p99_threshold=2 * SECOND_NS)
    durations = [SECOND_NS] * 9 + [slowest * SECOND_NS]
    assert evaluate(config, Health(0, durations)) == decision


def test_without_bounds_everything_is_healthy() -> None:
    assert evaluate(AutoPromote(), Health(10, [SECOND_NS] * 10)) == "promote"


def test_shares_follow_each_other_up_to_everything() -> None:
    assert [next_step((10, 50), share) for share in (0, 5, 10, 49, 50)] == [10, 10, 50, 50, 100]
    assert next_step((), 5) == 100


def test_chance_decides_by_the_share() -> None:
    assert not goes_to_target(0, 0.0)
    assert goes_to_target(100, 0.999999)
    assert goes_to_target(10, 0.0999)
    assert not goes_to_target(10, 0.1)

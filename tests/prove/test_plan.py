"""The plan of a proof: drawn from a seed, the same in every process."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from strait.prove.plan import KINDS, draw


def test_the_same_seed_draws_the_same_plan_in_another_process() -> None:
    code = "from strait.prove.plan import draw; print(draw(7).digest)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert done.stdout.strip() == draw(7).digest


def test_another_seed_draws_another_plan() -> None:
    assert len({draw(seed).digest for seed in range(20)}) == 20


def test_a_plan_of_the_full_size_has_all_that_is_promised() -> None:
    plan = draw(3)
    assert (len(plan.orders), len(plan.kills)) == (1_000, 50)
    assert len(plan.parked) == 200
    assert plan.early
    assert plan.mistakes
    assert not any(order.early for order in plan.parked)
    assert all(order.parked and len(order.items) > 1 for order in plan.mistakes)
    kinds = Counter(kill.kind for kill in plan.kills)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 16
    assert 0 < plan.deploy_after < 50


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_cannot_come_to_a_standstill(seed: int) -> None:
    # An order is released, and a kill comes, after no more steps than there are by then at least.
    plan = draw(seed, orders=40, kills=8)
    begun = begun_before_version_2 = 0
    for released, order in zip(plan.released_after, plan.orders, strict=True):
        assert released <= begun
        begun += order.fewest_steps
        begun_before_version_2 += 0 if order.late else order.fewest_steps
    first, rest = plan.kills[: plan.deploy_after], plan.kills[plan.deploy_after :]
    assert all(0 < kill.after < begun_before_version_2 for kill in first)
    assert all(first[-1].after < kill.after < begun for kill in rest)
    assert [order.late for order in plan.orders] == [False] * 36 + [True] * 4


@pytest.mark.parametrize(
    ("orders", "kills", "wrong"), [(9, 0, "10 orders"), (20, 21, "orders (20)"), (20, -1, "-1")]
)
def test_numbers_out_of_bounds_are_refused(orders: int, kills: int, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong.replace("(", r"\(").replace(")", r"\)")):
        draw(1, orders=orders, kills=kills)

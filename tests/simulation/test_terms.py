"""Stories of terms: decisions, turns, keys that are used again, the newest runs, and batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from simulation.scenario import simulate
from simulation.terms import Terms
from strait.clock import SECOND, to_timestamp
from strait.engine.queue import ReadyQueue
from strait.engine.workflows import cost_gates, decide
from strait.server.routes import job_admin, triggers
from strait.server.scheduler import Scheduler
from strait.server.work import retention, runs, workflows
from strait.store import retention as retention_rows
from strait.store import workflow_runs as workflow_rows

PART = 3


def test_no_term_breaks_a_promise() -> None:
    outcomes = [simulate(seed, Terms) for seed in range(PART)]
    assert {outcome.seed: outcome.faults for outcome in outcomes if outcome.faults} == {}
    # A story in which nothing happens would promise little.
    assert sum(outcome.runs for outcome in outcomes) > 5 * PART
    assert sum(outcome.starts for outcome in outcomes) > 2 * PART


def _never_ask(draft: Any, step: Any) -> bool:
    """A platform that starts what costs much."""
    return False


def _at_any_time(draft: Any, ref: str, approver: str) -> Any:
    """A platform that takes decisions when their time is up."""
    pending = draft.approvals.get(ref)
    if pending is not None:
        draft.put_approval(ref, replace(pending, expires_at=""))
    asked(draft, ref, approver)
    draft.put_approval(ref, pending)
    return pending


asked = decide._asked


def _settle(draft: Any, ref: str) -> None:
    """A platform that takes a step for done whose cost was approved."""
    decide._settled(draft, ref, "received", None)


def _go_on(draft: Any, ref: str, status: str, error: str) -> bool:
    """A platform that goes on after what was refused."""
    return decide._settled(draft, ref, "received", None)


def _watch_none(unit: Any, approval: Any) -> None:
    """A platform that leaves approvals open for ever."""


def _none_open(db: Any) -> tuple[()]:
    """A platform that does not watch the approvals that the last one has asked for."""
    return ()


def _promote_nobody(queue: ReadyQueue, duration: int, now: int, limit: int) -> list[Any]:
    """A platform that lets urgent runs go first for ever."""
    return []


def _forget_turn(scheduler: Any, run: Any) -> None:
    """A platform that writes down what is promoted, and does not go by it."""


def _promote_everybody(queue: ReadyQueue, duration: int, now: int, limit: int) -> Any:
    """A platform that promotes those who have just come."""
    return [ticket for _, ticket in queue._queued.values() if ticket.rank[0] > -10]


def _plan_once(scheduler: Scheduler) -> None:
    """A platform that promotes nobody until the clock is as late again as it was."""
    if not scheduler._promotes_at:
        plan_promotion(scheduler)


plan_promotion = Scheduler._plan_promotion


def _know_no_keys(unit: Any, job: Any, key: str) -> None:
    """A platform to which each trigger is a new one."""


def _for_ever(unit: Any, job: Any, key: str) -> Any:
    """A platform whose keys are used up once and for all."""
    return triggers.run_rows.by_key(unit.db, job.id, key, "")


def _for_an_hour(unit: Any, job: Any, key: str) -> Any:
    """A platform that frees keys too soon."""
    return triggers.run_rows.by_key(unit.db, job.id, key, to_timestamp(unit.now - 3600 * SECOND))


def _spare_nobody(unit: Any, settings: Any) -> Any:
    """A platform that drops what is just over."""
    return limits(unit, settings)._replace(spared_since=unit.stamp)


limits = retention._limits


def _one_too_many(db: Any, table: str, limits: Any) -> int:
    """A platform that keeps fewer runs than it was told."""
    return oldest_kept(db, table, limits) + 2


def _all_of_them(db: Any, table: str, limits: Any) -> int:
    """A platform that keeps everything."""
    return 0


oldest_kept = retention_rows._oldest_kept


def _needed_by_nobody(db: Any, run_id: str) -> bool:
    """A platform that drops what a run has that goes on."""
    return False


def _only_the_first(call: Any, unit: Any, *, enabled: bool) -> Any:
    """A platform that switches some of the jobs."""
    changed: list[Any] = []

    def save(unit: Any, job: Any) -> None:
        if not changed:
            save_in_place(unit, job)
        changed.append(job)

    with patch.object(job_admin, "save_in_place", save):
        return switch(call, unit, enabled=enabled)


switch, save_in_place = job_admin._switch, job_admin.save_in_place


def _in_two_goes(unit: Any, job: Any, wanted: Any) -> Any:
    """A platform that makes some runs of a batch, and then the others."""
    half = len(wanted) // 2
    made = create_all(unit, job, wanted[half:])
    unit.after(lambda: unit.platform.write(lambda later: _made(later, job, wanted[:half])))
    return (made * 2)[: len(wanted)]


def _made(unit: Any, job: Any, wanted: Any) -> None:
    create_all(unit, job, wanted)


create_all = runs.create_all


def _lose_one(call: Any, unit: Any, item: Any) -> Any:
    """A platform that says to have made what it has not."""
    job = new_job(call, unit, item)
    if job.slug.endswith(".1"):
        unit.db.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
    return job


new_job = job_admin.new_job


@pytest.mark.parametrize(
    ("where", "name", "broken", "telling"),
    [
        (cost_gates, "must_ask", _never_ask, 3),
        (cost_gates, "let_through", _settle, 4),
        (decide, "_asked", _at_any_time, 13),
        (decide, "_wait_failed", _go_on, 1),
        (workflows, "_watch_approval", _watch_none, 2),
        (workflow_rows, "open_approvals", _none_open, 29),
        (ReadyQueue, "waiting_for", _promote_nobody, 2),
        (Scheduler, "promoted", _forget_turn, 22),
        (Scheduler, "_plan_promotion", _plan_once, 6),
        (ReadyQueue, "waiting_for", _promote_everybody, 8),
        (triggers, "_present", _know_no_keys, 1),
        (triggers, "_present", _for_ever, 5),
        (triggers, "_present", _for_an_hour, 2),
        (retention, "_limits", _spare_nobody, 4),
        (retention_rows, "_oldest_kept", _one_too_many, 2),
        (retention_rows, "_oldest_kept", _all_of_them, 4),
        (retention_rows, "_may_go_on", _needed_by_nobody, 8),
        (retention_rows, "_step_exists", _needed_by_nobody, 22),
        (job_admin, "new_job", _lose_one, 1),
        (job_admin, "_switch", _only_the_first, 2),
        (runs, "create_all", _in_two_goes, 1),
    ],
)
def test_a_platform_that_keeps_to_no_terms_is_found_out(
    where: Any, name: str, broken: Callable[..., Any], telling: int
) -> None:
    """The seed `telling` finds it; where the stories have changed, so that it does not, another."""
    with patch.object(where, name, broken):
        assert any(simulate(seed, Terms).faults for seed in (telling, *range(60)))

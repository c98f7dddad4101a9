"""Stories of days: schedules, windows, batches, sources, canaries, and what is not kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from simulation.calendar import Calendar
from simulation.scenario import simulate
from strait.engine import admission, filters
from strait.engine import runs as engine
from strait.server import dispatches
from strait.server.archive import Archive
from strait.server.jobs_cache import JobsCache
from strait.server.routes import bulk_runs
from strait.server.scheduler import Scheduler
from strait.server.work import (
    buffers,
    canaries,
    dependencies,
    environments,
    events,
    housekeeping,
    runs,
    schedules,
)
from strait.server.work import settle as settling
from strait.store import buffers as buffer_rows
from strait.store import dependencies as dependency_rows
from strait.store import ledger, retention, triggers
from strait.store import runs as run_rows
from strait.store.records import owned

PARTS, PART = 4, 7


@pytest.mark.parametrize("part", range(PARTS))
def test_no_day_breaks_a_promise(part: int) -> None:
    outcomes = [simulate(seed, Calendar) for seed in range(part * PART, (part + 1) * PART)]
    assert {outcome.seed: outcome.faults for outcome in outcomes if outcome.faults} == {}
    # A story in which nothing happens would promise little.
    assert sum(outcome.runs for outcome in outcomes) > 5 * PART
    assert sum(outcome.starts for outcome in outcomes) > 2 * PART


def _forget_schedules(unit: Any, schedule: Any) -> None:
    """A platform that does not look after the schedules of the last one."""


def _make_up_for_all(schedule: schedules.Schedule, since: int, now: int) -> list[int]:
    """A platform that starts what it was told to leave out."""
    return ticks(schedule._replace(catchup="all"), since, now)


def _make_up_for_nothing(schedule: schedules.Schedule, since: int, now: int) -> list[int]:
    """A platform that leaves out what it was told to make up for."""
    return ticks(schedule._replace(catchup="skip"), since, now)


def _only_one(schedule: schedules.Schedule, since: int, now: int) -> list[int]:
    """A platform that makes up for the oldest that it missed."""
    return ticks(schedule._replace(catchup="all"), since, now)[:1]


ticks = schedules._ticks


def _by_no_key(unit: Any, job: Any, key: str, request: Any, payload: str) -> Any:
    """A platform that puts triggers of all keys into one batch."""
    return collect(unit, job, "", request, payload)


collect = buffers.collect


def _one_for_all_keys(db: Any, job_id: str, key: str, fire_at: str, trigger: Any) -> None:
    """A platform that has a trigger replaced by one of another key."""
    db.execute("DELETE FROM debounces WHERE job_id = ?", (job_id,))
    put_debounced(db, job_id, key, fire_at, trigger)


put_debounced = buffer_rows.put_debounced


def _at_once(unit: Any, job: Any, key: str, request: Any, payload: str) -> Any:
    """A platform that does not wait for what may replace a trigger."""
    found = buffer_rows.debounced(unit.db, job.id, key)
    if found is not None:
        buffers.runs.create(unit, job, request, found[1].payload)
    return debounce(unit, job, key, request, payload)


debounce = buffers.debounce


def _always_open(job: Any, scheduled_at: int, now: int) -> int:
    """A platform that knows of no windows."""
    return scheduled_at


def _queue_at_once(scheduler: Scheduler, states: Any) -> None:
    """A platform that does not wait for the time of a run."""
    observe_new(scheduler, states)
    for state in states:
        if state.run.status == "delayed":
            queue = partial(runs.apply_by_id, run_id=state.run.id, event=engine.Due())
            scheduler._platform.write(queue)


observe_new = Scheduler.observe_new


def _everything_fits(expression: Any, payload: Any) -> bool:
    """A platform that knows of no filters."""
    return True


def _nothing_is_held(unit: Any, trigger: Any) -> Any:
    """A platform that does not look for what came before."""
    return trigger


def _keep_what_was_taken(db: Any, event_id: str) -> None:
    """A platform that hands the same event out again."""


def _held_for_ever(db: Any, project_id: str, event_key: str, now: str) -> Any:
    """A platform that holds events beyond their time."""
    return held(db, project_id, event_key, "")


held = triggers.held


def _newest_version(unit: Any, workflow: Any) -> Any:
    """A platform that knows of no canaries."""
    return workflow


def _first_canary(db: Any, workflow_id: str) -> Any:
    """A platform that goes by the first canary of a workflow."""
    found = owned(db, canaries.KIND, workflow_id)
    return found[-1] if found else None


def _watch_none(unit: Any) -> None:
    """A platform that leaves alone what the last one has watched."""


def _only_the_first(call: Any, db: Any) -> list[str]:
    """A platform that cancels one of many."""
    return fitting(call, db)[:1]


fitting = bulk_runs._fitting


def _as_if(call: Any, unit: Any, run_id: str) -> dict[str, str]:
    """A platform that cancels nothing, and says that it has."""
    return {"id": run_id, "status": "canceled"}


def _twice(call: Any, unit: Any, run: Any) -> Any:
    """A platform that does everything again two times."""
    replay_as_new(call, unit, run)
    return replay_as_new(call, unit, run)


replay_as_new = bulk_runs.replay_as_new


def _archive_nothing(archive: Any, at: str, subjects: Any) -> None:
    """A platform that deletes what it has not archived."""


def _old_at_once(limits: Any, seq: int, oldest_kept: int, finished_at: str) -> bool:
    """A platform that drops what is just over."""
    return bool(finished_at)


def _keep_everything(unit: Any) -> None:
    """A platform that keeps what is over for ever."""


def _hold_no_place(db: Any, place: int) -> None:
    """A platform that gives the places of deleted lines to others."""


def _wait_for_nobody(unit: Any, run: Any) -> bool:
    """A platform that knows of no dependencies."""
    return True


def _by_no_key_at_all(db: Any, job_id: str, run: Any) -> str:
    """A platform that takes the newest run for that of any key."""
    return newest_outcome(db, job_id, replace(run, idempotency_key="", metadata={}))


newest_outcome = dependency_rows.newest_outcome


def _hold_on(unit: Any, ended: Any) -> None:
    """A platform that lets nobody go when a run has ended."""


def _as_they_were(unit: Any) -> None:
    """A platform that goes by what it knew of dependencies before."""


def _canceled_is_failed(condition: str, outcome: str) -> bool:
    """A platform to which every end is as good as another."""
    return bool(outcome)


def _of_today(cache: Any, db: Any, run: Any) -> Any:
    """A platform that knows of no versions."""
    return cache.get(db, run.job_id)


def _of_its_day(cache: Any, db: Any, run: Any) -> Any:
    """A platform that pins all runs to the version that they were made under."""
    entry = cache.get(db, run.job_id)
    if entry is None or entry.job.version == run.job_version:
        return entry
    return cache._version(db, run.job_id, run.job_version) or entry


def _never_too_late(unit: Any, run_id: str) -> Any:
    """A platform that starts what has no time left."""
    found = run_rows.load_to_start(unit.db, run_id)
    if found is None or found[0].run.status != "queued":
        return None
    entry = unit.platform.jobs.for_run(unit.db, found[0].run)
    return dispatches.Startable(*found, entry)


def _at_any_time(unit: Any, job: Any, tick: int) -> None:
    """A platform that starts what is to be skipped, and ends nobody for it."""
    fire_job(unit, replace(job, cron_overlap_policy="allow"), tick)


fire_job = schedules._fire_job


@pytest.mark.parametrize(
    ("where", "name", "broken", "telling"),
    [
        (dependencies, "are_satisfied", _wait_for_nobody, 4),
        (dependencies, "_fits", _canceled_is_failed, 4),
        (dependency_rows, "newest_outcome", _by_no_key_at_all, 14),
        (settling, "_release_dependents", _hold_on, 12),
        (environments, "changed", _as_they_were, 13),
        (JobsCache, "for_run", _of_today, 5),
        (JobsCache, "for_run", _of_its_day, 0),
        (dispatches, "startable", _never_too_late, 28),
        (schedules, "_fire_job", _at_any_time, 0),
        (schedules, "take_over", _forget_schedules, 0),
        (schedules, "_ticks", _make_up_for_all, 0),
        (schedules, "_ticks", _make_up_for_nothing, 0),
        (schedules, "_ticks", _only_one, 0),
        (buffers, "collect", _by_no_key, 3),
        (buffers, "debounce", _at_once, 3),
        (buffer_rows, "put_debounced", _one_for_all_keys, 3),
        (admission, "in_window", _always_open, 0),
        (Scheduler, "observe_new", _queue_at_once, 0),
        (filters, "matches", _everything_fits, 3),
        (events, "_take_held", _nothing_is_held, 15),
        (triggers, "drop_held", _keep_what_was_taken, 11),
        (triggers, "held", _held_for_ever, 13),
        (canaries, "choose", _newest_version, 10),
        (canaries, "newest", _first_canary, 10),
        (canaries, "after_restart", _watch_none, 3),
        (bulk_runs, "_fitting", _only_the_first, 3),
        (bulk_runs, "_cancel", _as_if, 3),
        (bulk_runs, "replay_as_new", _twice, 4),
        (Archive, "write", _archive_nothing, 0),
        (ledger, "_hold", _hold_no_place, 0),
        (housekeeping, "watch", _keep_everything, 0),
        (retention, "_is_old", _old_at_once, 0),
    ],
)
def test_a_platform_that_is_broken_is_found_out(
    where: Any, name: str, broken: Callable[..., Any], telling: int
) -> None:
    """The seed `telling` finds it; where the stories have changed, so that it does not, another."""
    with patch.object(where, name, broken):
        assert any(simulate(seed, Calendar).faults for seed in (telling, *range(60)))

"""Whole lives of a platform in simulated time, with crashes, lost answers and clocks that are set.

`make simulate` tries ten thousand seeds; `python -m simulation --show SEED` prints one story.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from simulation.scenario import simulate
from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine import undo
from strait.engine.deliveries import Attempt
from strait.engine.queue import ReadyQueue, Ticket
from strait.engine.throttles import Throttles
from strait.engine.workflows import compensation
from strait.engine.workflows.compensation import plan as compensation_plan
from strait.engine.workflows.state import State
from strait.reserved import STEP_PREFIX
from strait.server.courier import Courier
from strait.server.dispatcher import Dispatcher
from strait.server.log_drains import LogDrains
from strait.server.platform import Platform
from strait.server.routes import sdk, sdk_suspend
from strait.server.unit import Unit
from strait.server.work import announce, chains, children, events, records, runs, steps, suspensions
from strait.server.workers import results
from strait.server.workers.dispatch import Workers
from strait.server.workers.fleet import Ack, Task
from strait.server.workflow_cache import WorkflowCache, state_of
from strait.store import buffers, workflow_runs
from strait.store import runs as run_rows
from strait.store.ledger import Tails
from strait.store.workflow_runs import Stored
from strait.store.writer import Writer

ROOT = Path(__file__).parents[2]
# Of which what memory holds is looked at.
CHUNK = 15
# So many fit in a minute, all of them together; those of days have the rest of it.
PARTS, PART = 8, 9


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_a_promise(part: int) -> None:
    outcomes = [simulate(seed) for seed in range(part * PART, (part + 1) * PART)]
    assert {outcome.seed: outcome.faults for outcome in outcomes if outcome.faults} == {}
    # A story in which nothing happens would promise little.
    assert sum(outcome.runs for outcome in outcomes) > 5 * PART
    assert sum(outcome.starts for outcome in outcomes) > 2 * PART


@pytest.mark.parametrize("stories", ["work", "days"])
def test_a_seed_is_told_the_same_way_in_every_process(stories: str) -> None:
    def told(hash_seed: str) -> str:
        python_path = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))
        done = subprocess.run(
            [sys.executable, "-m", "simulation", "--stories", stories, "--show", "7"],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT / "tests",
            env={
                **os.environ,
                "PYTHONPATH": python_path,
                "PYTHONHASHSEED": hash_seed,
            },
        )
        return done.stdout

    first = told("1")
    assert first == told("2")
    assert len(first.splitlines()) > 50


def _forget_recovery(unit: Any, stored: Any) -> None:
    """A platform that does not look at what the last one left."""


def _forget_waits(unit: Any) -> None:
    """A platform that does not watch the waits that the last one opened."""


def _anybody_speaks(call: Any, db: Any, token_key: str) -> Any:
    """A platform that lets every dispatch of a run write, however old."""
    stored = run_rows.load(db, call.params["runID"])
    assert stored is not None
    return stored


def _nothing_is_closed(throttles: Any, uses: Any, now: int) -> None:
    """Throttles that let everything through."""


def _in_order(state: Any) -> Any:
    """A plan that undoes first what was done first."""
    found = compensation_plan(state)
    return replace(found, steps=tuple(reversed(found.steps)))


def _keep_batch(*_: Any) -> None:
    """A platform that does not take out of a batch what it has started."""


def _remember(platform: Any) -> None:
    """A platform that still believes what was undone."""


def _forget_undone(unit: Any, action: Any) -> None:
    """A platform that counts on every transaction to reach the disk."""


def _whoever_comes(queue: ReadyQueue, ticket: Ticket) -> bool:
    """A queue that lets each new run start at once."""
    queue._count(ticket)
    return True


def _at_once(dispatcher: Dispatcher, unit: Any, *made: Any) -> Any:
    """A platform that calls a handler before the disk has its run."""
    with patch.object(unit, "after", lambda action: action()):
        return start_new(dispatcher, unit, *made)


start_new = Dispatcher.start_new


def _only_as_it_was(dispatcher: Any, unit: Any, dispatch: Any, event: Any) -> None:
    """A platform that drops an answer where the run was changed since its start."""
    with suppress(run_rows.StaleWrite):
        runs.apply(unit, dispatch.stored, event)


def _forget_records(unit: Any, run_id: str, key: str, value: str) -> Any:
    """A platform that acknowledges records of steps and does not keep them."""
    row = set_state(unit, run_id, key, value)
    if key.startswith(STEP_PREFIX):
        records.delete_state(unit.db, run_id, key)
    return row


set_state = records.set_state


def _undo_nothing(unit: Any, run: Any) -> None:
    """A platform that leaves what failed for good as it is."""


def _undo_twice(unit: Any, run: Any) -> None:
    """A platform that undoes everything once more."""
    follow(unit, run)
    follow(unit, run)


def _undo_in_any_order(unit: Any, run: Any) -> None:
    """A platform that forgets in which order steps were recorded."""
    follow(unit, run)
    unit.db.execute(
        "UPDATE run_state SET updated_at = ? WHERE run_id IN "
        "(SELECT id FROM runs WHERE parent_run_id = ? AND doc ->> 'triggered_by' = 'undo')",
        (unit.stamp, run.id),
    )


follow = steps.follow


def _undo_all(run: Any) -> bool:
    """A platform that also undoes what went well."""
    return run.triggered_by != "undo"


def _a_second_early(unit: Any, text: str) -> str:
    """A platform that wakes runs before their time."""
    return to_timestamp(from_timestamp(text) - SECOND) if text else ""


def _keep_what_was_undone(unit: Any, run: Any) -> None:
    """A platform that has a dead letter go on where it was, although that was undone."""


def _tell_no_parent(unit: Any, child: Any, result: Any) -> None:
    """A platform that wakes a run when its child has ended, and does not tell how."""


def _follow_twice(unit: Any, run: Any, result: Any) -> None:
    """A platform that starts what follows a run once more."""
    follow_on(unit, run, result)
    follow_on(unit, run, result)


follow_on = chains.follow


async def _wait_for_nothing(writer: Any) -> None:
    """A platform that stops while it still starts runs."""


def _drop_what_came(unit: Any, trigger: Any) -> None:
    """A platform that wakes a run and does not tell it what has come."""


def _wake_nobody(unit: Any, trigger: Any) -> None:
    """A platform that takes events in and lets runs wait for them."""


def _keep_what_is_reported(unit: Any, worker_id: Any, in_flight: Any) -> results.Reconciled:
    """A platform that takes every worker at its word that comes back."""
    kept = [Task(told.assignment, told.run_id, told.attempt) for told in in_flight]
    return results.Reconciled(kept=kept)


def _wait_for_ever(workers: Workers, unit: Any, subject: str) -> None:
    """A platform that does not look after workers that are gone."""


def _lose_nothing(unit: Any, row: Any, *_: Any) -> None:
    """A platform that leaves with a worker what that has lost."""


async def _relieve_too_soon(workers: Workers, worker: Any, told: Any) -> None:
    """A platform that says to have a result before the disk has it."""
    if worker.stream is not None:
        worker.stream.send(Ack(told.assignment))
    await take_result(workers, worker, told)


take_result = Workers.result


async def _as_if_it_had_come(drains: LogDrains, drain: Any, state: Any, batch: Any) -> bool:
    """A drain that goes on behind lines that never arrived."""
    await deliver(drains, drain, state, batch)
    return True


deliver = LogDrains._deliver


async def _as_if_it_was_taken(courier: Courier, envelope: Any) -> Attempt:
    """A courier that takes every message for delivered."""
    await attempt(courier, envelope)
    return Attempt(200)


attempt = Courier._attempt


def _tell_nobody(unit: Any, run: Any, result: Any) -> None:
    """A platform that tells nobody how its runs have ended."""


@pytest.mark.parametrize(
    ("where", "name", "broken", "telling"),
    [
        (records, "set_state", _forget_records, 12),
        (steps, "follow", _undo_nothing, 12),
        (steps, "follow", _undo_twice, 23),
        (steps, "follow", _undo_in_any_order, 12),
        (undo, "may_need_undo", _undo_all, 12),
        (sdk_suspend, "_instant", _a_second_early, 12),
        (suspensions, "_keep", _drop_what_came, 3),
        (suspensions, "wait_settled", _wake_nobody, 12),
        (Unit, "if_undone", _forget_undone, 1),
        (ReadyQueue, "take", _whoever_comes, 12),
        (Dispatcher, "start_new", _at_once, 4),
        (Dispatcher, "_answered", _only_as_it_was, 12),
        (Platform, "_forget_caches", _remember, 0),
        (Throttles, "closed", _nothing_is_closed, 4),
        (compensation, "plan", _in_order, 16),
        (buffers, "drop_batch", _keep_batch, 12),
        (runs, "after_restart", _forget_recovery, 12),
        (events, "after_restart", _forget_waits, 12),
        (sdk, "writing", _anybody_speaks, 23),
        (steps, "begin_anew", _keep_what_was_undone, 12),
        (children, "keep_outcome", _tell_no_parent, 12),
        (Writer, "drain", _wait_for_nothing, 33),
        (chains, "follow", _follow_twice, 12),
        (LogDrains, "_deliver", _as_if_it_had_come, 12),
        (Courier, "_attempt", _as_if_it_was_taken, 12),
        (announce, "run_ended", _tell_nobody, 12),
        (results, "reconcile", _keep_what_is_reported, 27),
        (results, "lose", _lose_nothing, 33),
        (Workers, "due", _wait_for_ever, 2),
        (Workers, "result", _relieve_too_soon, 10),
    ],
)
def test_a_platform_that_forgets_is_found_out(
    where: Any, name: str, broken: Callable[..., Any], telling: int
) -> None:
    """The seed `telling` finds it; where the stories have changed, so that it does not, another."""
    with patch.object(where, name, broken):
        assert any(simulate(seed).faults for seed in (telling, *range(60)))


def test_what_memory_holds_is_what_the_database_has() -> None:
    """Nothing that is kept in memory to save a look differs from what the look would find."""
    state, of = WorkflowCache.state, Tails.of
    looks: list[bool] = []

    def compared_state(self: WorkflowCache, db: sqlite3.Connection, stored: Stored) -> State:
        found = state(self, db, stored)
        looks.append(found == state_of(db, stored))
        looks.append(workflow_runs.load(db, stored.run.id) == stored)
        return found

    def compared_tail(self: Tails, db: sqlite3.Connection, subject: str) -> int:
        found = of(self, db, subject)
        looks.append(found == of(Tails(), db, subject))
        return found

    with (
        patch.object(WorkflowCache, "state", compared_state),
        patch.object(Tails, "of", compared_tail),
    ):
        faults = [simulate(seed).faults for seed in range(CHUNK)]
    assert len(looks) > 20 * CHUNK
    assert all(looks)
    assert not any(faults)


def test_a_platform_that_answers_before_the_disk_has_it_is_found_out() -> None:
    finish = Writer._schedule

    def too_soon(self: Writer) -> None:
        for operation in self._batch:
            operation.settle()
        finish(self)

    with patch.object(Writer, "_schedule", too_soon):
        assert any(simulate(seed).faults for seed in range(60))

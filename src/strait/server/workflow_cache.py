"""Workflow runs that are under way, in memory: an event of one reads nothing but what is new.

The server owns its database, so what it has written last is what is there. Everything is forgotten
when something was undone, and read again from the database.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from strait.engine.workflows.state import State, Steps
from strait.store import workflow_runs, workflows
from strait.store.workflow_runs import Stored

# A step takes about a kilobyte with its texts; what goes beyond this is read when it is needed.
_MOST_STEPS = 20_000
_MOST_SNAPSHOTS = 256


class Known(NamedTuple):
    """A workflow run as its row has it, and with all that belongs to it."""

    stored: Stored
    state: State


class WorkflowCache:
    """The runs that moved last, at most `most_steps` steps of them."""

    def __init__(self, most_steps: int = _MOST_STEPS) -> None:
        self._most_steps = most_steps
        self._runs: dict[str, Known] = {}
        self._steps = 0
        self._snapshots: dict[str, Steps] = {}

    def __contains__(self, run_id: object) -> bool:
        """Whether a run needs no reading."""
        return run_id in self._runs

    def load(self, db: sqlite3.Connection, run_id: str) -> Stored | None:
        """Return a workflow run, or None; `db` is the writer's connection, here and below."""
        known = self._runs.get(run_id)
        return workflow_runs.load(db, run_id) if known is None else known.stored

    def state(self, db: sqlite3.Connection, stored: Stored) -> State:
        """Return a workflow run with all that belongs to it."""
        known = self._runs.get(stored.run.id)
        if known is not None and known.stored.revision == stored.revision:
            return known.state
        return state_of(db, stored, self.snapshot(db, stored.snapshot_id))

    def snapshot(self, db: sqlite3.Connection, snapshot_id: str) -> Steps:
        """Return the steps that a run follows; a snapshot never changes."""
        found = self._snapshots.get(snapshot_id)
        if found is None:
            found = Steps(workflows.snapshot_steps(db, snapshot_id))
            if len(self._snapshots) >= _MOST_SNAPSHOTS:
                self._snapshots.clear()
            self._snapshots[snapshot_id] = found
        return found

    def put(self, stored: Stored, state: State) -> None:
        """Remember what a run has just become; one that is over is forgotten."""
        self._drop(stored.run.id)
        if stored.run.status not in workflow_runs.ACTIVE:
            return
        self._runs[stored.run.id] = Known(stored, state)
        self._steps += len(state.step_runs)
        while self._steps > self._most_steps:
            self._drop(next(iter(self._runs)))

    def forget(self) -> None:
        """Forget everything."""
        self._runs.clear()
        self._snapshots.clear()
        self._steps = 0

    def _drop(self, run_id: str) -> None:
        known = self._runs.pop(run_id, None)
        if known is not None:
            self._steps -= len(known.state.step_runs)


def state_of(db: sqlite3.Connection, stored: Stored, steps: Steps | None = None) -> State:
    """Read a workflow run with all that belongs to it; `steps` are those of its snapshot."""
    run_id = stored.run.id
    return State(
        stored.run,
        Steps(workflows.snapshot_steps(db, stored.snapshot_id)) if steps is None else steps,
        {step.step_ref: step for step in workflow_runs.steps(db, run_id)},
        workflow_runs.approvals(db, run_id),
    )

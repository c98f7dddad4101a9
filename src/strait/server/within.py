"""What of a project belongs to one environment, for keys that are bound to it.

Jobs name their environment, and what is made of a job is where the job is. Workflows name none: one
is within an environment when all that it can start is, its sub-workflows' jobs and what undoes them
too. One that was not would be a way around the key's bounds.
"""

from __future__ import annotations

import sqlite3

from msgspec import json

from strait.engine.model import EventTrigger, StepDefinition
from strait.server.work import environments
from strait.store import records, workflows

OF_JOBS = "SELECT id FROM jobs WHERE doc ->> '$.environment_id' = ?"
"""The query for the ids of the jobs of an environment."""

LISTED = "SELECT value FROM json_each(?)"
"""The query for the ids that `workflows_of` has listed."""


def job(db: sqlite3.Connection, job_id: str, environment_id: str) -> bool:
    """Say whether a job is of an environment."""
    row = db.execute("SELECT doc ->> '$.environment_id' FROM jobs WHERE id = ?", (job_id,))
    return (row.fetchone() or (None,))[0] == environment_id


def run(db: sqlite3.Connection, run_id: str, environment_id: str) -> bool:
    """Say whether a run is of a job of an environment."""
    row = db.execute("SELECT job_id FROM runs WHERE id = ?", (run_id,)).fetchone()
    return row is not None and job(db, row[0], environment_id)


def workflow(db: sqlite3.Connection, workflow_id: str, environment_id: str) -> bool:
    """Say whether a workflow starts nothing but jobs of an environment."""
    seen: set[str] = set()
    to_look_at = [workflow_id]
    while to_look_at:
        found = workflows.get(db, to_look_at.pop())
        if found is None or found.id in seen:
            continue
        seen.add(found.id)
        for step in workflows.steps(db, found):
            if not all(job(db, each, environment_id) for each in _jobs(step)):
                return False
            if step.sub_workflow_id:
                to_look_at.append(step.sub_workflow_id)
    return True


def workflow_run(db: sqlite3.Connection, run_id: str, environment_id: str) -> bool:
    """Say whether a run is of a workflow within an environment."""
    row = db.execute("SELECT workflow_id FROM workflow_runs WHERE id = ?", (run_id,)).fetchone()
    return row is not None and workflow(db, row[0], environment_id)


def trigger(db: sqlite3.Connection, waiting: EventTrigger, environment_id: str) -> bool:
    """Say whether who waits for an event is within an environment."""
    if waiting.job_run_id:
        return run(db, waiting.job_run_id, environment_id)
    return workflow_run(db, waiting.workflow_run_id, environment_id)


def workflows_of(db: sqlite3.Connection, project_id: str, environment_id: str) -> str:
    """Return the ids of a project's workflows within an environment, as JSON for `LISTED`.

    This reads every workflow of the project, so it belongs where a query may take a while.
    """
    rows = db.execute("SELECT id FROM workflows WHERE project_id = ?", (project_id,))
    ids = [found for (found,) in rows.fetchall() if workflow(db, found, environment_id)]
    return json.encode(ids).decode()


def names(db: sqlite3.Connection, environment_id: str) -> frozenset[str]:
    """Return what an environment may be called where it is named freely: its id, slug and name."""
    found = records.get(db, environments.ENVIRONMENT, environment_id)
    named = () if found is None else (found.fields["slug"], found.fields["name"])
    return frozenset({environment_id, *map(str, named)})


def _jobs(step: StepDefinition) -> list[str]:
    return [each for each in (step.job_id, step.compensation_job_id) if each]

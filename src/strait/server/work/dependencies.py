"""Whether the runs of other jobs have ended that a run waits for (`contract/runs.md` §6.10)."""

from __future__ import annotations

from strait.engine.model import Run
from strait.server.unit import Unit
from strait.store import dependencies

# Not `canceled`: whoever cancels a run does not mean that what handles failures should start.
_FAILED = frozenset({"failed", "timed_out", "crashed", "system_failed", "expired", "dead_letter"})


def are_satisfied(unit: Unit, run: Run) -> bool:
    """Return whether all that a run waits for has ended as it asks."""
    return all(
        _fits(dependency.condition, _outcome(unit, dependency, run))
        for dependency in dependencies.of_job(unit.db, run.job_id)
    )


def _outcome(unit: Unit, dependency: dependencies.Dependency, run: Run) -> str:
    return dependencies.newest_outcome(unit.db, dependency.depends_on_job_id, run)


def _fits(condition: str, outcome: str) -> bool:
    match condition:
        case "completed":
            return outcome == "completed"
        case "failed":
            return outcome in _FAILED
        case _:
            return bool(outcome)

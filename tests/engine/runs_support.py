"""Runs in any state, made by the engine itself, for the tests of its decisions."""

from __future__ import annotations

from msgspec.structs import replace

from strait.clock import SECOND
from strait.engine import runs
from strait.engine.admission import Request, admit
from strait.engine.model import Job
from strait.engine.outcomes import Erred, Succeeded
from strait.engine.runs import State, Transition

T0 = 1_767_225_600 * SECOND
MIDDLE = 0.5  # the random number that leaves a delay as it is


def job(**changes: object) -> Job:
    made = Job(
        id="job-1",
        project_id="p1",
        name="Job",
        slug="job",
        created_at="2026-01-01T00:00:00.000000Z",
        updated_at="2026-01-01T00:00:00.000000Z",
        endpoint_url="http://127.0.0.1:1/",
        max_attempts=3,
        timeout_secs=30,
        enabled=True,
        paused=False,
        version=1,
        retry_priority_boost=1,
        execution_mode="http",
    )
    return replace(made, **changes)


def queued(of: Job | None = None, **request: object) -> State:
    asked = Request(triggered_by="manual", created_by="apikey:1", **request)
    return admit(of or job(), asked, "run-1", T0)[0]


def executing(of: Job | None = None, *, attempt: int = 1, **request: object) -> State:
    state = queued(of, **request)
    if attempt > 1:
        state = replace(state, run=replace(state.run, attempt=attempt))
    return take(state, runs.Dispatched(f"1.{attempt}", 30)).state


def take(state: State, event: runs.Event, at_secs: float = 0) -> Transition:
    """Let a run take an event that it must take."""
    transition = runs.decide(state, event, T0 + round(at_secs * SECOND))
    assert transition is not None, f"{event} does not concern a run that is {state.run.status}"
    return transition


def answered(
    state: State, outcome: Succeeded | Erred, of: Job | None = None, rand: float = MIDDLE
) -> runs.Answered:
    return runs.Answered(state.assignment, outcome, of or job(), rand)


def erred(
    state: State, error_class: str = "server", of: Job | None = None, **more: object
) -> runs.Answered:
    return answered(state, Erred("endpoint returned 500", error_class, **more), of)

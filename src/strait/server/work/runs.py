"""Carrying out decisions over runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from strait.engine import admission
from strait.engine import runs as engine
from strait.engine.entries import Entry
from strait.engine.model import Job, Run
from strait.engine.undo import UNDO
from strait.server.errors import not_found
from strait.server.unit import RunEnded, Unit
from strait.server.work import dependencies, throttles
from strait.store import runs

logger = logging.getLogger("strait.server")


def create(
    unit: Unit, job: Job, request: admission.Request, payload: str | None, *, run_id: str = ""
) -> Run:
    """Put a new run of a job into the queue, under an id that is known already or a new one."""
    made = _admitted(unit, job, request, payload, run_id)
    started = unit.platform.dispatcher.start_new(unit, made.state, payload)
    if started is None:
        _begin(unit, job, [made])
    else:
        _begin_started(unit, job, made, started)
    return made.state.run


def create_all(unit: Unit, job: Job, wanted: Sequence[tuple[admission.Request, str]]) -> list[Run]:
    """Put many new runs of a job into the queue, in their order."""
    made = [_admitted(unit, job, request, payload, "") for request, payload in wanted]
    if made:
        _begin(unit, job, made)
    return [one.state.run for one in made]


class _Made(NamedTuple):
    state: engine.State
    payload: str | None
    entries: tuple[Entry, ...]


def _admitted(
    unit: Unit, job: Job, request: admission.Request, payload: str | None, run_id: str
) -> _Made:
    now = unit.tick()
    if job.throttles and (keys := throttles.keys_of(unit, job, payload)):
        request = replace(request, metadata={**request.metadata, **keys})
    state, entries = admission.admit(job, request, run_id or unit.new_id(), now)
    entry = unit.platform.jobs.get(unit.db, job.id)
    waits = entry is not None and entry.waits and request.triggered_by != UNDO
    if waits and not dependencies.are_satisfied(unit, state.run):
        state, entries = admission.held(state)
    return _Made(state, payload, entries)


def _begin(unit: Unit, job: Job, made: Sequence[_Made]) -> None:
    _insert(unit, job, made)
    _log_made(unit, [state.run for state, *_ in made])
    scheduler = unit.platform.scheduler
    unit.after(lambda: scheduler.observe_new([state for state, *_ in made]))


def _begin_started(unit: Unit, job: Job, made: _Made, started: engine.Transition) -> None:
    """Write a run and its start at once, without a queued row that nobody would see."""
    _insert(unit, job, [_Made(started.state, made.payload, made.entries + started.entries)])
    _log_made(unit, [made.state.run])
    _log(unit, made.state.run.status, started)
    scheduler, queued = unit.platform.scheduler, made.state.run
    unit.after(lambda: scheduler.observe_started(queued, started.state))


def _insert(unit: Unit, job: Job, made: Sequence[_Made]) -> None:
    runs.insert(unit.db, [(state, payload) for state, payload, _ in made])
    histories = [(state.run.id, state.run.created_at, entries) for state, _, entries in made]
    unit.record_new(job.project_id, histories)


def load(unit: Unit, project_id: str, run_id: str) -> runs.Stored:
    """Return a run of a project.

    Raises:
        ApiError: 404.
    """
    stored = runs.load(unit.db, run_id)
    if stored is None or stored.run.project_id != project_id:
        raise not_found("run")
    return stored


def apply(unit: Unit, stored: runs.Stored, event: engine.Event) -> engine.Transition | None:
    """Let a run take an event, and save what it becomes.

    Raises:
        Refused: the event is a request, and the run is in no state for it.
        StaleWrite: the run was changed since it was read.
    """
    transition = engine.decide(stored.state, event, unit.now)
    if transition is None:
        return None
    runs.save(unit.db, stored, transition.state, result=transition.result)
    _log(unit, stored.run.status, transition)
    unit.record(transition.run.id, transition.run.project_id, transition.entries)
    scheduler, state, abort = unit.platform.scheduler, transition.state, transition.abort
    unit.after(lambda: scheduler.observe(state, abort=abort))
    if transition.ended:
        unit.signal(RunEnded(transition.run, transition.result))
    return transition


def _log_made(unit: Unit, made: list[Run]) -> None:
    """Have a line logged for each new run once it is on disk."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    for run in made:
        fields = {"run_id": run.id, "project_id": run.project_id}
        text = "run was made, %s, by %s"
        unit.after(partial(logger.debug, text, run.status, run.triggered_by, extra=fields))


def _log(unit: Unit, before: str, transition: engine.Transition) -> None:
    """Have a line logged once a change is on disk, without what the handler said."""
    if not logger.isEnabledFor(logging.INFO):
        return
    went_wrong = any(entry.level in {"warn", "error"} for entry in transition.entries)
    level = logging.INFO if went_wrong else logging.DEBUG
    if logger.isEnabledFor(level):
        run = transition.run
        fields = {"run_id": run.id, "project_id": run.project_id}
        reason = f" ({run.error_class})" if run.error_class else ""
        told = (before, run.status, run.attempt, reason)
        text = "run went from %s to %s in attempt %d%s"
        unit.after(lambda: logger.log(level, text, *told, extra=fields))


def apply_by_id(unit: Unit, run_id: str, event: engine.Event) -> engine.Transition | None:
    """Let a run take an event; a run that is gone takes none."""
    stored = runs.load(unit.db, run_id)
    return None if stored is None else apply(unit, stored, event)


def after_restart(unit: Unit, stored: runs.Stored) -> None:
    """Bring a run that was not over when the last server ended into the new one's care."""
    reason = "the server that dispatched it is gone"
    if apply(unit, stored, engine.Recovered(reason)) is not None:
        return
    # The time in which no server ran does not count as waiting.
    state = engine.renewed(stored.state, unit.now)
    if state is not stored.state:
        runs.save(unit.db, stored, state)
    scheduler = unit.platform.scheduler
    unit.after(lambda: scheduler.observe(state))

"""What a dispatch is made of, whether an endpoint is called with it or a worker is handed it."""

from __future__ import annotations

from typing import NamedTuple

from strait.clock import SECOND, from_timestamp
from strait.engine import runs as engine
from strait.engine.model import Job, Run
from strait.engine.queue import Ticket
from strait.engine.undo import UNDO
from strait.reserved import UNDO_HEADER, UNDO_OF_HEADER
from strait.server import signing_headers, tokens
from strait.server.development import TOKEN_SECS
from strait.server.jobs_cache import JobEntry
from strait.server.outbound import Header
from strait.server.unit import Unit
from strait.server.work import records, runs, throttles
from strait.store import runs as run_rows

_CHECKPOINT_HEADER_BYTES = 65_536


class Dispatch(NamedTuple):
    """All that is needed to call a handler once.

    Attributes:
        stored: the run, which executes, as it is on disk.
        entry: the job that it follows.
        assignment: the id of this dispatch.
        payload: the JSON text of the run's payload.
        headers: what goes along with it, the run's token among them.
        timeout_secs: how long the attempt may take.
    """

    stored: run_rows.Stored
    entry: JobEntry
    assignment: str
    payload: bytes
    headers: tuple[Header, ...]
    timeout_secs: int

    @property
    def run(self) -> Run:
        """The run, as it was when it was dispatched."""
        return self.stored.run

    @property
    def job(self) -> Job:
        """The definition that the run follows."""
        return self.entry.job


class Startable(NamedTuple):
    """A run that is still queued, the JSON text of its payload, and the job that it follows."""

    stored: run_rows.Stored
    payload: str | None
    entry: JobEntry


def startable(unit: Unit, run_id: str) -> Startable | None:
    """Return a run if it may still start; that of a job which is gone is canceled.

    One that was to be dispatched by some instant expires once that is over, also when no server
    ran then: whoever gave it so much time does not want it any more.
    """
    found = run_rows.load_to_start(unit.db, run_id)
    if found is None or found[0].run.status != "queued":
        return None
    stored, payload = found
    entry = unit.platform.jobs.for_run(unit.db, stored.run)
    if entry is None:
        runs.apply(unit, stored, engine.Canceled("its job was deleted"))
        return None
    if not stored.state.assignment and runs.apply(unit, stored, engine.Expired()) is not None:
        return None
    return Startable(stored, payload, entry)


def start(unit: Unit, ticket: Ticket, found: Startable, timeout_secs: int) -> Dispatch | None:
    """Write that a run executes under a new assignment, and return what to call its handler with.

    Whoever calls it hands the dispatch over once the transaction is on disk.
    """
    stored, payload, entry = found
    assignment = unit.platform.new_assignment()
    transition = runs.apply(unit, stored, engine.Dispatched(assignment, timeout_secs))
    if transition is None:
        return None
    throttles.started(unit, ticket)
    if not stored.state.assignment:
        _count_wait(unit, transition.run)
    now_stored = run_rows.Stored(transition.state, stored.revision + 1)
    return _dispatch(unit, now_stored, payload, entry, timeout_secs, stored.run.error)


def start_new(
    unit: Unit, state: engine.State, payload: str | None, entry: JobEntry, timeout_secs: int
) -> tuple[engine.Transition, Dispatch]:
    """Return how a queued run starts that is not written yet, and what to call its handler with."""
    event = engine.Dispatched(unit.platform.new_assignment(), timeout_secs)
    transition = engine.decide(state, event, unit.now)
    assert transition is not None  # it is queued
    _count_wait(unit, transition.run)
    stored = run_rows.Stored(transition.state, 0)
    return transition, _dispatch(unit, stored, payload, entry, timeout_secs, "")


def _dispatch(
    unit: Unit,
    stored: run_rows.Stored,
    payload: str | None,
    entry: JobEntry,
    timeout_secs: int,
    last_error: str,
) -> Dispatch:
    assignment = stored.state.assignment
    headers = _headers(unit, stored.run, entry, assignment, timeout_secs, last_error)
    body = (payload or "{}").encode()
    if entry.signing_secret:
        headers += signing_headers.signature(entry.signing_secret, body, unit.now)
    return Dispatch(stored, entry, assignment, body, tuple(headers), timeout_secs)


def _count_wait(unit: Unit, run: Run) -> None:
    might_start = from_timestamp(run.scheduled_at or run.created_at)
    waited = max(0, unit.platform.clock.now() - might_start)
    unit.platform.figures.dispatch_secs.observe(waited / SECOND)


def _headers(
    unit: Unit, run: Run, entry: JobEntry, assignment: str, timeout_secs: int, last_error: str
) -> list[Header]:
    platform = unit.platform
    token = tokens.issue(
        platform.token_key,
        tokens.RunToken(run.id, run.attempt, assignment),
        now=unit.now,
        timeout_secs=(
            timeout_secs if platform.development is None else max(timeout_secs, TOKEN_SECS)
        ),
    )
    headers: list[Header] = [
        (b"X-Run-ID", run.id.encode()),
        (b"X-Job-ID", run.job_id.encode()),
        (b"X-Attempt", str(run.attempt).encode()),
        (b"X-Run-Token", token.encode()),
        (UNDO_HEADER.encode(), b"server"),
        (b"X-Strait-Timeout-Secs", str(timeout_secs).encode()),
    ]
    headers += entry.secrets
    headers += signing_headers.trace(run.metadata)
    if last_error and run.attempt > 1:
        headers.append((b"X-Previous-Error", signing_headers.header_text(last_error)))
    headers += _checkpoint_headers(unit, run)
    if run.triggered_by == UNDO:
        headers.append((UNDO_OF_HEADER.encode(), run.parent_run_id.encode()))
    return headers


def _checkpoint_headers(unit: Unit, run: Run) -> list[Header]:
    if run.attempt == 1:
        # A run that was woken finds what it waited for in its state.
        return []
    last = records.last_checkpoint(unit.db, run.id)
    if last is None or len(bytes(last.state)) > _CHECKPOINT_HEADER_BYTES:
        return []
    return [
        (b"X-Last-Checkpoint", signing_headers.json_header(bytes(last.state))),
        (b"X-Checkpoint-At", last.created_at.encode()),
    ]

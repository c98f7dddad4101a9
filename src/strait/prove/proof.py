"""A whole proof: plan, processes, drill and verdict, in a directory of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from strait.client import Client
from strait.models import JobRun
from strait.prove import verdict as books_of
from strait.prove.drill import Drill, Record
from strait.prove.plan import Plan
from strait.prove.processes import DATABASE, LEDGER, WITNESS, Platform, Provider
from strait.prove.sleep import Slept, three_days
from strait.prove.verdict import Books, RunBook, Verdict, judge
from strait.prove.witness import lines_of

_READERS = 4
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of a proof.

    Attributes:
        plan: what was to happen.
        record: what was seen from outside while it did.
        verdict: what the books say.
        slept: what became of the sleep.
        starts: how often the platform was started.
        slowest_start_secs: how long the slowest start took.
        took_secs: how long all of it took.
    """

    plan: Plan
    record: Record
    verdict: Verdict
    slept: Slept
    starts: int
    slowest_start_secs: float
    took_secs: float

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def faults(self) -> list[str]:
        """What must not be, in words."""
        found = [*self.verdict.faults, *self.slept.faults]
        if self.record.parked_at_deploy != len(self.plan.parked):
            found.append(
                f"version 2 met {self.record.parked_at_deploy} parked orders, "
                f"not {len(self.plan.parked)}"
            )
        if self.record.held != len(self.plan.early):
            found.append(
                f"of {len(self.plan.early)} events that came early, {self.record.held} were held"
            )
        return found


def prove(plan: Plan, directory: Path, tell: Callable[[float, str], None]) -> Proof:
    """Carry out a plan and judge what came of it.

    Every process that it starts has ended when this returns or raises.

    Args:
        plan: what is to happen.
        directory: an empty one, for all files.
        tell: is told how far it is, from 0 to 1, and what has just happened.

    Raises:
        ProofError: it cannot go on.
    """
    began = time.monotonic()
    tell(0.0, "a run sleeps for three days, under a virtual clock")
    slept = three_days()
    provider = Provider(directory)
    try:
        platform = Platform(directory, provider.url)
        try:
            platform.deploy("v1")
            platform.start()
            tell(0.0, f"the platform runs; {len(plan.orders):,} orders are on their way")
            record = Drill(plan, platform, tell).run()
            tell(1.0, "the books are compared")
            with platform.client() as client:
                runs = _runs(client)
        finally:
            platform.stop()
    finally:
        provider.stop()
    charges, requests = books_of.ledger(directory / LEDGER)
    lines = tuple(lines_of(directory / WITNESS))
    books = Books(
        record.acknowledged, runs, charges, requests, lines, after_deploy=record.after_deploy
    )
    verdict = judge(plan, books)
    verdict.faults += books_of.broken_pages(directory / DATABASE)
    took = time.monotonic() - began
    return Proof(plan, record, verdict, slept, platform.starts, platform.slowest_start_secs, took)


def _runs(client: Client) -> tuple[RunBook, ...]:
    """Return what the platform says of all runs."""
    runs = list(client.runs.list(limit=_PAGE))
    with ThreadPoolExecutor(_READERS) as readers:
        return tuple(readers.map(partial(_book, client), runs))


def _book(client: Client, run: JobRun) -> RunBook:
    steps = {
        step.name: round(step.finished_at.timestamp() * 1_000_000)
        for step in client.runs.list_steps(run.id, limit=_PAGE)
        if step.finished_at is not None
    }
    payload = run.payload if isinstance(run.payload, dict) else {}
    order_id = str(payload.get("id", ""))
    return RunBook(run.id, order_id, run.status, run.result, run.error or "", steps)

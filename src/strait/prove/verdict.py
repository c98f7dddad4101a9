"""What a proof has shown: the books of the platform held against those of the provider."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strait import Client
from strait.clock import Timestamp, to_timestamp
from strait.prove.drill import Record
from strait.prove.plan import Plan


@dataclass(frozen=True, slots=True)
class Call:
    """A step that was begun, as the provider saw it."""

    key: str
    run_id: str
    step: str
    at: Timestamp


@dataclass(slots=True)
class Verdict:
    """The figures of a proof.

    Attributes:
        acknowledged: triggers that were acknowledged.
        runs: runs that came to their one end.
        charges: charges in the provider's ledger.
        completed: runs that completed.
        mismatches: the steps, with their lines, that were stopped because a recorded step was
            asked with other arguments; by order.
        steps: steps that were recorded.
        begun: steps that were begun, as the provider counts them.
        faults: what must not be, in words; empty if all is well.
    """

    acknowledged: int = 0
    runs: int = 0
    charges: int = 0
    completed: int = 0
    mismatches: dict[str, str] = field(default_factory=dict)
    steps: int = 0
    begun: int = 0
    recorded_again: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def unrecorded_again(self) -> int:
        """How often a step was begun again whose result had not been recorded yet."""
        return self.begun - self.steps - len(self.recorded_again)


def judge(plan: Plan, record: Record, client: Client, ledger: Path) -> Verdict:
    """Hold the two books against each other.

    Args:
        plan: what was to happen.
        record: what was seen from outside.
        client: a client of the platform.
        ledger: the provider's ledger.
    """
    calls, charges = _ledger(ledger)
    verdict = Verdict(acknowledged=len(record.acknowledged), charges=len(charges), begun=len(calls))
    runs = {run.id: run for run in client.runs.list(limit=100)}
    verdict.runs = sum(run.finished_at is not None for run in runs.values())
    verdict.completed = sum(run.status == "completed" for run in runs.values())
    mistaken = {order.id for order in plan.mistakes}
    for order_id, run_id in record.acknowledged.items():
        run = runs.get(run_id)
        if run is None:
            verdict.faults.append(f"order {order_id}: its acknowledged run {run_id} is lost")
        elif order_id in mistaken:
            _mistake(verdict, order_id, run.status, run.error or "")
        elif run.status != "completed":
            verdict.faults.append(
                f"order {order_id}: its run {run_id} is {run.status}: {run.error or 'no error'}"
            )
    _recorded(verdict, client, runs, calls)
    _money(verdict, record, charges)
    return verdict


def _mistake(verdict: Verdict, order_id: str, status: str, error: str) -> None:
    """Note that an order was stopped at the step that version 2 asks wrongly, by its name."""
    if status == "completed" or "price" not in error:
        verdict.faults.append(
            f"order {order_id}: a recorded step was asked with another list, and the run is "
            f"{status}: {error or 'no error'}"
        )
    else:
        verdict.mismatches[order_id] = error


def _recorded(verdict: Verdict, client: Client, runs: Iterable[str], calls: Iterable[Call]) -> None:
    """Find the steps that were begun after their result was on record."""
    by_key: dict[str, list[Call]] = {}
    for call in calls:
        by_key.setdefault(call.key, []).append(call)
    for run_id in runs:
        for step in client.runs.list_steps(run_id, limit=100):
            verdict.steps += 1
            again = [
                call
                for call in by_key.get(step.idempotency_key, ())
                if step.finished_at is not None and call.at > _text(step.finished_at)
            ]
            verdict.recorded_again += [f"{call.step} of run {run_id}" for call in again]
    verdict.faults += [f"recorded step begun again: {what}" for what in verdict.recorded_again]


def _money(verdict: Verdict, record: Record, charges: Iterable[str]) -> None:
    charged = Counter(charges)
    for order_id in record.acknowledged:
        if charged[order_id] != 1:
            verdict.faults.append(f"order {order_id}: charged {charged[order_id]} times")
    for order_id in charged.keys() - record.acknowledged.keys():
        verdict.faults.append(f"order {order_id}: charged and never acknowledged")


def _ledger(path: Path) -> tuple[list[Call], list[str]]:
    db = sqlite3.connect(path)
    try:
        calls = [Call(*row) for row in db.execute("SELECT key, run_id, step, at FROM calls")]
        charges = [str(order) for (order,) in db.execute("SELECT order_id FROM charges")]
    finally:
        db.close()
    return calls, charges


def _text(instant: Any) -> Timestamp:
    """Return an instant as the ledger writes it, so that the two compare."""
    return to_timestamp(round(instant.timestamp() * 1_000_000))

"""What a proof has shown: the books of the platform, the provider and the witness, side by side."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from strait.prove.plan import Order, Plan
from strait.prove.witness import BEGAN, Line

_MISMATCH = re.compile(r"StepMismatch|is asked with other arguments than those it is recorded for")
# The step that a mistake of version 2 meets.
_MISTAKEN_STEP = "price"
# The step that version 2 inserts.
_INSERTED_STEP = "screen"


@dataclass(frozen=True, slots=True)
class RunBook:
    """What the platform says of a run.

    Attributes:
        id: the run.
        order_id: of its payload.
        status: how it ended, or where it stands.
        result: its result.
        error: its error; empty for none.
        steps: when each step that it has on record was over, by name; unix time in microseconds.
    """

    id: str
    order_id: str
    status: str
    result: object = None
    error: str = ""
    steps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge in the provider's ledger."""

    key: str
    order_id: str
    cents: int


@dataclass(frozen=True, slots=True)
class Books:
    """All that is to be compared.

    Attributes:
        acknowledged: the run of each order whose trigger was acknowledged.
        runs: all runs that the platform has.
        charges: all charges of the provider.
        requests: how often the provider was asked for a charge.
        lines: what the witness saw.
        after_deploy: orders that were triggered under version 2.
    """

    acknowledged: Mapping[str, str]
    runs: tuple[RunBook, ...]
    charges: tuple[Charge, ...]
    requests: int
    lines: tuple[Line, ...]
    after_deploy: frozenset[str] = frozenset()


@dataclass(slots=True)
class Verdict:
    """The figures of a proof.

    Attributes:
        acknowledged: triggers that were acknowledged.
        runs: runs that came to their end: completed, or stopped at a mismatch that was planned.
        charges: charges in the provider's ledger.
        completed: the runs of `runs` that completed.
        steps: steps on record.
        begun: how often a step was begun.
        recorded_again: steps that were begun though they were on record, in words.
        unrecorded_again: how often a step was begun again that was not on record yet, because a
            process died between its effect and its record.
        charges_asked_again: how often the provider was asked again for a charge that it had made.
        mismatches: by order, what its run was stopped with: step, line and reason.
        screened: orders that came to the step that version 2 inserts.
        faults: what must not be, in words; empty if all is well.
    """

    acknowledged: int = 0
    runs: int = 0
    charges: int = 0
    completed: int = 0
    steps: int = 0
    begun: int = 0
    recorded_again: list[str] = field(default_factory=list)
    unrecorded_again: int = 0
    charges_asked_again: int = 0
    mismatches: dict[str, str] = field(default_factory=dict)
    screened: int = 0
    faults: list[str] = field(default_factory=list)


def judge(plan: Plan, books: Books) -> Verdict:
    """Hold the books against each other, and against what was planned."""
    verdict = Verdict(
        acknowledged=len(books.acknowledged),
        charges=len(books.charges),
        charges_asked_again=books.requests - len(books.charges),
        screened=sum(_INSERTED_STEP in run.steps for run in books.runs),
        steps=sum(len(run.steps) for run in books.runs),
    )
    _runs(verdict, plan, books)
    _steps(verdict, books)
    _versions(verdict, plan, books)
    _money(verdict, plan, books)
    return verdict


def _runs(verdict: Verdict, plan: Plan, books: Books) -> None:
    """Look for the run of each order: there, alone, and ended as it should."""
    runs = {run.id: run for run in books.runs}
    for order in plan.orders:
        run_id = books.acknowledged.get(order.id)
        if run_id is None:
            verdict.faults.append(f"order {order.id}: its trigger was never acknowledged")
        elif run_id not in runs:
            verdict.faults.append(f"order {order.id}: its acknowledged run {run_id} is lost")
        else:
            _end(verdict, order, runs[run_id])
    for run_id in sorted(runs.keys() - set(books.acknowledged.values())):
        run = runs[run_id]
        verdict.faults.append(
            f"order {run.order_id}: has a run {run_id} that nobody was told of ({run.status})"
        )


def _end(verdict: Verdict, order: Order, run: RunBook) -> None:
    said = f"{run.status}: {run.error or 'no error'}"
    if order.mistake:
        names = _MISMATCH.search(run.error) and f"`{_MISTAKEN_STEP}`" in run.error
        if run.status == "completed" or not names:
            verdict.faults.append(
                f"order {order.id}: version 2 asked its recorded step `{_MISTAKEN_STEP}` with "
                f"another list, and run {run.id} is {said}"
            )
            return
        verdict.mismatches[order.id] = run.error
        verdict.runs += 1
        return
    if run.status != "completed":
        verdict.faults.append(f"order {order.id}: its run {run.id} is {said}")
        return
    verdict.runs += 1
    verdict.completed += 1
    if run.result != (right := receipt_of(order)):
        verdict.faults.append(
            f"order {order.id}: run {run.id} has the result {run.result!r}, not {right!r}"
        )


def receipt_of(order: Order) -> str:
    """Return the receipt that an order must end with."""
    packed = ", ".join(f"packed {item}" for item in order.items)
    return f"{order.id}: {order.cents} cents, {packed}"


def _steps(verdict: Verdict, books: Books) -> None:
    """Find the steps that were begun after they were on record.

    From two sides: after the instant that the platform's record gives, and after the step's result
    had come back to the handler, which the witness saw. The second holds even if a record that was
    acknowledged were lost.
    """
    begun: dict[tuple[str, str], list[int]] = defaultdict(list)
    kept: dict[tuple[str, str], int] = {}
    for line in books.lines:
        where = (line.run_id, line.step)
        if line.what == BEGAN:
            begun[where].append(line.at_us)
        else:
            kept[where] = min(line.at_us, kept.get(where, line.at_us))
    recorded = {(run.id, step): at for run in books.runs for step, at in run.steps.items()}
    verdict.begun = sum(map(len, begun.values()))
    for where, moments in begun.items():
        known = [at for at in (recorded.get(where), kept.get(where)) if at is not None]
        late = [at for at in moments if known and at > min(known)]
        run_id, step = where
        if late:
            verdict.recorded_again += [f"step `{step}` of run {run_id}"] * len(late)
        verdict.unrecorded_again += max(0, len(moments) - len(late) - 1)
    for where in sorted(kept.keys() - recorded.keys()):
        verdict.faults.append(
            f"step `{where[1]}` of run {where[0]} has returned and is not on record"
        )
    for where in sorted(recorded.keys() - begun.keys()):
        verdict.faults.append(
            f"step `{where[1]}` of run {where[0]} is on record and was never begun"
        )
    verdict.faults += [f"{what} was begun again after it was recorded" for what in
                       verdict.recorded_again]  # fmt: skip


def _versions(verdict: Verdict, plan: Plan, books: Books) -> None:
    """See that the step that version 2 inserts is for those orders that it is for."""
    runs = {run.id: run for run in books.runs}
    for order in plan.orders:
        run = runs.get(books.acknowledged.get(order.id, ""))
        if run is None:
            continue
        if order.parked and _INSERTED_STEP in run.steps:
            verdict.faults.append(
                f"order {order.id}: run {run.id} was parked before step `{_INSERTED_STEP}` was "
                "inserted, and has it"
            )
        if order.id in books.after_deploy and _INSERTED_STEP not in run.steps:
            verdict.faults.append(
                f"order {order.id}: run {run.id} began after step `{_INSERTED_STEP}` was "
                "inserted, and does not have it"
            )


def _money(verdict: Verdict, plan: Plan, books: Books) -> None:
    charged = Counter(charge.order_id for charge in books.charges)
    for order in plan.orders:
        if charged[order.id] != 1:
            verdict.faults.append(f"order {order.id}: was charged {charged[order.id]} times")
    prices = {order.id: order.cents for order in plan.orders}
    for charge in books.charges:
        if charge.order_id not in prices:
            verdict.faults.append(f"order {charge.order_id}: was charged, and is no order")
        elif charge.cents != prices[charge.order_id]:
            right = prices[charge.order_id]
            verdict.faults.append(
                f"order {charge.order_id}: was charged {charge.cents} cents, not {right}"
            )


# --------------------------------------------------------------------------------- the provider's


def ledger(path: Path) -> tuple[tuple[Charge, ...], int]:
    """Return what the provider's ledger has: charges, and the number of requests."""
    db = sqlite3.connect(path)
    try:
        charges = db.execute("SELECT key, order_id, cents FROM charges")
        found = tuple(Charge(*row) for row in charges)
        (requests,) = db.execute("SELECT count(*) FROM requests").fetchone()
    finally:
        db.close()
    return found, int(requests)


def broken_pages(path: Path) -> Iterable[str]:
    """Return what SQLite finds wrong with a database, in words."""
    db = sqlite3.connect(path)
    try:
        said = [str(row[0]) for row in db.execute("PRAGMA integrity_check")]
    finally:
        db.close()
    return [] if said == ["ok"] else [f"{path.name}: {line}" for line in said]

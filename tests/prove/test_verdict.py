"""The verdict of a proof finds each fault that is planted in the books."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from strait.prove import verdict
from strait.prove.plan import Order, Plan, draw
from strait.prove.provider import Ledger
from strait.prove.verdict import Books, Charge, RunBook, judge, receipt_of
from strait.prove.witness import BEGAN, KEPT, Line, Reader, Writer, lines_of

PLAN = draw(5, orders=20, kills=0)
MISMATCH = (
    "step `price` at shop.py:22 is asked with other arguments than those it is recorded for "
    "(at shop.py:15); use the arguments of then, another name, or `ctx.version`"
)
PLAIN = next(order for order in PLAN.orders if not (order.parked or order.early or order.late))
MISTAKE = PLAN.mistakes[0]
PARKED = next(order for order in PLAN.parked if not order.mistake)


def run_of(order: Order) -> RunBook:
    steps = {"price": 110, "charge": 210}
    if order.mistake:
        return RunBook(f"run-{order.id}", order.id, "dead_letter", None, MISMATCH, steps)
    steps |= {"receipt": 310}
    return RunBook(f"run-{order.id}", order.id, "completed", receipt_of(order), "", steps)


def books_of(plan: Plan) -> Books:
    """Return books with nothing wrong in them."""
    runs = tuple(map(run_of, plan.orders))
    lines = [
        line
        for run in runs
        for step, at in run.steps.items()
        for line in (Line(BEGAN, run.id, step, at - 5, 1), Line(KEPT, run.id, step, at + 5, 1))
    ]
    return Books(
        acknowledged={order.id: f"run-{order.id}" for order in plan.orders},
        runs=runs,
        charges=tuple(Charge(f"key-{one.id}", one.id, one.cents) for one in plan.orders),
        requests=len(plan.orders),
        lines=tuple(lines),
    )


GOOD = books_of(PLAN)


def changed(order: Order, **changes: object) -> Books:
    """Return the books with another run of an order."""
    runs = tuple(replace(run, **changes) if run.order_id == order.id else run for run in GOOD.runs)
    return replace(GOOD, runs=runs)


def test_good_books_hold() -> None:
    found = judge(PLAN, GOOD)
    assert found.faults == []
    assert (found.acknowledged, found.runs, found.charges) == (20, 20, 20)
    assert found.completed == 20 - len(PLAN.mistakes)
    assert list(found.mismatches) == [order.id for order in PLAN.mistakes]
    assert found.recorded_again == []
    assert found.unrecorded_again == 0


def without(order: Order) -> Books:
    return replace(GOOD, runs=tuple(run for run in GOOD.runs if run.order_id != order.id))


def with_run(run: RunBook) -> Books:
    return replace(GOOD, runs=(*GOOD.runs, run))


def with_charge(charge: Charge) -> Books:
    return replace(GOOD, charges=(*GOOD.charges, charge))


def with_line(what: str, order: Order, step: str, at: int) -> Books:
    return replace(GOOD, lines=(*GOOD.lines, Line(what, f"run-{order.id}", step, at, 2)))


def unacknowledged(order: Order) -> Books:
    told = {id: run for id, run in GOOD.acknowledged.items() if id != order.id}
    return replace(GOOD, acknowledged=told)


def forgotten(order: Order) -> Books:
    """Return the books without a record of a step that had been acknowledged."""
    return changed(order, steps={"price": 110, "charge": 210})


PLANTED: dict[str, tuple[Callable[[], Books], str]] = {
    "a lost order": (lambda: without(PLAIN), f"order {PLAIN.id}: its acknowledged run"),
    "a lost trigger": (lambda: unacknowledged(PLAIN), "was never acknowledged"),
    "a second run": (
        lambda: with_run(RunBook("run-x", PLAIN.id, "completed")),
        f"order {PLAIN.id}: has a run run-x that nobody was told of",
    ),
    "an order that failed": (
        lambda: changed(PLAIN, status="dead_letter", error="boom"),
        "is dead_letter: boom",
    ),
    "an order that hangs": (lambda: changed(PARKED, status="waiting"), "is waiting: no error"),
    "the result of another": (lambda: changed(PLAIN, result="1: 5 cents"), "has the result"),
    "a double charge": (
        lambda: with_charge(Charge("key-x", PLAIN.id, PLAIN.cents)),
        f"order {PLAIN.id}: was charged 2 times",
    ),
    "no charge": (
        lambda: replace(
            GOOD, charges=tuple(one for one in GOOD.charges if one.order_id != PLAIN.id)
        ),
        f"order {PLAIN.id}: was charged 0 times",
    ),
    "another amount": (
        lambda: replace(
            GOOD,
            charges=tuple(
                replace(one, cents=1) if one.order_id == PLAIN.id else one for one in GOOD.charges
            ),
        ),
        f"was charged 1 cents, not {PLAIN.cents}",
    ),
    "a charge of nobody": (lambda: with_charge(Charge("key-x", "x", 5)), "and is no order"),
    "a recorded step begun again": (
        lambda: with_line(BEGAN, PLAIN, "price", 900),
        f"step `price` of run run-{PLAIN.id} was begun again after it was recorded",
    ),
    "a record that was lost": (lambda: forgotten(PLAIN), "has returned and is not on record"),
    "a record of nothing": (
        lambda: changed(PLAIN, steps={**run_of(PLAIN).steps, "screen": 150}),
        "is on record and was never begun",
    ),
    "a mismatch that nobody caught": (
        lambda: changed(MISTAKE, status="completed", error="", result=receipt_of(MISTAKE)),
        f"order {MISTAKE.id}: version 2 asked its recorded step `price` with another list",
    ),
    "another failure in its place": (
        lambda: changed(MISTAKE, error="step `charge` failed"),
        f"order {MISTAKE.id}: version 2 asked its recorded step",
    ),
    "an inserted step in an older run": (
        lambda: replace(
            changed(PARKED, steps={**run_of(PARKED).steps, "screen": 150}),
            lines=with_line(BEGAN, PARKED, "screen", 140).lines,
        ),
        "was parked before step `screen` was inserted",
    ),
    "no inserted step in a newer run": (
        lambda: replace(GOOD, after_deploy=frozenset({PLAIN.id})),
        "began after step `screen` was inserted",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_found_and_named(planted: str) -> None:
    make, named = PLANTED[planted]
    # What follows from it may be named, too.
    assert named in judge(PLAN, make()).faults[0]


def test_a_record_that_is_lost_and_made_again_is_still_a_step_run_again() -> None:
    # The platform's own record is of the second time; the witness knows of the first.
    books = changed(PLAIN, steps={**run_of(PLAIN).steps, "price": 930})
    again = replace(books, lines=with_line(BEGAN, PLAIN, "price", 920).lines)
    found = judge(PLAN, again)
    assert found.recorded_again == [f"step `price` of run run-{PLAIN.id}"]
    assert found.unrecorded_again == 0


def test_a_step_begun_twice_before_its_record_is_counted_and_is_no_fault() -> None:
    books = replace(with_line(BEGAN, PLAIN, "charge", 190), requests=len(GOOD.charges) + 1)
    found = judge(PLAN, books)
    assert found.faults == []
    assert found.unrecorded_again == 1
    assert found.charges_asked_again == 1


def test_the_provider_charges_a_key_once_and_counts_each_request(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    assert ledger.charge("key", "order", 450) == {"order_id": "order", "cents": 450}
    assert ledger.charge("key", "order", 450) == {"order_id": "order", "cents": 450}
    charges, requests = verdict.ledger(tmp_path / "ledger.db")
    assert charges == (Charge("key", "order", 450),)
    assert requests == 2
    assert list(verdict.broken_pages(tmp_path / "ledger.db")) == []


def test_the_witness_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "witness.jsonl"
    reader = Reader(path)
    assert reader.begun == 0
    writer = Writer(path)
    writer.write(BEGAN, "run", "price")
    assert reader.begun == 1
    writer.write(KEPT, "run", "price")
    with path.open("a") as file:
        file.write('["began", "run"')  # a line of which only a part is there yet
    assert reader.begun == 1
    whole = path.read_bytes().splitlines()[:2]
    path.write_bytes(b"\n".join(whole) + b"\n")
    assert [(line.what, line.step) for line in lines_of(path)] == [
        (BEGAN, "price"),
        (KEPT, "price"),
    ]

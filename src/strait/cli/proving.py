"""What `strait prove` does: carries out the proof in a directory, and prints what came of it."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from strait.cli.failures import CommandError, ExitCode
from strait.cli.output import count, print_json, say, span
from strait.cli.progress import LiveLine
from strait.prove.plan import Plan, draw
from strait.prove.processes import ProofError
from strait.prove.proof import prove

if TYPE_CHECKING:
    from strait.errors import Json
    from strait.prove.proof import Proof

# Without a terminal, every so many kills are told.
_TOLD_KILLS = 10
_MOST_SHOWN = 20


def run(seed: int, orders: int, kills: int, keep: Path | None, *, as_json: bool) -> None:
    """Carry out a proof; exit with 1 if it does not hold."""
    try:
        plan = draw(seed, orders=orders, kills=kills)
    except ValueError as error:
        raise CommandError(str(error), code=ExitCode.USAGE) from error
    directory = _directory(keep)
    if not as_json:
        say(
            f"seed {seed}, plan {plan.digest}: {orders:,} orders, {kills} kills, "
            f"{len(plan.parked)} parked, {len(plan.early)} early events"
        )
    try:
        proof = _carried_out(plan, directory, as_json=as_json)
    except ProofError as error:
        raise CommandError(f"the proof broke off: {error}", f"its files: {directory}") from error
    except BaseException:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
        raise
    kept = keep is not None or not proof.holds
    if not kept:
        shutil.rmtree(directory)
    if as_json:
        print_json({**as_data(proof), "files": str(directory) if kept else None})
    else:
        for line in shown(proof):
            say(line)
        if kept:
            say(f"files: {directory}")
    if not proof.holds:
        sys.exit(ExitCode.NO)


def _directory(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="strait-prove-"))
    keep.mkdir(parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise CommandError(f"`{keep}` is not empty", "name a new directory", ExitCode.USAGE)
    return keep.resolve()


def _carried_out(plan: Plan, directory: Path, *, as_json: bool) -> Proof:
    line = LiveLine()
    with _ended_by_signals():
        try:
            return prove(plan, directory, _silent if as_json else _teller(line))
        finally:
            line.end()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a signal that would end this process end its children in order first."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _silent(share: float, what: str) -> None:
    """Tell nobody."""


def _teller(line: LiveLine) -> Callable[[float, str], None]:
    def tell(share: float, what: str) -> None:
        drawn = line.move(share, what)
        number = what.removeprefix("kill ").partition(" ")[0]
        if not what.startswith("kill "):
            line.above(f"  {what}")
        elif not drawn and int(number) % _TOLD_KILLS == 0:
            say(f"  {what}")

    return tell


# ------------------------------------------------------------------------------------ what is said


def shown(proof: Proof) -> Iterator[str]:
    """Return what a person is told of a proof."""
    verdict = proof.verdict
    books = {
        "acknowledged": verdict.acknowledged,
        "runs": verdict.runs,
        "charges": verdict.charges,
    }
    sign = " = " if len(set(books.values())) == 1 else " ≠ "
    yield sign.join(f"{name} {figure:,}" for name, figure in books.items())
    yield f"recorded steps run again: {len(verdict.recorded_again):,}"
    figures = _figures(proof)
    width = max(map(len, figures))
    for name, figure in figures.items():
        text = f"{figure:,}" if isinstance(figure, int) else figure
        yield f"  {name:<{width}}  {text}"
    for order, error in sorted(verdict.mismatches.items()):
        yield f"  caught: order {order}: {error.partition(';')[0]}"
    for fault in proof.faults[:_MOST_SHOWN]:
        yield f"FAULT: {fault}"
    if (more := len(proof.faults) - _MOST_SHOWN) > 0:
        yield f"FAULT: and {more:,} more"
    holds = "it holds" if proof.holds else f"IT DOES NOT HOLD: {count(len(proof.faults), 'fault')}"
    took = f"{span(timedelta(seconds=proof.took_secs))}, the slowest of {proof.starts} starts"
    yield f"seed {proof.plan.seed}, plan {proof.plan.digest}: {holds}"
    yield f"  in {took} {proof.slowest_start_secs:.1f} s"


def _figures(proof: Proof) -> dict[str, object]:
    verdict, record, slept = proof.verdict, proof.record, proof.slept
    kills = ", ".join(f"{number} {kind}" for kind, number in sorted(record.kills.items()))
    return {
        "kills": f"{sum(record.kills.values())}: {kills}" if kills else 0,
        "steps on record": verdict.steps,
        "steps begun twice, before their record": verdict.unrecorded_again,
        "charges asked for again, under their key": verdict.charges_asked_again,
        "orders parked when version 2 came": record.parked_at_deploy,
        "orders with the inserted step": verdict.screened,
        "mismatches caught": len(verdict.mismatches),
        "events held, since they came early": record.held,
        "calls that the full disk refused": _refused(record.refused_while_full),
        "a sleep of three days": f"{slept.before} a second before its end, {slept.after} at it",
    }


def _refused(refused: int | None) -> object:
    return "this system cannot fill a disk; left out" if refused is None else refused


def as_data(proof: Proof) -> dict[str, Json]:
    """Return what a program is told of a proof."""
    verdict, record, plan = proof.verdict, proof.record, proof.plan
    return {
        "holds": proof.holds,
        "faults": proof.faults,
        "seed": plan.seed,
        "plan": plan.digest,
        "orders": len(plan.orders),
        "acknowledged": verdict.acknowledged,
        "runs": verdict.runs,
        "charges": verdict.charges,
        "recorded_steps_run_again": len(verdict.recorded_again),
        "steps": verdict.steps,
        "steps_run_twice_unrecorded": verdict.unrecorded_again,
        "charges_asked_again": verdict.charges_asked_again,
        "mismatches": verdict.mismatches,
        "parked": record.parked_at_deploy,
        "screened": verdict.screened,
        "early_events_held": record.held,
        "slept_secs": proof.slept.slept.total_seconds(),
        "kills": record.kills,
        "refused_while_full": record.refused_while_full,
        "starts": proof.starts,
        "slowest_start_secs": round(proof.slowest_start_secs, 3),
        "took_secs": round(proof.took_secs, 1),
    }

"""`make simulate`: tell the stories of many seeds; `--show SEED` prints one of them."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from simulation.calendar import Calendar
from simulation.scenario import Outcome, Story, simulate
from simulation.terms import Terms

KINDS: dict[str, type[Story]] = {"work": Story, "days": Calendar, "terms": Terms}


def main() -> None:
    """Exit with 1 when a seed shows a fault, and name it."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--show", type=int, help="print the trace of this seed only")
    parser.add_argument("--stories", choices=sorted(KINDS), default="work", help="which kind")
    options = parser.parse_args()
    tell = partial(simulate, kind=KINDS[options.stories])
    if options.show is not None:
        outcome = tell(options.show)
        print("\n".join(outcome.lines))
        print(outcome.digest, outcome.faults or "no fault")
        sys.exit(bool(outcome.faults))
    started = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool:
        seeds = range(options.first, options.first + options.seeds)
        outcomes = [_told(outcome) for outcome in pool.map(tell, seeds, chunksize=20)]
    bad = [outcome for outcome in outcomes if outcome.faults]
    print(_summary(outcomes, len(bad), time.monotonic() - started))
    sys.exit(bool(bad))


def _told(outcome: Outcome) -> Outcome:
    """Print what a seed has shown as soon as it has, and now and then how far they are."""
    if outcome.faults:
        print(f"seed {outcome.seed}: {outcome.faults[:3]}", flush=True)
    elif outcome.seed % 1_000 == 0:
        print(f"seed {outcome.seed}", flush=True)
    return outcome


def _summary(outcomes: list[Outcome], bad: int, secs: float) -> str:
    runs = sum(outcome.runs for outcome in outcomes)
    starts = sum(outcome.starts for outcome in outcomes)
    done = f"{len(outcomes)} seeds, {runs} runs, {starts} starts in {secs:.0f} s"
    return f"{done}: {bad} seeds with faults"


if __name__ == "__main__":
    main()

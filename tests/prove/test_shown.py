"""What `strait prove` prints of a proof."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from strait.cli.proving import as_data, shown
from strait.prove.drill import Record
from strait.prove.plan import draw
from strait.prove.proof import Proof
from strait.prove.sleep import Slept
from strait.prove.verdict import judge

from .test_verdict import GOOD, MISMATCH, MISTAKE, PLAIN, PLAN, without

PROOF = Proof(
    plan=PLAN,
    record=Record(
        dict(GOOD.acknowledged),
        kills={"both": 1, "server": 2},
        refused_while_full=None,
        parked_at_deploy=len(PLAN.parked),
        held=len(PLAN.early),
    ),
    verdict=judge(PLAN, GOOD),
    slept=Slept("waiting", "completed", timedelta(days=3), 1),
    starts=4,
    slowest_start_secs=1.25,
    took_secs=65.0,
)


def test_a_proof_that_holds_is_told_in_its_figures() -> None:
    lines = list(shown(PROOF))
    assert lines[:2] == [
        "acknowledged 20 = runs 20 = charges 20",
        "recorded steps run again: 0",
    ]
    figures = dict(line.strip().rsplit("  ", 1) for line in lines[2:12])
    told = {name.strip(): figure for name, figure in figures.items()}
    assert told["kills"] == "3: 1 both, 2 server"
    assert told["calls that the full disk refused"] == "this system cannot fill a disk; left out"
    assert lines[12] == f"  caught: order {MISTAKE.id}: {MISMATCH.partition(';')[0]}"
    assert lines[-2:] == [
        f"seed 5, plan {draw(5, orders=20, kills=0).digest}: it holds",
        "  in 1 min 5 s, the slowest of 4 starts 1.2 s",
    ]
    assert as_data(PROOF)["holds"] is True


def test_the_readme_shows_what_is_printed_of_the_plan_that_it_names() -> None:
    page = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (shown_there,) = re.findall(r"^acknowledged .*?(?=^```$)", page, re.MULTILINE | re.DOTALL)
    seed, digest = re.search(
        r"^seed (\d+), plan (\w+): it holds$", shown_there, re.MULTILINE
    ).groups()
    plan = draw(int(seed))
    assert digest == plan.digest
    assert f"strait prove --seed {seed}\n" in page
    figures = [line.strip().partition("  ")[0] for line in shown(PROOF)][2:12]
    assert all(f"  {figure}  " in shown_there for figure in figures)
    caught = re.findall(r"^  caught: order (\S+): ", shown_there, re.MULTILINE)
    assert caught == sorted(order.id for order in plan.mistakes)


def test_each_fault_of_a_proof_is_told() -> None:
    lost = replace(PROOF, verdict=judge(PLAN, without(PLAIN)))
    lines = list(shown(lost))
    assert lines[0] == "acknowledged 20 ≠ runs 19 ≠ charges 20"
    (fault,) = [line for line in lines if line.startswith(f"FAULT: order {PLAIN.id}")]
    assert "is lost" in fault
    assert "IT DOES NOT HOLD: " in lines[-2]
    assert as_data(lost)["holds"] is False


def test_what_the_drill_itself_missed_is_a_fault() -> None:
    record = replace(PROOF.record, parked_at_deploy=1, held=len(PLAN.early) + 1)
    slept = Slept("completed", "failed", timedelta(0), 2)
    faults = replace(PROOF, record=record, slept=slept).faults
    assert [fault.partition(":")[0].partition(" ")[0] for fault in faults] == [
        "sleep",
        "sleep",
        "sleep",
        "version",
        "of",
    ]

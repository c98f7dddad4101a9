"""Handlers, server or both die between any two steps: no recorded step is executed again."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e import steps_target
from tests.e2e.platform import Platform, start, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TARGET = steps_target.__file__
KILLS = ("handlers", "server", "both")


def test_no_recorded_step_is_executed_again_whoever_dies_between_two(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    platform = started(tmp_path)
    with platform.client() as client:
        (job,) = client.jobs.list(slug="pipeline")
        run_id = str(client.jobs.trigger(job.id, payload={}).id)

    for number in range(steps_target.STEPS):
        handlers = until(lambda n=number: at_gate(journal, n))
        kind = KILLS[number % len(KILLS)]
        if kind != "server":
            os.kill(handlers, signal.SIGKILL)
        if kind != "handlers":
            platform.kill()
            platform = started(tmp_path)
        until(lambda n=number, dead=handlers: at_gate(journal, n) not in (None, dead))
        (tmp_path / f"go-{number}").touch()

    with platform.client() as client:
        run = until(lambda: (r := client.runs.get(run_id)).finished_at and r)
        recorded = list(client.runs.list_steps(run_id))
    platform.stop()
    assert run.status == "completed", run.error
    assert [done["number"] for done in run.result] == list(range(steps_target.STEPS))
    assert [step.name for step in recorded] == [f"step-{n}" for n in range(steps_target.STEPS)]
    did = Counter(line for line in journal.read_text().splitlines() if line.startswith("did"))
    assert len(did) == steps_target.STEPS
    assert set(did.values()) == {1}, "each step was executed once, whoever died behind it"
    assert len({line.split()[2] for line in did}) == steps_target.STEPS, "each has its own key"


def started(directory: Path) -> Platform:
    return start(directory / "dev.db", TARGET, environment={"E2E_STEPS": str(directory)})


def at_gate(journal: Path, number: int) -> int | None:
    """Return the process that has come behind a step last; None if none has."""
    lines = [line.split() for line in journal.read_text().splitlines()]
    pids = [int(words[2]) for words in lines if words[:2] == ["recorded", f"step-{number}"]]
    return pids[-1] if pids else None

"""`kill -9`: nothing that was acknowledged is lost, and nothing happens twice that was recorded."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from strait import Client
from strait.errors import StraitError
from tests.e2e.conftest import TARGET
from tests.e2e.platform import Platform, start, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

RUNS = 1_000


def job_id(client: Client, slug: str) -> str:
    (job,) = client.jobs.list(slug=slug)
    return job.id


def started(database: Path, journal: Path | None = None) -> Platform:
    environment = {"E2E_JOURNAL": str(journal)} if journal else None
    return start(database, TARGET, environment=environment)


def test_no_acknowledged_trigger_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    platform = started(tmp_path / "dev.db")
    acknowledged: list[str] = []

    def load(client: Client, echo: str) -> None:
        for number in range(RUNS // 4):
            try:
                run = client.jobs.trigger(echo, payload={"n": number})
            except StraitError:
                return  # the server is gone; what it did not acknowledge does not count
            acknowledged.append(str(run.id))
            if len(acknowledged) == RUNS // 2:
                platform.kill()

    with (
        Client(base_url=platform.base_url, api_key=platform.api_key, retry=None) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        echo = job_id(client, "echo")
        for future in [pool.submit(load, client, echo) for _ in range(4)]:
            future.result()
    assert len(acknowledged) >= RUNS // 2

    again = started(tmp_path / "dev.db")
    with again.client() as client:
        rest = [
            str(client.jobs.trigger(echo, payload={}).id) for _ in range(RUNS - len(acknowledged))
        ]
        wanted = set(acknowledged) | set(rest)
        until(lambda: not sum(client.stats.list().to_dict().values()), secs=60)
        found = {run.id: run.status for run in client.runs.list(limit=100)}
        assert {run_id for run_id in wanted if found.get(run_id) != "completed"} == set()
        for run_id in random.Random(1).sample(sorted(wanted), 25):
            ends = [
                e
                for e in client.runs.list_events(run_id)
                if e.data and e.data.get("to") == "completed"
            ]
            assert len(ends) == 1, "a run has exactly one terminal state"
    again.stop()


def test_what_an_orphaned_handler_still_writes_is_refused(tmp_path: Path, journal: Path) -> None:
    release = tmp_path / "release"
    platform = started(tmp_path / "dev.db", journal)
    with platform.client() as client:
        run_id = str(
            client.jobs.trigger(job_id(client, "slow"), payload={"release": str(release)}).id
        )
    until(lambda: f"begin {run_id}" in journal.read_text())
    platform.kill()  # only the server; its handler is in a process of its own

    again = started(tmp_path / "dev.db", journal)
    until(lambda: journal.read_text().count(f"begin {run_id}") == 2)
    release.touch()
    with again.client() as client:
        run = until(lambda: (r := client.runs.get(run_id)).finished_at and r)
        assert (run.status, run.attempt) == ("completed", 1), "a crash takes no attempt away"
        until(lambda: "refused" in journal.read_text() or "end" in journal.read_text())
        (finished,) = [line for line in journal.read_text().splitlines() if line.startswith("end")]
        assert finished.split()[2] == str(run.result["pid"]), "only the newest dispatch writes"
        assert len(list(client.runs.list_checkpoints(run_id))) == 1
    again.stop()


@pytest.mark.parametrize("seed", range(2))
def test_a_workflow_of_every_step_survives_kills_at_any_point(tmp_path: Path, seed: int) -> None:
    randomness = random.Random(seed)
    platform = started(tmp_path / "dev.db")
    with platform.client() as client:
        workflow = next(w for w in client.workflows.list() if w.slug == "every-step")
        run_id = client.workflows.trigger(workflow.id, payload={"id": f"o{seed}"}).id

    for _ in range(4):
        os.sched_yield()
        with platform.client() as client:
            push(client, run_id, f"o{seed}", until_secs=randomness.random() * 0.6)
        platform.kill()
        platform = started(tmp_path / "dev.db")

    with platform.client() as client:
        until(lambda: push(client, run_id, f"o{seed}", until_secs=0.2) == "completed")
        steps = {step.step_ref: step for step in client.workflow_runs.list_steps(run_id)}
        assert {step.status for step in steps.values()} == {"completed"}
        assert steps["event"].output == {"paid": True}
        assert steps["sub"].output["inner"]["payload"]["id"] == f"o{seed}"
        timeline = client.workflow_runs.get_timeline(run_id)
        assert [step.step_ref for step in timeline.steps] == [
            "job", "approve", "nap", "event", "sub", "last",
        ]  # fmt: skip
        jobs = [step.job_run_id for step in steps.values() if step.job_run_id]
        assert len(jobs) == 2, "no step was started twice"
    platform.stop()


def push(client: Client, run_id: str, order: str, *, until_secs: float) -> str:
    """Do what people do: approve, and send the event, while there is time; return the status."""
    import time

    deadline = time.monotonic() + until_secs
    while True:
        run = client.workflow_runs.get(run_id)
        waiting = [
            step.step_ref
            for step in client.workflow_runs.list_steps(run_id)
            if step.status == "waiting" and step.started_at
        ]
        if "approve" in waiting:
            client.workflow_runs.approve_step(run_id, "approve")
        if "event" in waiting:
            client.event_triggers.send(f"order:{order}", payload={"paid": True})
        if run.status == "completed" or time.monotonic() > deadline:
            return run.status
        time.sleep(0.02)  # the platform is another process

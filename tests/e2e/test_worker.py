"""Workers and servers as processes that are killed: each run ends once, and none is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from strait import Client
from strait.cli.failures import ExitCode
from tests.e2e.platform import REPO, Platform, running, start, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TARGET = "tests/e2e/worker_target.py"
RUNS = 16
KILLS = {"worker": 1, "server": 2, "both": 2}


class Process:
    """`strait worker` as a process."""

    def __init__(
        self, platform: Platform, journal: Path, *arguments: str, registers: bool = True
    ) -> None:
        command = [sys.executable, "-m", "strait.cli", "worker", TARGET]
        self.process = subprocess.Popen(
            [
                *(*command, "--addr", platform.grpc_addr, "--json"),
                *(("--register",) if registers else ()),
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if registers else subprocess.PIPE,
            text=True,
            cwd=REPO,
            env={
                **os.environ,
                "PYTHONPATH": f"{REPO / 'src'}:{REPO}",
                "STRAIT_BASE_URL": platform.base_url,
                "STRAIT_API_KEY": platform.api_key,
                "STRAIT_PROJECT": platform.project_id,
                "E2E_JOURNAL": str(journal),
            },
        )

    def ready(self) -> None:
        """Return once it takes work."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if json.loads(line)["event"] == "connected":
                return
        raise AssertionError(f"strait worker ended with {self.process.wait()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        """Ask it to end, and return its status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode


def again(platform: Platform, database: Path, *arguments: str) -> Platform:
    """Start a platform anew where it was."""
    ports = [address.rpartition(":")[2] for address in (platform.base_url, platform.grpc_addr)]
    return start(database, "", "--port", ports[0], "--grpc-port", ports[1], *arguments)


def job_id(client: Client, slug: str) -> str:
    (job,) = client.jobs.list(slug=slug)
    return job.id


def trigger(client: Client, job: str, **payload: object) -> str:
    return str(client.jobs.trigger(job, payload=payload).id)


def completed(client: Client) -> int:
    return len(list(client.runs.list(status="completed", limit=100)))


@pytest.mark.parametrize("victims", ["worker", "server", "both"])
def test_each_run_ends_once_whoever_is_killed(tmp_path: Path, journal: Path, victims: str) -> None:
    randomness = random.Random(victims)
    database = tmp_path / "dev.db"
    # Where a worker lives on, it has the time to come back; where it does not, nobody waits.
    lease = ("--worker-lease-secs", "15" if victims == "server" else "0.5")
    slug = "quiet" if victims == "server" else "steps"
    platform = start(database, "", "--grpc-port", "0", *lease)
    worker = Process(platform, journal)
    try:
        worker.ready()
        with platform.client() as client:
            job = job_id(client, slug)
            runs = [trigger(client, job, n=n, secs=0.1) for n in range(RUNS)]
            for _ in range(KILLS[victims]):
                until(lambda: journal.stat().st_size > 0)
                time.sleep(randomness.random() * 0.3)  # what is killed cannot be awaited
                if victims != "server":
                    worker.kill()
                if victims != "worker":
                    platform.kill()
                    platform = again(platform, database, *lease)
                if victims != "server":
                    worker = Process(platform, journal)
                    worker.ready()
            until(lambda: completed(client) == RUNS, secs=60)
            for number, run_id in enumerate(runs):
                run = client.runs.get(run_id)
                assert (run.status, run.result) == ("completed", {"n": number})
                ends = [
                    event
                    for event in client.runs.list_events(run_id)
                    if event.data and event.data.get("to") == "completed"
                ]
                assert len(ends) == 1, "a run has exactly one terminal state"
    finally:
        worker.kill()
        platform.kill()
    check_journal(journal, victims)


def check_journal(journal: Path, victims: str) -> None:
    lines = [line.split() for line in journal.read_text().splitlines()]
    if victims == "server":
        assert Counter(kind for kind, _ in lines) == {"begin": RUNS, "end": RUNS}
        assert set(Counter(run for _, run in lines).values()) == {2}, "no run was executed twice"
        return
    recorded: set[tuple[str, str]] = set()
    for kind, run, number in lines:
        if kind == "did":
            assert (run, number) not in recorded, "a recorded step was executed again"
        else:
            recorded.add((run, number))
    assert len(recorded) == 4 * RUNS


def test_a_signal_drains_and_cancel_reaches_the_handler(tmp_path: Path, journal: Path) -> None:
    release = tmp_path / "release"
    with (
        running(tmp_path / "dev.db", "", "--grpc-port", "0") as platform,
        platform.client() as client,
    ):
        worker = Process(platform, journal, "--slots", "2")
        worker.ready()
        job = job_id(client, "patient")
        canceled = trigger(client, job, release="/nowhere")
        drained = trigger(client, job, release=str(release))
        until(lambda: journal.read_text().count("begin") == 2)
        client.runs.cancel(canceled)
        until(lambda: f"told {canceled} canceled by user" in journal.read_text())
        worker.process.send_signal(signal.SIGTERM)
        (listed,) = until(lambda: [w for w in client.workers.list() if w.status == "draining"])
        later = trigger(client, job, release=str(release))
        release.touch()
        worker.process.communicate(timeout=30)
        assert worker.process.returncode == 0
        assert client.runs.get(drained).result == "released"
        assert client.runs.get(canceled).status == "canceled"
        assert client.runs.get(later).status == "queued"
        assert until(lambda: client.workers.get(listed.id).status == "offline")
        stranger = replace(platform, api_key="strait_" + "0" * 64)
        refused = Process(stranger, journal, registers=False)
        _, said = refused.process.communicate(timeout=30)
        assert refused.process.returncode == ExitCode.DENIED
        assert said.endswith(
            "strait: the platform refuses the worker: invalid api key — "
            "use a key of its project that is neither revoked nor expired\n"
        )

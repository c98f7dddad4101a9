"""`strait prove` in earnest, small: real processes, real kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from strait.cli.commands import cli
from strait.prove.plan import draw
from strait.prove.processes import DATABASE

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform == "win32", reason="it kills as Linux and macOS do"),
]
PATIENCE_SECS = 100
SRC = Path(__file__).parents[2] / "src"


class Started:
    """The command as a process, with a mark that all processes inherit which it starts."""

    def __init__(self, temporary: Path, *arguments: str) -> None:
        self._mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-m", "strait.cli", "prove", *arguments],
            cwd=temporary,
            env={
                **os.environ,
                "PYTHONPATH": str(SRC),
                "TMPDIR": str(temporary),
                "MARK": self._mark,
                # Settings of who runs it change nothing.
                "STRAIT_BASE_URL": "http://127.0.0.1:9",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def alive(self) -> list[str]:
        """Return the commands of the processes that have the mark."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark in (place / "environ").read_text(errors="replace"):
                    found.append((place / "cmdline").read_text().replace("\0", " "))
            except OSError:  # it has ended, or is another user's
                continue
        return found


def until_gone(started: Started) -> list[str]:
    """Return what is still alive once all had the time to notice that their parent has gone."""
    deadline = time.monotonic() + 20
    while (alive := started.alive()) and time.monotonic() < deadline:
        time.sleep(0.05)  # other processes cannot be awaited
    return alive


@pytest.mark.timeout(PATIENCE_SECS + 20)
def test_a_small_proof_holds_and_leaves_nothing_behind(tmp_path: Path) -> None:
    started = Started(tmp_path, "--seed", "4", "--orders", "30", "--kills", "3", "--json")
    out, errors = started.process.communicate(timeout=PATIENCE_SECS)
    said = json.loads(out)
    assert said["faults"] == []
    assert started.process.returncode == 0, errors
    plan = draw(4, orders=30, kills=3)
    assert said["plan"] == plan.digest
    assert said["acknowledged"] == said["runs"] == said["charges"] == 30
    assert said["recorded_steps_run_again"] == 0
    assert list(said["mismatches"]) == [order.id for order in plan.mistakes]
    assert all("step `price` at shop.py:" in text for text in said["mismatches"].values())
    assert said["screened"] >= sum(order.late for order in plan.orders) > 0
    assert said["parked"] == 6
    assert said["early_events_held"] == len(plan.early) > 0
    assert said["slept_secs"] == 3 * 24 * 3600
    assert said["kills"] == {"server": 1, "worker": 1, "both": 1}
    if sys.platform.startswith("linux"):
        assert said["refused_while_full"] >= 1
        assert until_gone(started) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it looks into /proc")
def test_an_interrupted_proof_ends_all_that_it_started(tmp_path: Path) -> None:
    started = Started(tmp_path, "--orders", "40", "--kills", "4")
    assert started.process.stdout is not None
    for line in started.process.stdout:
        if "the platform runs" in line:
            break
    assert len(started.alive()) > 2
    started.process.send_signal(signal.SIGINT)
    _, errors = started.process.communicate(timeout=PATIENCE_SECS)
    assert started.process.returncode == 130
    assert errors.splitlines()[-1] == "strait: interrupted"
    assert until_gone(started) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--keep", "mine"], "strait: `mine` is not empty — name a new directory\n"),
        (["--orders", "20", "--kills", "21"], "strait: kills must be from 0 to the number of "),
        (["--orders", "9"], "strait: invalid value for '--orders': 9 is not in the range"),
    ],
)
def test_what_cannot_be_proved_is_refused_in_one_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / DATABASE).write_text("mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        cli.main(["prove", *arguments])
    assert end.value.code == 2
    out, errors = capsys.readouterr()
    assert errors.startswith(said)
    assert (out, errors.count("\n")) == ("", 1)


def test_windows_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit) as end:
        cli.main(["prove"])
    assert end.value.code == 1
    assert "only Linux and macOS can" in capsys.readouterr().err

"""Handlers in a debugger: their attempts are not timed out, and `breakpoint()` finds a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .processes import PATIENCE_SECS, environment
from .reloading import dev

pytestmark = pytest.mark.e2e

TRACED = """\
import sys, threading
from strait.authoring import JobOptions, define_job

def slow(payload, ctx):
    threading.Event().wait(2.5)
    return "done"

async def asleep(payload, ctx):
    import asyncio
    await asyncio.sleep(2.5)
    return "done"

slow_job = define_job(JobOptions(name="S", slug="slow", run=slow, timeout_secs=1, max_attempts=1))
asleep_job = define_job(
    JobOptions(name="A", slug="asleep", run=asleep, timeout_secs=1, max_attempts=1))
threading.settrace(lambda *_: None)
"""
STOPS = """\
from strait.authoring import JobOptions, define_job

def stops(payload, ctx):
    secret = payload["n"] * 2
    breakpoint()
    return secret

job = define_job(JobOptions(
    name="S", slug="stops", run=stops, timeout_secs=TIMEOUT_SECS, max_attempts=1))
"""
# A slow machine may take a second or two to come to the breakpoint, and whoever is there by then
# is not timed out.
STOPS_TIMEOUT_SECS = 5


def test_while_a_debugger_is_attached_no_attempt_is_timed_out_and_a_line_says_so(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(TRACED)
    with dev("app.py", "--ephemeral", "--no-reload", cwd=tmp_path) as it:
        told = it.until("debugger")
        assert (told["debugger"], told["version"]) == ("app", 1)
        assert it.status()["processes"][0]["debugger"] is True
        runs = [it.trigger("slow"), it.trigger("asleep")]
        assert [it.result(run) for run in runs] == ["done", "done"]


@pytest.mark.skipif(sys.platform == "win32", reason="sockets in folders")
def test_a_breakpoint_waits_for_a_terminal_which_is_pdb_at_that_place(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(STOPS.replace("TIMEOUT_SECS", str(STOPS_TIMEOUT_SECS)))
    with dev("app.py", "--ephemeral", "--no-reload", cwd=tmp_path) as it:
        run = it.trigger("stops", {"n": 21})
        told = it.until("stopped")
        assert told["at"] == "app.py:5"
        socket = Path(told["attach"])
        assert socket.parent.stat().st_mode & 0o077 == 0
        assert it.until("debugger")["debugger"] == "pdb"
        outlast = f"import threading; threading.Event().wait({STOPS_TIMEOUT_SECS + 0.5})"
        done = subprocess.run(
            [sys.executable, "-m", "strait.cli", "dev", "--attach", str(socket)],
            input=f"p ('seen', secret)\n{outlast}\nc\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECS,
            check=True,
            env=environment(),
        )
        assert "('seen', 42)" in done.stdout
        assert "app.py" in done.stdout
        assert it.result(run) == 42
        assert not socket.exists()
        assert it.until("debugger")["debugger"] == ""


def test_attaching_to_nothing_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "strait.cli", "dev", "--attach", str(tmp_path / "no")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECS,
        check=False,
        env=environment(),
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nothing waits at" in done.stderr


def test_handlers_speak_to_this_platform_whatever_the_environment_and_the_file_name(
    tmp_path: Path,
) -> None:
    (tmp_path / "strait.json").write_text(
        json.dumps({"dirs": ["jobs"], "sdk": {"base_url": "https://file.example"}})
    )
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "one.py").write_text(
        "import os\nfrom strait import Client\n"
        "from strait.authoring import JobOptions, define_job\n"
        "AT_IMPORT = Client.from_env().base_url\n"
        "def ask(payload, ctx):\n"
        "    with Client.from_env() as client:\n"
        "        return [AT_IMPORT, client.base_url, [job.slug for job in client.jobs.list()]]\n"
        "job = define_job(JobOptions(name='Ask', slug='ask', run=ask))\n"
    )
    remote = {"STRAIT_BASE_URL": "https://u:pw@api.example", "STRAIT_API_KEY": "strait_remote_key"}
    with dev("--ephemeral", cwd=tmp_path, **remote) as it:
        here = it.base_url
        assert it.result(it.trigger("ask")) == [here, here, ["ask"]]
        said = it.stderr
        for pid in it.pids():
            assert b"strait_remote_key" not in Path(f"/proc/{pid}/environ").read_bytes()
    ignored = [line for line in said.splitlines() if line.startswith("  ignored")]
    assert len(ignored) == 1
    assert "STRAIT_BASE_URL=https://api.example" in ignored[0]
    assert "https://file.example" in ignored[0]
    assert "pw@" not in said
    assert "strait_remote_key" not in said


def test_the_next_free_port_is_taken_and_a_database_in_use_is_told_with_its_owner(
    tmp_path: Path,
) -> None:
    import socket

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 7676))
            other.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        command = [sys.executable, "-m", "strait.cli", "dev", "--db", "a.db"]
        with (
            (tmp_path / "err").open("w") as errors,
            subprocess.Popen(
                [*command, "--json"],
                cwd=tmp_path,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            assert int(ready["base_url"].rpartition(":")[2]) > 7676
            again = subprocess.run(
                [*command, "--port", "0"],
                cwd=tmp_path,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECS,
                check=False,
            )
            named = subprocess.run(
                [*command[:-1], "b.db", "--port", "7676"],
                cwd=tmp_path,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECS,
                check=False,
            )
            process.terminate()
            assert process.wait(PATIENCE_SECS) == 0
    assert again.returncode == 1
    assert f"process {process.pid}" in again.stderr
    assert ready["base_url"] in again.stderr
    assert named.returncode == 1
    assert os.strerror(98) in named.stderr or "in use" in named.stderr

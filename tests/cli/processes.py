"""`strait dev` and `strait serve` as processes, and what they write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE_SECS = 60

TARGET = """\
from strait.authoring import JobOptions, define_job

print("imported")

def hello(payload, ctx):
    return {"hello": payload["name"]}

job = define_job(JobOptions(name="Hello", slug="hello", run=hello))
"""


def environment(**more: str) -> dict[str, str]:
    """The variables of a process: none of ours but those that a test gives."""
    ours = ("STRAIT_", "INTERNAL_SECRET")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**clean, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error", **more}


def strait(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "strait.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment(**more),
        timeout=PATIENCE_SECS,
    )


class Running:
    """A platform process.

    Attributes:
        ready: what its `--json` line says, or nothing where it has no such line.
    """

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process = process
        self.ready: dict[str, Any] = {}
        self._errors = errors

    @property
    def stderr(self) -> str:
        """What it has written for people so far."""
        return self._errors.read_text()

    @property
    def base_url(self) -> str:
        return str(self.ready["base_url"])

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.ready['api_key']}"}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, as a terminal or a supervisor does, and return its status."""
        self.process.send_signal(number)
        self.process.communicate(timeout=PATIENCE_SECS)
        return self.process.returncode


@contextmanager
def running(*arguments: str, cwd: Path, **more: str) -> Iterator[Running]:
    """Run a platform; with `--json` among the arguments it is ready inside of the block."""
    errors = cwd / "stderr.txt"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "strait.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=cwd,
            env=environment(**more),
        )
    made = Running(process, errors)
    try:
        if "--json" in arguments:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, made.stderr
            made.ready = json.loads(line)
        yield made
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()

"""`strait dev` as a process whose lines a test waits for."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx

from strait import Client

from .processes import PATIENCE_SECS, environment

APP = """\
import os
from strait.authoring import JobOptions, define_job

def answer(payload, ctx):
    return {"version": 1}

def block(payload, ctx):
    with open(payload["gate"]) as gate:  # a pipe: until somebody writes
        gate.read()
    return {"version": 1}

async def wait(payload, ctx):
    event = await ctx.wait_for_event(payload["event"])
    return {"version": 1, "event": event}

answer_job = define_job(JobOptions(name="Answer", slug="answer", run=answer))
block_job = define_job(JobOptions(name="Block", slug="block", run=block, max_concurrency=1,
                                  timeout_secs=600))
wait_job = define_job(JobOptions(name="Wait", slug="wait", run=wait))
"""


class Dev:
    """A `strait dev` that says what happens as JSON.

    Attributes:
        ready: its first line.
        events: all others so far.
    """

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process = process
        self.ready: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self._errors = errors
        self._lines: Queue[dict[str, Any] | None] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def line(self) -> dict[str, Any]:
        """Return the next line."""
        try:
            line = self._lines.get(timeout=PATIENCE_SECS)
        except Empty:
            raise AssertionError(f"nothing came; {self.events}; {self.stderr}") from None
        assert line is not None, self.stderr
        return line

    def until(self, event: str, **wanted: Any) -> dict[str, Any]:
        """Return the next event of a kind that says what is wanted."""
        while True:
            line = self.line()
            self.events.append(line)
            if line["event"] == event and wanted.items() <= line.items():
                return line

    def rest(self) -> list[dict[str, Any]]:
        """Return what is left of the lines; for after the end."""
        while (line := self._lines.get(timeout=PATIENCE_SECS)) is not None:
            self.events.append(line)
        return self.events

    @property
    def stderr(self) -> str:
        return self._errors.read_text()

    @property
    def base_url(self) -> str:
        return str(self.ready["base_url"])

    def client(self) -> Client:
        return Client(base_url=self.base_url, api_key=self.ready["api_key"])

    def status(self) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.ready['api_key']}"}
        answer = httpx.get(f"{self.base_url}/v1/dev/status", headers=headers, timeout=30)
        return dict(answer.raise_for_status().json())

    def trigger(self, slug: str, payload: Any = None) -> str:
        with self.client() as client:
            (job,) = client.jobs.list(slug=slug)
            return client.jobs.trigger(job.id, payload=payload or {}).id

    def result(self, run_id: str) -> Any:
        """Return what a run resulted in, once it is over."""
        with self.client() as client:
            for _ in client.runs.stream(run_id):
                pass
            run = client.runs.get(run_id)
            assert run.status == "completed", run
            return run.result

    def pids(self) -> list[int]:
        """The processes that it has started and that live."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
        return found


@contextmanager
def dev(*arguments: str, cwd: Path, ready: bool = True, **more: str) -> Iterator[Dev]:
    """Run `strait dev … --json` on a free port, ready inside of the block."""
    errors = cwd / "stderr.txt"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "strait.cli", "dev", *arguments, "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=cwd,
            env=environment(**more),
        )
    made = Dev(process, errors)
    try:
        if ready:
            made.ready = made.line()
        yield made
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE_SECS)
        assert process.stdout is not None
        made._reader.join(PATIENCE_SECS)
        process.stdout.close()


def gone(pid: int) -> Callable[[], None]:
    """Begin to watch a process; what is returned waits for its end."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return lambda: None

    def wait() -> None:
        try:
            assert select.select([descriptor], [], [], PATIENCE_SECS)[0], f"{pid} still lives"
        finally:
            os.close(descriptor)

    return wait


def moved_on(file: Path, old: str, new: str) -> None:
    """Save a file with another text in it, of the same size if that may be."""
    before = file.read_text()
    assert old in before
    file.write_text(before.replace(old, new))

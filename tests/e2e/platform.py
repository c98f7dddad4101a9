"""`strait dev` as a real process, that tests start, kill and start again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from strait import Client

T = TypeVar("T")
REPO = Path(__file__).parents[2]


@dataclass
class Platform:
    """A platform process.

    Attributes:
        process: the server; its handlers are a child of it.
        base_url: where it answers.
        api_key: a key with every scope.
        project_id: the project of the key.
        grpc_addr: where workers connect; "" if they cannot.
    """

    process: subprocess.Popen[str]
    base_url: str
    api_key: str
    project_id: str
    grpc_addr: str = ""

    def client(self) -> Client:
        """Return a client of the platform."""
        return Client(base_url=self.base_url, api_key=self.api_key, project_id=self.project_id)

    def kill(self) -> None:
        """End the server as a power cut would; its handlers live on until they notice."""
        self.process.kill()
        self.process.communicate()

    def stop(self) -> None:
        """End the server in order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)


def start(
    database: Path,
    target: str = "",
    *arguments: str,
    environment: dict[str, str] | None = None,
    dies_at: tuple[str, int] | None = None,
) -> Platform:
    """Start `strait dev`, or without a target `strait serve`; return once it is ready.

    With `dies_at`, a commit point and a count, it kills itself there.
    """
    module = ["tests.support.mortal", *map(str, dies_at)] if dies_at else ["strait.cli"]
    command = [sys.executable, "-m", *module, *(["dev", target] if target else ["serve"])]
    process = subprocess.Popen(
        [*command, "--port", "0", "--db", str(database), "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": f"{REPO / 'src'}:{REPO}", **(environment or {})},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"strait dev ended with {process.wait()} before it was ready"
    if dies_at:
        process.send_signal(signal.SIGUSR1)
    return Platform(process, **json.loads(line))


@contextmanager
def running(database: Path, target: str = "", *arguments: str) -> Iterator[Platform]:
    """Run `strait dev` for a while."""
    platform = start(database, target, *arguments)
    try:
        yield platform
    finally:
        if platform.process.poll() is None:
            platform.stop()


def until(condition: Callable[[], T], *, secs: float = 30.0) -> T:
    """Return the first true value of a condition that another process brings about."""
    deadline = time.monotonic() + secs
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError, ConnectionError):  # it is being started again
            if value := condition():
                return value
        time.sleep(0.02)  # another process cannot be awaited
    raise AssertionError(f"{condition} did not become true in {secs} s")

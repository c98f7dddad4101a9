"""The processes of a proof: the platform with its worker, and the provider. Each can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import httpx

from strait import Client
from strait.errors import StraitError

_MAIN = "from strait.prove.shop.{version} import job  # noqa: F401\n"
_START_SECS = 60.0
_PAUSE_SECS = 0.02


class ProofError(StraitError):
    """A proof cannot go on; the text says why."""


class Provider:
    """The payment provider.

    Args:
        directory: where its ledger is.
    """

    def __init__(self, directory: Path) -> None:
        self.ledger = directory / "provider.db"
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "strait.prove.provider", str(self.ledger)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = _first_line(self._process, "the payment provider").strip()
        self._http = httpx.Client(base_url=self.url)

    def begun(self) -> int:
        """Return how many steps were begun so far."""
        return int(self._said()["calls"])

    def worker_pid(self) -> int:
        """Return the process in which the last step was begun; 0 before the first."""
        return int(self._said()["worker_pid"])

    def _said(self) -> dict[str, int]:
        said: dict[str, int] = self._http.get("/").json()
        return said

    def stop(self) -> None:
        """End it."""
        self._http.close()
        self._process.communicate()


class Platform:
    """`strait dev` with the shop's handlers in a worker process of its own.

    Args:
        directory: where its database, its code and its log are.
        provider_url: where the steps find the provider.
    """

    def __init__(self, directory: Path, provider_url: str) -> None:
        self._directory = directory
        self._environment = {**os.environ, "STRAIT_PROVE_PROVIDER": provider_url}
        self._process: subprocess.Popen[str] | None = None
        self._log = (directory / "platform.log").open("a", encoding="utf-8")
        self._port = 0
        self.base_url = ""
        self.api_key = ""
        self.project_id = ""
        self.slowest_start_secs = 0.0
        self.starts = 0
        self.deploy("v1")

    def client(self) -> Client:
        """Return a client that tries nothing again by itself, so that each answer counts."""
        return Client(
            base_url=self.base_url, api_key=self.api_key, project_id=self.project_id, retry=None
        )

    def deploy(self, version: str) -> None:
        """Save the code of a version where the platform watches it."""
        target = self._directory / "shop.py"
        fresh = target.with_suffix(".new")
        fresh.write_text(_MAIN.format(version=version), encoding="utf-8")
        fresh.replace(target)

    def start(self) -> None:
        """Start the platform on what is on disk, and return once it answers."""
        began = time.monotonic()
        command = [sys.executable, "-m", "strait.cli", "dev", "shop.py", "--json"]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, "--port", str(self._port), "--db", "prove.db"],
            cwd=self._directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        ready = json.loads(_first_line(self._process, "the platform"))
        threading.Thread(target=_read_on, args=(self._process.stdout,), daemon=True).start()
        self.base_url, self.api_key = ready["base_url"], ready["api_key"]
        self.project_id = ready["project_id"]
        self._port = int(self.base_url.rpartition(":")[2])
        self.starts += 1
        self.slowest_start_secs = max(self.slowest_start_secs, time.monotonic() - began)

    def kill(self, kind: str, worker_pid: int) -> None:
        """End processes as a power cut would, and start what must be started again.

        Args:
            kind: `server`, `worker` or `both`.
            worker_pid: the worker; the platform starts another one itself.
        """
        if kind != "server" and worker_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker_pid, signal.SIGKILL)
        if kind != "worker" and self._process is not None:
            self._process.kill()
            self._process.wait()
            self.start()

    def limit_file_size(self, size: int | None) -> bool:
        """Let no file of the server grow beyond a size; None lifts that.

        Returns whether this system can do it to another process (Linux can).
        """
        if not sys.platform.startswith("linux") or self._process is None:
            return False
        import resource  # noqa: PLC0415 - it is not on every system

        pid, kind = self._process.pid, resource.RLIMIT_FSIZE
        _, most = resource.prlimit(pid, kind)
        resource.prlimit(pid, kind, (most if size is None else size, most))
        return True

    def size_of_log(self) -> int:
        """Return how many bytes the server's write-ahead log has."""
        return (self._directory / "prove.db-wal").stat().st_size

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=60)
        self._log.close()


def until(condition: Callable[[], bool], what: str, *, secs: float) -> None:
    """Return once something is so that other processes bring about.

    Raises:
        ProofError: it is not so in time.
    """
    deadline = time.monotonic() + secs
    while time.monotonic() < deadline:
        # The server may be being started again.
        with contextlib.suppress(StraitError, httpx.HTTPError):
            if condition():
                return
        time.sleep(_PAUSE_SECS)
    raise ProofError(f"{what} did not happen in {secs:g} s")


def _first_line(process: subprocess.Popen[str], what: str) -> str:
    stdout = process.stdout
    line = stdout.readline() if stdout is not None else ""
    if not line:
        raise ProofError(f"{what} ended with status {process.wait()} before it was ready")
    return line


def _read_on(stdout: IO[str] | None) -> None:
    # What is not read would in the end block the process that writes it.
    for _ in stdout or ():
        pass

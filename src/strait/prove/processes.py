"""The processes of a proof: the platform with its worker, and the payment provider."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import IO

from strait.client import Client
from strait.errors import StraitError
from strait.prove.shop.steps import PROVIDER_VARIABLE, WITNESS_VARIABLE
from strait.prove.witness import Reader

DATABASE = "prove.db"
LEDGER = "provider.db"
WITNESS = "witness.jsonl"
LOG = "platform.log"
CODE = "shop.py"

_STOP_SECS = 30.0


class ProofError(StraitError):
    """A proof cannot go on; the text says why."""


class Provider:
    """The payment provider.

    Args:
        directory: where its ledger is.
    """

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - it is our own
            [sys.executable, "-m", "strait.prove.provider", str(directory / LEDGER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.url = _first_line(self._process, "the payment provider").strip()

    def stop(self) -> None:
        """End it, which the end of its input does."""
        self._process.communicate(timeout=_STOP_SECS)


class Platform:
    """`strait dev` with the shop's handlers in a worker process of its own.

    Args:
        directory: where its database, its code and its log are.
        provider_url: where the steps find the provider.

    Attributes:
        base_url: its address, the same after each start.
        api_key: its key, too.
        starts: how often it was started.
        slowest_start_secs: how long the slowest start took.
    """

    def __init__(self, directory: Path, provider_url: str) -> None:
        self._directory = directory
        self.witness = Reader(directory / WITNESS)
        self._environment = {
            # Settings of this machine must not change what a proof does.
            **{name: text for name, text in os.environ.items() if not name.startswith("STRAIT_")},
            PROVIDER_VARIABLE: provider_url,
            WITNESS_VARIABLE: str(directory / WITNESS),
        }
        self._process: subprocess.Popen[str] | None = None
        self._log = (directory / LOG).open("ab")
        self._killed: set[int] = set()
        self._port = 0
        self.base_url = ""
        self.api_key = ""
        self.starts = 0
        self.slowest_start_secs = 0.0

    def client(self) -> Client:
        """Return a client that tries nothing again by itself, so that each answer counts."""
        return Client(base_url=self.base_url, api_key=self.api_key, retry=None)

    def deploy(self, version: str) -> None:
        """Save the code of a version where the platform watches it."""
        target = self._directory / CODE
        fresh = target.with_suffix(".new")
        with as_file(files("strait.prove.shop") / f"{version}.py") as source:
            shutil.copyfile(source, fresh)
        fresh.replace(target)

    def start(self) -> None:
        """Start the platform on what is on disk, and return once it answers.

        Raises:
            ProofError: it ended at once; its log says why.
        """
        began = time.monotonic()
        command = [sys.executable, "-m", "strait.cli", "dev", CODE, "--json", "--quiet"]
        self._process = subprocess.Popen(  # noqa: S603 - it is our own
            [*command, "--port", str(self._port), "--db", DATABASE],
            cwd=self._directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # A Ctrl-C at the terminal is for the proof, which then ends this in order.
            start_new_session=True,
        )
        what = f"the platform (see {self._directory / LOG})"
        ready = json.loads(_first_line(self._process, what))
        threading.Thread(target=_read_on, args=[self._process.stdout], daemon=True).start()
        self.base_url, self.api_key = ready["base_url"], ready["api_key"]
        self._port = int(self.base_url.rpartition(":")[2])
        self._killed.clear()
        self.starts += 1
        self.slowest_start_secs = max(self.slowest_start_secs, time.monotonic() - began)

    def worker(self, client: Client) -> int | None:
        """Return the process that runs the shop's code now; None while there is none."""
        status = client.dev.get_status()
        if status.state != "serving":
            return None
        (pid,) = [process.pid for process in status.processes if process.current]
        return None if pid in self._killed else pid

    def kill(self, kind: str, worker: int | None) -> None:
        """End processes as a power cut would, and start what does not start again by itself.

        Args:
            kind: `server`, `worker` or `both`. The platform starts another worker itself; a worker
                whose server was killed goes on until it notices.
            worker: the worker; None where it lives on.
        """
        if worker is not None:
            os.kill(worker, signal.SIGKILL)
            self._killed.add(worker)
        if kind != "worker" and self._process is not None:
            self._process.kill()
            self._process.wait()
            self.start()

    def fill_disk(self) -> bool:
        """Leave the server no room to write in any file; False where that cannot be done.

        Linux can limit the files of a process that runs. What the limit refuses is refused as a
        full disk would do it, in the middle of a page, too.
        """
        return self._limit_files(_some_pages_and_a_half(self._directory / f"{DATABASE}-wal"))

    def free_disk(self) -> None:
        """Give the server its room again."""
        self._limit_files(None)

    def _limit_files(self, size: int | None) -> bool:
        if not sys.platform.startswith("linux") or self._process is None:
            return False
        pid, kind = self._process.pid, resource.RLIMIT_FSIZE
        _, most = resource.prlimit(pid, kind)
        resource.prlimit(pid, kind, (most if size is None else size, most))
        return True

    def stop(self) -> None:
        """End it in order, or at once if that takes too long."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()


def _some_pages_and_a_half(log: Path) -> int:
    """Return a size that the next writes cannot keep below: half of what the log has now."""
    page = 4_096
    return (log.stat().st_size // page // 2) * page + page // 2


def _first_line(process: subprocess.Popen[str], what: str) -> str:
    stdout = process.stdout
    line = stdout.readline() if stdout is not None else ""
    if not line:
        raise ProofError(f"{what} ended with status {process.wait()} before it was ready")
    return line


def _read_on(stdout: IO[str]) -> None:
    # What is not read would in the end block the process that writes it.
    with stdout:
        for _ in stdout:
            pass

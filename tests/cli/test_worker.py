"""`strait worker` before it works: what it needs to know, and what it says when it does not."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from strait.cli.commands import cli
from strait.cli.failures import CommandError, ExitCode

from .processes import TARGET, environment


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a job, and nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("STRAIT_BASE_URL", "STRAIT_API_KEY", "STRAIT_PROJECT", "STRAIT_WORKER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "hello.py").write_text(TARGET)
    return tmp_path


def refused(*arguments: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        cli.main(["worker", *arguments], standalone_mode=False)
    return caught.value


def test_the_platform_of_this_directory_must_serve_workers(here: Path) -> None:
    (here / ".strait").mkdir()
    owner = {"pid": 1, "address": "http://127.0.0.1:1"}
    (here / ".strait" / "dev.db.lock").write_text(json.dumps(owner))
    key = {"project_id": "p", "api_key": "strait_k"}
    (here / ".strait" / "dev.db.key").write_text(json.dumps(key))
    error = refused("hello.py")
    assert error.code is ExitCode.UNREACHABLE
    assert str(error) == (
        "the platform of this directory does not serve workers — "
        "start it with `--grpc-port 0`, or give `--addr`"
    )


def test_a_worker_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused("hello.py", "--base-url", "https://platform.example")
    assert error.code is ExitCode.DENIED
    assert "set STRAIT_API_KEY to a key with the scope `workers:connect`" in str(error)


def test_a_worker_needs_code(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRAIT_API_KEY", "strait_k")
    (here / "hello.py").unlink()
    error = refused("--base-url", "https://platform.example")
    assert error.code is ExitCode.USAGE
    assert str(error).startswith("no code here: ")


def test_what_grpc_says_of_a_connection_is_no_line_of_its_own(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = ["worker", "hello.py", "--addr", f"127.0.0.1:{port}", "--tls", "--json"]
        worker = subprocess.Popen(
            [sys.executable, "-m", "strait.cli", *command, "--base-url", "http://127.0.0.1:1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=here,
            env=environment(STRAIT_API_KEY="strait_k"),
        )
        try:
            caller, _ = other.accept()
            caller.sendall(b"HTTP/1.1 400 this is no TLS\r\n\r\n")
            caller.close()
            assert worker.stdout is not None
            # The module itself prints a line, too.
            told = [json.loads(line) for line in islice(worker.stdout, 3) if line[0] == "{"]
            assert [line["event"] for line in told] == ["starting", "disconnected"]
        finally:
            worker.send_signal(signal.SIGTERM)
            _, errors = worker.communicate()
    assert "ssl_transport_security" not in errors

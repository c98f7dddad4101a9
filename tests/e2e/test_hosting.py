"""The same jobs in every framework, started as users start them, on one platform."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from strait import Client
from strait.fsm import is_terminal_run_status
from strait.serve import Manifest, register_all
from tests.e2e.platform import REPO, Platform, start, until

pytestmark = pytest.mark.e2e

SECRET = "esec_0123456789abcdef"
EXAMPLES = "examples.hosting"
UVICORN = ("-m", "uvicorn", "--log-level", "warning", "--port", "{port}")


@dataclass(frozen=True)
class Hosting:
    """A way to host the jobs of the example.

    Attributes:
        command: what Python is called with; `{port}` stands for a free one, `{grpc_addr}` for
            where the platform serves workers.
        prefixes: what stands before `/jobs/{slug}`; with more than one, everything is done with
            each. None is for what nobody calls, because it connects to the platform by itself.
    """

    command: tuple[str, ...]
    prefixes: tuple[str | None, ...] = ("/strait",)


SHIM = ("-m", "tests.e2e.lambda_shim", "{port}", f"{EXAMPLES}.lambda_function:handler")
HOSTINGS = {
    "asgi": Hosting((*UVICORN, f"{EXAMPLES}.asgi_app:app"), ("",)),
    "wsgi": Hosting(("-m", f"{EXAMPLES}.wsgi_app", "{port}"), ("",)),
    "fastapi": Hosting((*UVICORN, f"{EXAMPLES}.fastapi_app:app")),
    "starlette": Hosting((*UVICORN, f"{EXAMPLES}.starlette_app:app")),
    "flask": Hosting(("-m", "flask", "--app", f"{EXAMPLES}.flask_app", "run", "-p", "{port}")),
    "django": Hosting(("-m", f"{EXAMPLES}.django_app", "runserver", "--noreload", "{port}")),
    "django-asgi": Hosting((*UVICORN, f"{EXAMPLES}.django_app:application")),
    "lambda": Hosting(SHIM, ("", "/v1", "/alb")),
    "worker": Hosting(
        ("-m", "strait.cli", "worker", "examples/hosting/jobs.py", "--addr", "{grpc_addr}"), (None,)
    ),
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    database: Path = tmp_path_factory.mktemp("hosting") / "dev.db"
    platform = start(database, "", "--grpc-port", "0")
    yield platform
    platform.stop()


@pytest.fixture(scope="module")
def client(platform: Platform) -> Iterator[Client]:
    with platform.client() as client:
        yield client


@contextmanager
def hosted(hosting: Hosting, platform: Platform, errors: Path) -> Iterator[str]:
    """Run a file of the example while the block lasts, and give the address that it answers at."""
    port = str(_free_port())
    environment = {
        "STRAIT_BASE_URL": platform.base_url,
        "STRAIT_API_KEY": platform.api_key,
        "STRAIT_SIGNING_SECRET": SECRET,
        "HEARTBEAT_SECS": "0.1",
        "PYTHONPATH": f"{REPO / 'src'}:{REPO}",
        # What is left open at the end is told there.
        "PYTHONWARNINGS": "always::ResourceWarning",
    }
    url = f"http://127.0.0.1:{port}"
    places = {"port": port, "grpc_addr": platform.grpc_addr}
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, *(word.format(**places) for word in hosting.command)],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=REPO,
            env={**os.environ, **environment},
        )
        try:
            for prefix in hosting.prefixes:
                if prefix is not None:
                    until(lambda at=prefix: process.poll() is not None or _answers(url + at))
            assert process.poll() is None, errors.read_text()
            yield url
        finally:
            # As Ctrl-C does: the servers of frameworks know no other orderly end.
            process.send_signal(signal.SIGINT)
            process.wait(30)


@pytest.mark.parametrize("name", HOSTINGS)
def test_the_same_jobs_run_in_every_framework(
    name: str, client: Client, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRAIT_SIGNING_SECRET", SECRET)
    from examples.hosting.jobs import JOBS

    errors, hosting = tmp_path / "errors", HOSTINGS[name]
    with hosted(hosting, platform, errors) as address:
        for prefix in hosting.prefixes:
            url = f"{address}{prefix or ''}"
            report = register_all(
                client,
                Manifest.of(JOBS) if prefix is not None else Manifest.of(JOBS).for_workers(),
                base_url_of_handlers=url,
                project_id=platform.project_id,
                signing_secret=SECRET,
            )
            # A worker is told what the platform knows; a host finds out that its run has ended.
            reason = "canceled by user" if prefix is None else "the run has ended"
            _runs_what_is_triggered(client, report.jobs, tmp_path / f"note{hash(prefix)}", reason)
            if prefix is not None:
                _refuses_who_does_not_sign(url)
    assert "ResourceWarning" not in errors.read_text()
    assert "never retrieved" not in errors.read_text()


def _runs_what_is_triggered(client: Client, jobs: dict[str, str], note: Path, reason: str) -> None:
    """Run a plain handler, one whose first attempt fails after a step, and one that is canceled."""

    def trigger(slug: str, payload: object) -> str:
        run_id: str = client.jobs.trigger(jobs[slug], payload=payload)["id"]
        return run_id

    patient = trigger("patient", {"note": str(note)})
    greeting = trigger("greet", {"name": "ada"})
    ordered = trigger("order", {"items": ["tea", "cake"]})
    assert _ended(client, greeting).result == {"greeting": "hello ada"}
    assert _ended(client, ordered).result == {"receipt": "charged 500 cents", "attempt": 2}
    steps = client.runs.list_steps(ordered)
    assert [step.name for step in steps] == ["price", "charge"]

    until(lambda: any(event.type == "progress" for event in client.runs.list_events(patient)))
    client.runs.cancel(patient)
    assert until(lambda: note.exists() and note.read_text()) == reason


def _refuses_who_does_not_sign(url: str) -> None:
    answer = httpx.post(f"{url}/jobs/greet", json={}, headers={"X-Run-ID": "run_1"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "Unauthorized")
    answer = httpx.post(f"{url}/jobs/unknown", json={})
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "NotFound")


def _ended(client: Client, run_id: str):
    def look():
        run = client.runs.get(run_id)
        return run if is_terminal_run_status(run.status) else None

    run = until(look)
    assert run.status == "completed", run.error
    return run


def _answers(url: str) -> bool:
    return httpx.get(f"{url}/health").status_code == 200


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

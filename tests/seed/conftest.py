"""The world that the published README takes for granted: a platform, a worker, a key, files.

Its snippets run unchanged, so what they name has to be there: `https://api.strait.dev` is an
embedded platform, `your-key` its key, `/path/to` a directory, and `proj-1` a project.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest

from strait import AsyncClient, Client
from strait.local import LocalPlatform

PROJECT = "proj-1"
README_HOST = "api.strait.dev"
README_KEY = "your-key"


class Worker(ThreadingHTTPServer):
    """The user's own service, which gets the dispatches of runs.

    Attributes:
        dispatches: run id and run token of each.
        answers: dispatches are answered once it is set, which it is at first.
    """

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dispatches: Queue[tuple[str, str]] = Queue()
        self.answers = threading.Event()
        self.answers.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/run"


class _Handler(BaseHTTPRequestHandler):
    server: Worker

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.dispatches.put((self.headers["X-Run-ID"], self.headers["X-Run-Token"]))
        self.server.answers.wait(30)
        body = json.dumps({"done": True}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.answers.set()
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def embedded() -> Iterator[LocalPlatform]:
    with LocalPlatform(None, project_id=PROJECT) as platform:
        yield platform


@pytest.fixture
def ids() -> dict[str, str]:
    """Ids that the README makes up, and the real ones that a test gives them."""
    return {}


@pytest.fixture
def platform(
    embedded: LocalPlatform,
    ids: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> LocalPlatform:
    """The embedded platform at the README's address, with the README's key, ids and files."""
    for kind, method in (
        (httpx.HTTPTransport, "handle_request"),
        (httpx.AsyncHTTPTransport, "handle_async_request"),
    ):
        monkeypatch.setattr(kind, method, _redirected(getattr(kind, method), embedded, ids))
    for name in ("BASE_URL", "AUTH_TYPE", "TIMEOUT_MS", "PROJECT"):
        monkeypatch.delenv(f"STRAIT_{name}", raising=False)
    monkeypatch.setenv("STRAIT_API_KEY", README_KEY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "strait.config.Path", lambda path: Path(str(path).replace("/path/to", str(tmp_path)))
    )
    return embedded


def _redirected(send, platform: LocalPlatform, ids: dict[str, str]):
    """Return the method of a transport, with the README's host, key and ids made real."""
    to = httpx.URL(platform.base_url)

    def sent(self, request: httpx.Request):
        if request.url.host == README_HOST:
            request.url = request.url.copy_with(scheme=to.scheme, host=to.host, port=to.port)
            request.headers["host"] = to.netloc.decode()  # it answers under its own name only
        if request.headers.get("authorization") == f"Bearer {README_KEY}":
            request.headers["authorization"] = f"Bearer {platform.api_key}"
        parts = [ids.get(part, part) for part in request.url.path.split("/")]
        request.url = request.url.copy_with(path="/".join(parts))
        return send(self, request)

    return sent


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """What earlier blocks of the README left; clients that a snippet leaves open are closed."""
    made: dict[str, Any] = {"Client": Client, "AsyncClient": AsyncClient}
    yield made
    for value in made.values():
        if isinstance(value, Client | httpx.Client):
            value.close()

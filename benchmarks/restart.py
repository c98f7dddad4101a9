"""How soon a platform that was killed calls handlers again: from the start of its process."""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue

from benchmarks.server import TARGET, Row
from strait import clock
from tests.e2e.platform import start

_TIMES = 10
_AT_WORK = 20
_QUEUED = 200
_BATCH, _BATCHES = 500, 4
_LONGEST_SECS = 60


class Handlers:
    """An endpoint that outlives the platform; its handlers work until they are let go."""

    def __init__(self) -> None:
        self.called: SimpleQueue[float] = SimpleQueue()
        self.may_end = threading.Event()

    def forget(self) -> None:
        """Forget who was called so far."""
        while True:
            try:
                self.called.get_nowait()
            except Empty:
                return


def measure() -> list[Row]:
    """Kill platforms with runs at work and runs that wait, and start them again."""
    return [
        _row("to an endpoint that lives on", [_alone() for _ in range(_TIMES)]),
        _row("to handlers that `strait dev` starts", [_hosting() for _ in range(_TIMES)]),
    ]


def _row(what: str, took: list[float]) -> Row:
    shown = f"{statistics.median(took):.2f} s, slowest {max(took):.2f} s"
    return f"killed and started: the first dispatch {what}", shown, f"{_TIMES} kills"


def _alone() -> float:
    with tempfile.TemporaryDirectory() as directory, _endpoint() as (url, handlers):
        database = Path(directory) / "restart.db"
        platform = start(database)
        with platform.client() as client:
            job = client.jobs.create(
                project_id=platform.project_id,
                name="Held",
                slug="held",
                endpoint_url=url,
                max_concurrency=_AT_WORK,
            )
            client.jobs.bulk_trigger(job.id, items=[{} for _ in range(_AT_WORK + _QUEUED)])
        for _ in range(_AT_WORK):
            handlers.called.get(timeout=_LONGEST_SECS)
        platform.kill()
        handlers.forget()
        began = time.monotonic()
        platform = start(database)
        took = handlers.called.get(timeout=_LONGEST_SECS) - began
        handlers.may_end.set()
        platform.stop()
    return took


def _hosting() -> float:
    """Return the same of `strait dev`, from the records: the first run that starts says when."""
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "restart.db"
        platform = start(database, str(TARGET), "--no-reload", "--quiet")
        with platform.client() as client:
            (job,) = client.jobs.list(slug="noop")
            for _ in range(_BATCHES):
                client.jobs.bulk_trigger(job.id, items=[{} for _ in range(_BATCH)])
        platform.kill()
        began = clock.SystemClock().now()
        platform = start(database, str(TARGET), "--no-reload", "--quiet")
        took = _first_start(database, began) - began
        platform.stop()
    return took / clock.SECOND


def _first_start(database: Path, began: int) -> int:
    """Return when the first run started after an instant."""
    deadline = time.monotonic() + _LONGEST_SECS
    with closing(sqlite3.connect(database)) as db:
        while time.monotonic() < deadline:
            (first,) = db.execute(
                "SELECT min(doc ->> 'started_at') FROM runs WHERE doc ->> 'started_at' > ?",
                (clock.to_timestamp(began),),
            ).fetchone()
            if first is not None:
                return clock.from_timestamp(first)
            time.sleep(0.05)
    raise RuntimeError(f"no run has started within {_LONGEST_SECS} s: none was left")


@contextmanager
def _endpoint() -> Iterator[tuple[str, Handlers]]:
    handlers = Handlers()

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            handlers.called.put(time.monotonic())
            self.rfile.read(int(self.headers["content-length"]))
            handlers.may_end.wait(_LONGEST_SECS)
            with suppress(OSError):  # who has called may have been killed
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", handlers
        finally:
            handlers.may_end.set()
            server.shutdown()
            thread.join()

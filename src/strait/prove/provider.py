"""The payment provider of a proof: a process of its own with a ledger of its own.

It does what a real one does: it takes money under an idempotency key, once, and answers the same
key the same. Beside that it writes down each call, so that afterwards one can see how often which
step of which run was begun. `python -m strait.prove.provider LEDGER` prints its address.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from strait.clock import to_timestamp

_SCHEMA = """
CREATE TABLE calls (key TEXT NOT NULL, run_id TEXT NOT NULL, step TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE charges (key TEXT PRIMARY KEY, order_id TEXT NOT NULL, cents INTEGER NOT NULL);
"""


class Ledger:
    """What the provider knows, on disk before it answers.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_SCHEMA)
        self.calls = 0
        self.worker_pid = 0

    def begin(self, call: dict[str, Any]) -> None:
        """Write down that a step was begun, and take its money if it has any to take."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO calls VALUES (?, ?, ?, ?)",
                (call["key"], call["run_id"], call["step"], to_timestamp(time.time_ns() // 1000)),
            )
            if "cents" in call:
                self._db.execute(
                    "INSERT OR IGNORE INTO charges VALUES (?, ?, ?)",
                    (call["key"], call["order_id"], call["cents"]),
                )
            self.calls += 1
            self.worker_pid = call["pid"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; the second must not wait until the first is acknowledged.
    disable_nagle_algorithm = True
    ledger: Ledger

    def do_POST(self) -> None:
        """Take the call of a step."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.ledger.begin(json.loads(body))
        self._answer({"ok": True})

    def do_GET(self) -> None:
        """Say how many steps were begun, and in which process the last one."""
        self._answer({"calls": self.ledger.calls, "worker_pid": self.ledger.worker_pid})

    def _answer(self, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of each request."""


def main(path: Path) -> None:
    """Serve until the parent is gone."""
    handler = type("Handler", (_Handler,), {"ledger": Ledger(path)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

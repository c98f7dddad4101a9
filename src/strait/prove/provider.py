"""The payment provider of a proof: a process of its own, with a ledger of its own.

It does what a real one does: under an idempotency key it takes money once, and answers the same
key the same each time. It writes down each request, too, so that one can see how often it was
asked. `python -m strait.prove.provider LEDGER` prints its address, and ends with its parent.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# With `synchronous = FULL` each commit is synced, so what was answered is on disk.
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE charges (key TEXT PRIMARY KEY, order_id TEXT NOT NULL, cents INTEGER NOT NULL);
CREATE TABLE requests (id INTEGER PRIMARY KEY, key TEXT NOT NULL, order_id TEXT NOT NULL);
"""


class Ledger:
    """What the provider knows, on disk before it answers.

    Args:
        path: the file, which must not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self._db.executescript(_SCHEMA)

    def charge(self, key: str, order_id: str, cents: int) -> dict[str, Any]:
        """Take money under a key, if it was not taken yet, and return the charge."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            asked = (key, order_id)
            self._db.execute("INSERT INTO requests (key, order_id) VALUES (?, ?)", asked)
            self._db.execute(
                "INSERT OR IGNORE INTO charges VALUES (?, ?, ?)", (key, order_id, cents)
            )
            (taken,) = self._db.execute(
                "SELECT cents FROM charges WHERE key = ?", (key,)
            ).fetchone()
        return {"order_id": order_id, "cents": taken}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; the second must not wait until the first is acknowledged.
    disable_nagle_algorithm = True
    ledger: Ledger

    def do_POST(self) -> None:
        """Take a charge."""
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        if len(body) < size:  # the caller was killed before it had said all
            self.close_connection = True
            return
        asked = json.loads(body)
        key = self.headers["Idempotency-Key"]
        said = self.ledger.charge(key, str(asked["order_id"]), int(asked["cents"]))
        answer = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of each request."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # All orders may ask at once after a kill.
    request_queue_size = 1_024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a caller that was killed while it waited for the answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main(path: Path) -> None:
    """Serve until the parent is gone."""
    handler = type("Handler", (_Handler,), {"ledger": Ledger(path)})
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

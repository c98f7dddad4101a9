"""A small payment service with a ledger of its own, so that a double charge would show.

    python examples/order_pipeline/payments.py --port 7680 --ledger payments.db

It honours `Idempotency-Key`: the same key is the same charge, however often it is asked for. To
show why that matters, a request may ask for `lose_answers: n`: the first n requests of its key are
charged and then cut off without an answer, as a network would.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

DEFAULT_PORT = 7680
_SCHEMA = """
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY,
    idempotency_key TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    amount_cents INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY,
    idempotency_key TEXT NOT NULL,
    order_id TEXT NOT NULL
);
"""


class Ledger:
    """Charges and the requests for them, in a SQLite file."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")

    def charge(self, key: str, order_id: str, amount_cents: int) -> tuple[dict[str, Any], int]:
        """Return the charge of a key, made if it is not there, and how often it was asked for."""
        with self._lock:
            self._db.execute(
                "INSERT INTO requests (idempotency_key, order_id) VALUES (?, ?)", (key, order_id)
            )
            self._db.execute(
                "INSERT OR IGNORE INTO charges (idempotency_key, order_id, amount_cents) "
                "VALUES (?, ?, ?)",
                (key, order_id, amount_cents),
            )
            (asked,) = self._db.execute(
                "SELECT count(*) FROM requests WHERE idempotency_key = ?", (key,)
            ).fetchone()
            (row,) = self._charges("idempotency_key = ?", key)
        return row, asked

    def of_order(self, order_id: str) -> dict[str, Any]:
        """Return the charges of an order and how often they were asked for."""
        with self._lock:
            (asked,) = self._db.execute(
                "SELECT count(*) FROM requests WHERE order_id = ?", (order_id,)
            ).fetchone()
            return {"charges": self._charges("order_id = ?", order_id), "requests": asked}

    def _charges(self, condition: str, value: str) -> list[dict[str, Any]]:
        rows = self._db.execute(
            f"SELECT id, order_id, amount_cents FROM charges WHERE {condition}", (value,)
        )
        return [
            {"id": f"ch_{id}", "order_id": order_id, "amount_cents": amount}
            for id, order_id, amount in rows
        ]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


class PaymentServer(ThreadingHTTPServer):
    """The service on a port."""

    daemon_threads = True

    def __init__(self, port: int, ledger: Ledger) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.ledger = ledger


class _Handler(BaseHTTPRequestHandler):
    server: PaymentServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/health":
            self._answer(200, {"status": "ok"})
        elif parts.path == "/charges":
            order_id = parse_qs(parts.query).get("order_id", [""])[0]
            self._answer(200, self.server.ledger.of_order(order_id))
        else:
            self._answer(404, {"error": "not found"})

    def do_POST(self) -> None:
        try:
            asked_for = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            order_id, amount = str(asked_for["order_id"]), int(asked_for["amount_cents"])
            lose_answers = int(asked_for.get("lose_answers", 0))
        except (ValueError, KeyError, TypeError) as error:
            self._answer(400, {"error": f"a charge needs `order_id` and `amount_cents`: {error!r}"})
            return
        key = self.headers.get("Idempotency-Key", "")
        if not key or amount <= 0:
            self._answer(400, {"error": "a charge needs an `Idempotency-Key` and an amount over 0"})
            return
        charge, asked = self.server.ledger.charge(key, order_id, amount)
        if asked <= lose_answers:
            # The money is taken and nobody is told.
            self.close_connection = True
            return
        self._answer(200, charge)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet; the ledger tells what happened."""


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes any that is free")
    parser.add_argument("--ledger", default="payments.db", help="the SQLite file of the ledger")
    options = parser.parse_args()
    server = PaymentServer(options.port, Ledger(options.ledger))
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.ledger.close()


if __name__ == "__main__":
    main()

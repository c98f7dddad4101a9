"""Send orders through the pipeline, approve them, and compare the ledger with the orders.

    strait dev examples/order_pipeline          # in one terminal
    STRAIT_BASE_URL=... STRAIT_API_KEY=... python examples/order_pipeline/run.py

It starts the payment service if there is none, and ends with 1 if an order was charged more than
once, or not at all. One of the orders loses the answers to its first two charges, and one asks for
what the shop does not have.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from strait import Client
from strait.fsm import is_terminal_workflow_run_status

T = TypeVar("T")
HERE = Path(__file__).parent
ORDERS: list[dict[str, Any]] = [
    {"items": [{"sku": "tea", "quantity": 2}]},
    {"items": [{"sku": "coffee", "quantity": 1}, {"sku": "cup", "quantity": 2}], "lose_answers": 2},
    {"items": [{"sku": "unicorn", "quantity": 1}]},
]


@contextmanager
def payment_service(url: str, ledger: str) -> Iterator[httpx.Client]:
    """Give a client of the payment service; it is started if nobody answers at its address."""
    process: subprocess.Popen[bytes] | None = None
    with httpx.Client(base_url=url, timeout=5) as payments:
        if not _is_up(payments):
            port = str(httpx.URL(url).port or 80)
            command = [sys.executable, str(HERE / "payments.py"), "--port", port]
            process = subprocess.Popen([*command, "--ledger", ledger], stdout=subprocess.DEVNULL)
            _until(lambda: _is_up(payments), bool, "the payment service does not start")
        try:
            yield payments
        finally:
            if process is not None:
                process.terminate()
                process.wait()


def _is_up(payments: httpx.Client) -> bool:
    try:
        return payments.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _until(look: Callable[[], T], good: Callable[[T], object], otherwise: str) -> T:
    """Look again and again until what is seen is good, for at most two minutes."""
    for _ in range(600):
        seen = look()
        if good(seen):
            return seen
        time.sleep(0.2)
    raise SystemExit(otherwise)


def send_through(client: Client, workflow_id: str, order: dict[str, Any]) -> str:
    """Trigger the pipeline for an order, approve it, and return the status that it ends with."""
    order_id = order["order_id"]
    run_id = client.workflows.trigger(workflow_id, {"payload": order}, idempotency_key=order_id)[
        "id"
    ]

    def status() -> str:
        return str(client.workflow_runs.get(run_id)["status"])

    def waits_or_ended() -> str:
        steps = {step["step_ref"]: step for step in client.workflow_runs.list_steps(run_id)}
        approval = steps["approve"]
        if approval["status"] == "waiting" and approval.get("started_at"):
            return "waiting"
        ended = is_terminal_workflow_run_status(status())
        return "ended" if ended else ""

    if _until(waits_or_ended, bool, f"order {order_id} does not get on") == "waiting":
        client.workflow_runs.approve_step(run_id, "approve", {})
    return _until(status, is_terminal_workflow_run_status, f"order {order_id} does not end")


def find_workflow(client: Client) -> str:
    """Return the id of the pipeline."""
    for workflow in client.workflows.list():
        if workflow["slug"] == "order-pipeline":
            return str(workflow["id"])
    raise SystemExit("there is no `order-pipeline`; start `strait dev examples/order_pipeline`")


def main() -> int:
    """Send the orders and tell what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", help="the platform; by default STRAIT_BASE_URL")
    parser.add_argument("--api-key", help="its key; by default STRAIT_API_KEY")
    parser.add_argument("--payments-url", default="http://127.0.0.1:7680")
    parser.add_argument("--ledger", default=".strait/payments.db")
    options = parser.parse_args()
    given = {"base_url": options.base_url, "api_key": options.api_key}
    Path(options.ledger).parent.mkdir(parents=True, exist_ok=True)
    wrong = 0
    with (
        payment_service(options.payments_url, options.ledger) as payments,
        Client.from_env(**{name: value for name, value in given.items() if value}) as client,
    ):
        workflow_id = find_workflow(client)
        print(f"{'order':<20} {'status':<10} {'charges':>7} {'requests':>8} {'cents':>6}")
        for template in ORDERS:
            order = {"order_id": f"order-{uuid.uuid4().hex[:8]}", **template}
            status = send_through(client, workflow_id, order)
            ledger = payments.get("/charges", params={"order_id": order["order_id"]}).json()
            charges = ledger["charges"]
            cents = sum(charge["amount_cents"] for charge in charges)
            print(
                f"{order['order_id']:<20} {status:<10} {len(charges):>7} "
                f"{ledger['requests']:>8} {cents:>6}"
            )
            wrong += len(charges) != (1 if status == "completed" else 0)
    print("every order was charged as it should be" if not wrong else f"{wrong} orders are wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

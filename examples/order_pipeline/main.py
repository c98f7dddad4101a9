"""The order pipeline: validate, charge, wait for an approval, ship.

    strait dev examples/order_pipeline          # the platform, with these handlers
    python examples/order_pipeline/run.py       # in another terminal: orders through all of it

Each handler may be called more than once for the same order: after a crash, after a lost answer,
after a retry. None of them does its work twice, because each has a key for the outside world that
is the same every time.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import httpx

from strait.authoring import (
    JobOptions,
    RunContext,
    SyncRunContext,
    WorkflowOptions,
    approval_step,
    define_job,
    define_workflow,
    job_step,
)
from strait.errors import NonRetryable

PAYMENTS_URL = os.environ.get("PAYMENTS_URL", "http://127.0.0.1:7680")
SHIPMENTS = Path(os.environ.get("SHIPMENTS_DB", ".strait/shipments.db"))
PRICES_CENTS = {"tea": 450, "coffee": 800, "cup": 1200}

Order = dict[str, Any]


async def validate(order: Order, ctx: RunContext) -> dict[str, Any]:
    """Check the order and work out what it costs."""
    if not order.get("order_id") or not order.get("items"):
        raise NonRetryable("an order needs an `order_id` and `items`")
    total = 0
    for item in order["items"]:
        sku, quantity = item.get("sku"), item.get("quantity")
        if sku not in PRICES_CENTS:
            raise NonRetryable(f"there is no {sku!r} in the shop")
        if not isinstance(quantity, int) or quantity < 1:
            raise NonRetryable(f"the quantity of {sku!r} must be a whole number above 0")
        total += PRICES_CENTS[sku] * quantity
    ctx.logger.info("order %s costs %d cents", order["order_id"], total)
    return {"total_cents": total}


async def charge(order: Order, ctx: RunContext) -> dict[str, Any]:
    """Take the money, once: the key of the charge is the order's, whichever attempt this is."""
    amount = order["parent_outputs"]["validate"]["total_cents"]
    async with httpx.AsyncClient(base_url=PAYMENTS_URL, timeout=5) as payments:
        answer = await payments.post(
            "/charges",
            headers={"Idempotency-Key": f"order:{order['order_id']}"},
            json={
                "order_id": order["order_id"],
                "amount_cents": amount,
                "lose_answers": order.get("lose_answers", 0),
            },
        )
    if answer.status_code == 400:
        raise NonRetryable(answer.json()["error"])
    answer.raise_for_status()
    await ctx.annotate({"charge_id": answer.json()["id"]})
    return {"charge_id": answer.json()["id"], "amount_cents": amount}


def ship(order: Order, ctx: SyncRunContext) -> dict[str, Any]:
    """Write the shipment down, once, and give it a tracking number."""
    tracking = hashlib.sha256(order["order_id"].encode()).hexdigest()[:12].upper()
    SHIPMENTS.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(SHIPMENTS)
    try:
        with db:
            db.execute("CREATE TABLE IF NOT EXISTS shipments (order_id PRIMARY KEY, tracking)")
            db.execute(
                "INSERT OR IGNORE INTO shipments VALUES (?, ?)", (order["order_id"], tracking)
            )
    finally:
        db.close()
    ctx.report_progress(100, "handed to the carrier")
    return {"tracking": tracking}


validate_job = define_job(
    JobOptions(name="Validate order", slug="validate-job", timeout_secs=30, run=validate)
)
charge_job = define_job(
    JobOptions(name="Charge order", slug="charge-job", timeout_secs=30, max_attempts=5, run=charge)
)
ship_job = define_job(JobOptions(name="Ship order", slug="ship-job", timeout_secs=30, run=ship))

pipeline = define_workflow(
    WorkflowOptions(
        name="Order Pipeline",
        slug="order-pipeline",
        steps=[
            job_step("validate", "validate-job"),
            job_step("charge", "charge-job", depends_on=["validate"]),
            approval_step("approve", depends_on=["charge"]),
            job_step("ship", "ship-job", depends_on=["approve"]),
        ],
    )
)

"""The order pipeline of the examples: real handlers, a real payment process, its own ledger."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import asynccontextmanager

import httpx
import pytest

from .conftest import Platform
from .processes import ROOT, child, serving

pytestmark = pytest.mark.e2e
EXAMPLE = ROOT / "examples" / "order_pipeline"
ORDER = {"order_id": "o-1", "items": [{"sku": "tea", "quantity": 2}]}


@asynccontextmanager
async def payment_service(ledger):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE / "payments.py"), "--port", "0", "--ledger", str(ledger)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.communicate()


@asynccontextmanager
async def shop(tmp_path):
    """The handlers of the example in their process, with a platform and the payment service."""
    places = {"SHIPMENTS_DB": str(tmp_path / "shipments.db")}
    async with (
        payment_service(tmp_path / "payments.db") as payments,
        serving(Platform()) as platform,
        child(EXAMPLE, platform, PAYMENTS_URL=payments, **places) as handlers,
        httpx.AsyncClient(base_url=payments) as ledger,
    ):
        yield handlers, ledger


async def test_an_order_whose_charge_loses_its_answers_is_charged_once(tmp_path):
    async with shop(tmp_path) as (handlers, ledger):
        validated = await handlers.dispatch("validate-job", ORDER)
        assert validated.json() == {"total_cents": 900}
        order = {**ORDER, "lose_answers": 2, "parent_outputs": {"validate": validated.json()}}
        answers = [await handlers.dispatch("charge-job", order, "run_2", f"a{i}") for i in range(4)]
        assert [answer.status_code for answer in answers] == [500, 500, 200, 200]
        assert answers[2].json() == answers[3].json()
        told = (await ledger.get("/charges", params={"order_id": "o-1"})).json()
        assert told["requests"] == 4
        assert [charge["amount_cents"] for charge in told["charges"]] == [900]


async def test_an_order_is_shipped_once(tmp_path):
    async with shop(tmp_path) as (handlers, _):
        first = await handlers.dispatch("ship-job", ORDER, "run_3", "a1")
        again = await handlers.dispatch("ship-job", ORDER, "run_3", "a2")
        assert first.json() == again.json()
        assert len(first.json()["tracking"]) == 12
    with sqlite3.connect(tmp_path / "shipments.db") as db:
        assert db.execute("SELECT count(*) FROM shipments").fetchone() == (1,)
    db.close()


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([{"sku": "unicorn", "quantity": 1}], "there is no 'unicorn' in the shop"),
        ([{"sku": "tea", "quantity": 0}], "must be a whole number above 0"),
        ([], "an order needs an `order_id` and `items`"),
    ],
)
async def test_an_order_that_cannot_be_fails_for_good(tmp_path, items, reason):
    async with shop(tmp_path) as (handlers, _):
        answer = await handlers.dispatch("validate-job", {"order_id": "o-2", "items": items})
        assert answer.status_code == 422
        assert reason in answer.json()["error"]["message"]

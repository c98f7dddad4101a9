"""What the steps of an order do. Each begins by telling the witness so."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TypeVar

import httpx

from strait.authoring import RunContext, current_step
from strait.prove.plan import PRICES_CENTS
from strait.prove.witness import BEGAN, KEPT, Writer

PROVIDER_VARIABLE = "STRAIT_PROVE_PROVIDER"
"""Names the environment variable that has the address of the payment provider."""
WITNESS_VARIABLE = "STRAIT_PROVE_WITNESS"
"""Names the environment variable that has the file of the witness."""

# To the provider; after a kill many orders ask at once, and wait for a free one.
_CONNECTIONS = 16
_ANSWER_SECS = 30.0

T = TypeVar("T")


@cache
def _witness() -> Writer:
    return Writer(Path(os.environ[WITNESS_VARIABLE]))


@cache
def _provider() -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    return httpx.AsyncClient(
        base_url=os.environ[PROVIDER_VARIABLE], limits=limits, timeout=_ANSWER_SECS
    )


def _begin() -> str:
    """Tell the witness that the step that runs now was begun; return its idempotency key."""
    step = current_step()
    _witness().write(BEGAN, step.run_id, step.name)
    return step.idempotency_key


def kept(ctx: RunContext, result: T, *steps: str) -> T:
    """Tell the witness that steps are on record, since what they return has come back."""
    for step in steps:
        _witness().write(KEPT, ctx.run_id, step)
    return result


async def price(items: list[str]) -> int:
    """Work out what the items cost, in cents."""
    _begin()
    return sum(PRICES_CENTS[item] for item in items)


async def screen(order_id: str, cents: int) -> bool:
    """Look whether a payment is likely to be a fraud; version 2 does so."""
    _begin()
    return cents < 100_000


async def charge(order_id: str, cents: int) -> str:
    """Take the money under the key of the step, and say from whom."""
    key = _begin()
    answer = await _provider().post(
        "/", json={"order_id": order_id, "cents": cents}, headers={"Idempotency-Key": key}
    )
    return str(answer.raise_for_status().json()["order_id"])


async def pack(item: str) -> str:
    """Pack one item."""
    _begin()
    return f"packed {item}"


async def receipt(order_id: str, cents: int, packed: list[str]) -> str:
    """Write the receipt."""
    _begin()
    return f"{order_id}: {cents} cents, {', '.join(packed)}"

"""What the steps of an order do. Each begins by telling the provider so."""

from __future__ import annotations

import os
from typing import Any

import httpx

from strait.authoring import current_step

PRICES_CENTS = {"tea": 450, "coffee": 800, "cup": 1200, "pot": 2100, "spoon": 300}


class Provider:
    """The way to the provider, made when a step first needs it."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def begin(self, **more: Any) -> None:
        """Tell the provider that the step that runs now was begun."""
        step = current_step()
        said = {
            "key": step.idempotency_key,
            "run_id": step.run_id,
            "step": step.name,
            "pid": os.getpid(),
            **more,
        }
        if self._client is None:
            self._client = httpx.AsyncClient(base_url=os.environ["STRAIT_PROVE_PROVIDER"])
        (await self._client.post("/", json=said)).raise_for_status()


provider = Provider()


async def price(items: list[str]) -> int:
    """Work out what the items cost, in cents."""
    await provider.begin()
    return sum(PRICES_CENTS[item] for item in items)


async def screen(order_id: str, cents: int) -> bool:
    """Look whether a payment is likely to be a fraud; version 2 does so."""
    await provider.begin()
    return cents < 100_000


async def charge(order_id: str, cents: int) -> dict[str, Any]:
    """Take the money, once, under the key of the step."""
    await provider.begin(order_id=order_id, cents=cents)
    return {"order_id": order_id, "cents": cents}


async def pack(item: str) -> str:
    """Pack one item."""
    await provider.begin()
    return f"packed {item}"


async def receipt(order_id: str, cents: int, packed: list[str]) -> str:
    """Write the receipt."""
    await provider.begin()
    return f"{order_id}: {len(packed)} items, {cents} cents"

"""Version 2: a step inserted before the payment, and the items in another order.

The items are packed by key, so another order of them changes nothing that is recorded. For some
orders the whole list goes into a step that is recorded already: that must be caught.
"""

from __future__ import annotations

from typing import Any

from strait.authoring import JobOptions, RunContext, define_job
from strait.prove.shop import steps
from strait.prove.shop.v1 import ATTEMPTS, SLUG


async def fulfil(order: dict[str, Any], ctx: RunContext) -> str:
    """Do what version 1 does, and look for frauds."""
    items = list(reversed(order["items"]))
    cents = await ctx.step("price", steps.price, items if order["mistake"] else order["items"])
    await ctx.step("screen", steps.screen, order["id"], cents)
    await ctx.step("charge", steps.charge, order["id"], cents)
    if order["parked"]:
        await ctx.wait_for_event(f"stock:{order['id']}", timeout_secs=24 * 3600)
    packed = await ctx.map(steps.pack, items, name="pack", key=str)
    return await ctx.step("receipt", steps.receipt, order["id"], cents, sorted(packed))


job = define_job(
    JobOptions(
        name="Order",
        slug=SLUG,
        description="version 2",
        run=fulfil,
        timeout_secs=60,
        max_attempts=ATTEMPTS,
        retry_strategy="fixed",
    )
)

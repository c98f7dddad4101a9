"""Version 1 of the shop's handlers."""

from __future__ import annotations

from typing import Any

from strait.authoring import JobOptions, RunContext, define_job
from strait.prove.shop import steps

SLUG = "order"
# A worker that is killed takes its attempt along.
ATTEMPTS = 100


async def fulfil(order: dict[str, Any], ctx: RunContext) -> str:
    """Price, charge, wait for the stock if the order is parked, pack, and write a receipt."""
    cents = await ctx.step("price", steps.price, order["items"])
    await ctx.step("charge", steps.charge, order["id"], cents)
    if order["parked"]:
        await ctx.wait_for_event(f"stock:{order['id']}", timeout_secs=24 * 3600)
    packed = await ctx.map(steps.pack, order["items"], name="pack", key=str)
    return await ctx.step("receipt", steps.receipt, order["id"], cents, packed)


job = define_job(
    JobOptions(
        name="Order",
        slug=SLUG,
        run=fulfil,
        timeout_secs=60,
        max_attempts=ATTEMPTS,
        retry_strategy="fixed",
    )
)

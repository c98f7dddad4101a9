"""Version 2: a step is inserted before the payment, and the items are packed in another order.

The inserted step is only for orders that come to it after the change. The items are packed by key,
so their order changes nothing that is recorded. But the price of some orders is asked for the list
in another order, too, as a careless change would do it: that must be caught.
"""

from __future__ import annotations

from typing import Any

from strait.authoring import JobOptions, RunContext, define_job
from strait.prove.shop import steps
from strait.prove.shop.steps import kept


async def fulfil(order: dict[str, Any], ctx: RunContext) -> str:
    """Do what version 1 does, and look for frauds."""
    id, items = order["id"], order["items"]
    turned = list(reversed(items))
    asked = turned if order["mistake"] else items
    cents = kept(ctx, await ctx.step("price", steps.price, asked), "price")
    if await ctx.version("screen"):
        kept(ctx, await ctx.step("screen", steps.screen, id, cents), "screen")
    kept(ctx, await ctx.step("charge", steps.charge, id, cents), "charge")
    if order["waits"]:
        await ctx.wait_for_event(f"stock:{id}", timeout_secs=24 * 3600)
    packing = [f"pack[{item}]" for item in turned]
    packed = kept(ctx, await ctx.map(steps.pack, turned, name="pack", key=str), *packing)
    packed.reverse()
    return kept(ctx, await ctx.step("receipt", steps.receipt, id, cents, packed), "receipt")


job = define_job(
    JobOptions(
        name="Order",
        slug="order",
        description="version 2",
        run=fulfil,
        timeout_secs=60,
        max_concurrency=16,
        run_ttl_secs=24 * 3600,
        max_attempts=100,
        retry_strategy="fixed",
    )
)

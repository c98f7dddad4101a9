"""Version 1 of the shop's handlers; a proof saves it as `shop.py` and serves it."""

from __future__ import annotations

from typing import Any

from strait.authoring import JobOptions, RunContext, define_job
from strait.prove.shop import steps
from strait.prove.shop.steps import kept


async def fulfil(order: dict[str, Any], ctx: RunContext) -> str:
    """Price, charge, wait for the stock if there is none yet, pack, and write a receipt."""
    id, items = order["id"], order["items"]
    cents = kept(ctx, await ctx.step("price", steps.price, items), "price")
    kept(ctx, await ctx.step("charge", steps.charge, id, cents), "charge")
    if order["waits"]:
        await ctx.wait_for_event(f"stock:{id}", timeout_secs=24 * 3600)
    packing = [f"pack[{item}]" for item in items]
    packed = kept(ctx, await ctx.map(steps.pack, items, name="pack", key=str), *packing)
    return kept(ctx, await ctx.step("receipt", steps.receipt, id, cents, packed), "receipt")


job = define_job(
    JobOptions(
        name="Order",
        slug="order",
        description="version 1",
        run=fulfil,
        timeout_secs=60,
        max_concurrency=16,
        # By default a run expires that has waited for twice its timeout.
        run_ttl_secs=24 * 3600,
        # A worker that is killed takes its attempt along.
        max_attempts=100,
        retry_strategy="fixed",
    )
)

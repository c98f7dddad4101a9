"""The target of the load shapes: handlers that do nothing, hold on, or wait for an event."""

from __future__ import annotations

import asyncio

from strait.authoring import JobOptions, RunContext, define_job


async def noop(payload: dict[str, int], ctx: RunContext) -> dict[str, bool]:
    return {"ok": True}


async def holds(payload: dict[str, int], ctx: RunContext) -> dict[str, bool]:
    await asyncio.sleep(payload.get("secs", 3_600))
    return {"ok": True}


async def waits(payload: dict[str, int], ctx: RunContext) -> dict[str, bool]:
    await ctx.wait_for_event(f"never:{ctx.run_id}", timeout_secs=24 * 3_600)
    return {"ok": True}


job = define_job(JobOptions(name="No-op", slug="noop", run=noop))
holding = define_job(JobOptions(name="Holds", slug="holds", run=holds, timeout_secs=3_600))
# Those that come last wait for their first turn as long as it takes, on a busy machine too.
waiting = define_job(JobOptions(name="Waits", slug="waits", run=waits, run_ttl_secs=24 * 3_600))

"""The jobs that every file here hosts; nothing in them knows where."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from strait.authoring import JobOptions, RunContext, SyncRunContext, define_job
from strait.serve import HostOptions


def greet(payload: dict[str, Any], ctx: SyncRunContext) -> dict[str, Any]:
    """A plain function: it runs in a thread."""
    ctx.report_progress(50, "half way")
    return {"greeting": f"hello {payload['name']}"}


async def order(payload: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
    """Steps: each is done once, also when the attempt after it fails."""
    cents = await ctx.step("price", price, payload["items"])
    if ctx.attempt == 1:
        raise ConnectionError("the payment service is away")
    receipt = await ctx.step("charge", charge, cents)
    return {"receipt": receipt, "attempt": ctx.attempt}


def price(items: list[str]) -> int:
    return 250 * len(items)


async def charge(cents: int) -> str:
    return f"charged {cents} cents"


async def patient(payload: dict[str, Any], ctx: RunContext) -> None:
    """Work that ends when it is told to: here until somebody cancels the run."""
    await ctx.report_progress(1, "waiting")
    await ctx.wait_cancelled()
    await asyncio.to_thread(Path(payload["note"]).write_text, ctx.cancel_reason, "utf-8")


JOBS = [
    define_job(JobOptions(name="Greet", slug="greet", run=greet)),
    define_job(
        JobOptions(
            name="Order",
            slug="order",
            run=order,
            max_attempts=2,
            retry_strategy="custom",
            retry_delays_secs=[0],
        )
    ),
    define_job(JobOptions(name="Patient", slug="patient", run=patient)),
]

# The address of the platform is `STRAIT_BASE_URL`, which a host reads by itself.
OPTIONS: HostOptions = {
    "signing_secret": os.environ["STRAIT_SIGNING_SECRET"],
    "heartbeat_secs": float(os.environ.get("HEARTBEAT_SECS", "10")),
}

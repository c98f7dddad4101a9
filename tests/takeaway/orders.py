"""Jobs whose runs are taken away: an order with a failed attempt, a wait and a child."""

from __future__ import annotations

from typing import Any

from strait.authoring import (
    JobOptions,
    RunContext,
    SyncRunContext,
    WorkflowOptions,
    define_job,
    define_workflow,
    job_step,
    sleep_step,
)


def pack(payload: dict[str, Any], ctx: SyncRunContext) -> dict[str, Any]:
    ctx.report_usage("openai", "gpt", 10, 2, 12, cost_microusd=250)
    return {"packed": payload.get("items", 1)}


async def ship(payload: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
    ctx.logger.info("order %s", payload["order"])
    await ctx.report_usage("openai", "gpt", 100, 20, 120, cost_microusd=1_500)
    await ctx.checkpoint({"attempt": ctx.attempt})
    if ctx.attempt == 1:
        raise ValueError("the printer is <out> of paper")
    paid = await ctx.wait_for_event("paid", timeout_secs=3_600)
    packed = await ctx.spawn("pack", payload={"items": 3}, await_completion=True)
    await ctx.state.set("seen", {"own": True})
    await ctx.save_output("label", "PDF")
    return {"paid": paid["amount"], "packed": packed["result"]["packed"]}


pack_job = define_job(
    JobOptions(name="Pack", slug="pack", endpoint_url="http://127.0.0.1:1", run=pack)
)
ship_job = define_job(
    JobOptions(
        name="Ship", slug="ship", endpoint_url="http://127.0.0.1:1", run=ship, max_attempts=2
    )
)
flow = define_workflow(
    WorkflowOptions(
        name="Flow",
        slug="flow",
        steps=[
            job_step("pack", pack_job, payload={"items": 7}),
            sleep_step("rest", 60, depends_on=["pack"]),
        ],
    )
)

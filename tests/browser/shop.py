"""A small shop: what the screenshots and the browser tests run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from strait.authoring import (
    JobOptions,
    RunContext,
    WorkflowOptions,
    approval_step,
    define_job,
    define_workflow,
    job_step,
)


@dataclass
class Greeting:
    name: str
    times: int = 1


async def hello(greeting: Greeting, ctx: RunContext) -> dict:
    ctx.logger.info("greeting %s", greeting.name)
    return {"hello": ", ".join([greeting.name] * greeting.times)}


async def validate(order: dict, ctx: RunContext) -> dict:
    ctx.logger.info("order %s has %d items", order["order_id"], len(order["items"]))
    return {"total_cents": 450 * len(order["items"])}


async def charge(order: dict, ctx: RunContext) -> dict:
    if ctx.attempt == 1:
        ctx.logger.warning("the card network answered 503")
        raise RuntimeError("payment provider is not available (503)")
    await ctx.report_usage("openai", "gpt-5-mini", 1200, 340, cost_microusd=1840)
    return {"charge_id": "ch_1042", "amount_cents": 1350}


async def fraud(order: dict, ctx: RunContext) -> dict:
    return {"score": 0.03}


async def stock(order: dict, ctx: RunContext) -> dict:
    await ctx.checkpoint({"reserved": ["tea", "cup"]})
    return {"reserved": len(order["items"])}


async def ship(order: dict, ctx: RunContext) -> dict:
    await ctx.report_progress(100, "handed to the carrier")
    return {"tracking": "9F2C61AA"}


async def research(task: dict, ctx: RunContext) -> dict:
    ctx.logger.info("looking for %s", task["topic"])
    await ctx.report_progress(20, "searching")
    await ctx.checkpoint({"sources": ["a.example"], "page": 1})
    await ctx.report_usage("openai", "gpt-5-mini", 4200, 900, cost_microusd=6400)
    await ctx.log_tool_call("web.search", {"q": task["topic"]}, {"hits": 12}, duration_ms=230)
    await ctx.stream_chunk("Durable execution ")
    if ctx.attempt == 1:
        ctx.logger.error("the second page could not be read")
        raise RuntimeError("a.example answered 502")
    await ctx.checkpoint({"sources": ["a.example", "b.example"], "page": 2})
    await ctx.spawn("hello", "proj_local", {"name": task["topic"]})
    await ctx.stream_chunk("keeps what was done.")
    await ctx.report_usage("openai", "gpt-5", 1100, 2100, cost_microusd=31200)
    await ctx.state.set("summary", {"words": 412})
    await ctx.save_output("report", {"title": task["topic"], "words": 412})
    return {"words": 412, "sources": 2}


async def pack(order: dict, ctx: RunContext) -> dict:
    weighed = await ctx.step("weigh", lambda items: {"grams": 120 * items}, order["items"])
    if ctx.attempt == 1:
        raise RuntimeError("the printer is out of labels")
    label = await ctx.step("label", lambda to: f"parcel to {to}", order["to"])
    return {**weighed, "label": label}


async def flaky(payload: dict, ctx: RunContext) -> dict:
    raise ValueError(f"the mailbox {payload['to']} does not exist")


async def nightly(payload: dict, ctx: RunContext) -> dict:
    return {"rows": 120}


async def wait(payload: dict, ctx: RunContext) -> dict:
    got = await ctx.wait_for_event(f"invoice-paid-{payload['invoice']}", timeout_secs=86400)
    return {"got": got}


def job(name: str, slug: str, run: Callable[..., Any], **more: Any) -> Any:
    """A job that tries again after a second."""
    again = {"retry_strategy": "custom", "retry_delays_secs": [1]}
    return define_job(JobOptions(name=name, slug=slug, run=run, **again, **more))


jobs = [
    job("Say hello", "hello", hello),
    job("Validate order", "validate", validate),
    job("Charge order", "charge", charge),
    job("Check for fraud", "fraud", fraud),
    job("Reserve stock", "stock", stock),
    job("Ship order", "ship", ship),
    job("Research", "research", research, tags={"team": "agents"}),
    job("Pack order", "pack", pack),
    job("Send mail", "send-mail", flaky, max_attempts=2),
    job("Nightly report", "nightly-report", nightly, cron="15 3 * * *", timezone="Europe/Berlin"),
    job("Await payment", "await-payment", wait),
]
pipeline = define_workflow(
    WorkflowOptions(
        name="Order pipeline",
        slug="order-pipeline",
        steps=[
            job_step("validate", "validate"),
            job_step("charge", "charge", depends_on=["validate"]),
            job_step("fraud-check", "fraud", depends_on=["validate"]),
            job_step("reserve-stock", "stock", depends_on=["validate"]),
            approval_step("approve", depends_on=["charge", "fraud-check", "reserve-stock"]),
            job_step("ship", "ship", depends_on=["approve"]),
            job_step("thank", "hello", depends_on=["approve"], payload={"name": "Ada"}),
        ],
    )
)

"""Jobs whose runs are exported as fixtures: every kind of answer that a handler can get."""

from __future__ import annotations

import base64
from typing import Any

from strait.authoring import (
    AgentOptions,
    AgentRunContext,
    JobOptions,
    RunContext,
    SyncRunContext,
    define_agent,
    define_job,
)
from strait.errors import NonRetryable

executed: list[str] = []


class Reversed:
    """A codec that anybody can open, and that nobody takes for plain text."""

    name = "reversed"

    def seal(self, plain: bytes, /) -> bytes:
        return base64.b85encode(plain[::-1])

    def open(self, sealed: bytes, /) -> bytes:
        return base64.b85decode(sealed)[::-1]


def charge(order: str, cents: int) -> dict[str, Any]:
    executed.append("charge")
    return {"receipt": f"r-{order}", "cents": cents, "card": {"number": "4111-1111"}}


async def label(order: str) -> str:
    executed.append("label")
    return f"label of {order}"


async def fulfil(order: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
    if ctx.attempt == 1:
        await ctx.checkpoint({"seen": order["id"]})
        await ctx.state.set("early", 1)
        raise ValueError("not at once")
    paid = await ctx.step("charge", charge, order["id"], order["cents"])
    await ctx.sleep(5)
    word = await ctx.wait_for_event("packed")
    packed = await ctx.spawn("pack", payload={"items": 3}).result()
    rate = await ctx.version("rates")
    labels = await ctx.map(label, ["a", "b"], key=str)
    await ctx.state.set("late", 2)
    await ctx.report_progress(90)
    return {
        "receipt": paid["receipt"],
        "by": word["by"],
        "packed": packed["n"],
        "rate": rate,
        "labels": labels,
        "early": await ctx.state.get("early"),
        "checkpoint": ctx.last_checkpoint,
        "previous": ctx.previous_error,
    }


def pack(payload: dict[str, Any], ctx: SyncRunContext) -> dict[str, Any]:
    return {"n": ctx.step("count", lambda: payload["items"] + 1)}


async def pay(payload: dict[str, Any], ctx: RunContext) -> str:
    paid = await ctx.step("charge", charge, payload["id"], 5, redact=["card.number"])
    await ctx.step("note", label, paid["card"]["number"][-4:])
    return str(paid["receipt"])


async def fail(payload: dict[str, Any], ctx: RunContext) -> None:
    await ctx.step("label", label, "x")
    raise NonRetryable(f"no stock of {payload['id']}")


async def refuse(cents: int) -> None:
    raise ConnectionError(f"the bank does not answer for {cents}")


async def breaks(payload: dict[str, Any], ctx: RunContext) -> None:
    await ctx.step("label", label, "x")
    await ctx.step("refuse", refuse, 5)


async def waits(payload: dict[str, Any], ctx: RunContext) -> None:
    await ctx.step("label", label, "x")
    await ctx.wait_for_event("never", timeout_secs=30 * 86_400)


async def think(payload: dict[str, Any], ctx: AgentRunContext) -> dict[str, Any]:
    answer = await ctx.step("ask", label, payload["question"])
    await ctx.report_usage("openai", "gpt", 10, 2, 12, cost_microusd=7)
    await ctx.checkpoint({"said": answer})
    return {"answer": answer, "cost": ctx.accumulated_cost_microusd}


def _job(slug: str, run: Any, **options: Any) -> Any:
    return define_job(
        JobOptions(name=slug, slug=slug, endpoint_url="http://127.0.0.1:1", run=run, **options)
    )


fulfil_job = _job("fulfil", fulfil, max_attempts=2)
pack_job = _job("pack", pack)
pay_job = _job("pay", pay)
sealed_job = _job("sealed", pay, codec=Reversed())
fail_job = _job("fail", fail, max_attempts=1)
breaks_job = _job("breaks", breaks, max_attempts=1)
waits_job = _job("waits", waits)
think_agent = define_agent(
    AgentOptions(name="think", slug="think", endpoint_url="http://127.0.0.1:1", run=think)
)
JOBS = (fulfil_job, pack_job, pay_job, sealed_job, fail_job, breaks_job, waits_job, think_agent)


async def pack_async(payload: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
    """What `pack` does, as it would be written for another kind of handler."""
    return {"n": await ctx.step("count", lambda: payload["items"] + 1)}

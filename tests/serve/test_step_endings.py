"""What a host does about steps that a handler leaves behind: forgotten ones, and those at work."""

from __future__ import annotations

import asyncio

import pytest

from strait.authoring import AgentOptions, RunContext, define_agent, step


@step
def mail(to):
    return to


@pytest.mark.parametrize("way", ["ctx.step", "@step"])
async def test_a_step_without_await_fails_the_run_with_its_name_and_line(hosting, platform, way):
    async def run(payload, ctx):
        ctx.step("mail", mail, "ada") if way == "ctx.step" else mail("ada")
        return "done"

    with pytest.warns(RuntimeWarning, match="was called without `await`"):
        answer = await (await hosting(run))()
    assert answer.status_code == 422
    assert answer.json()["error"]["type"] == "StepNotAwaited"
    (failed,) = platform.bodies("fail")
    assert failed["error"].startswith("step `mail` at test_step_endings.py:")
    assert platform.state == {}


async def test_an_agent_that_forgets_await_fails_too(hosting, platform):
    async def run(payload, ctx):
        ctx.step("mail", mail, "ada")

    agent = define_agent(AgentOptions(name="J", slug="j", run=run))
    with pytest.warns(RuntimeWarning, match="was called without `await`"):
        answer = await (await hosting(jobs=[agent]))()
    assert answer.json()["error"]["type"] == "StepNotAwaited"


async def test_a_result_that_was_to_be_awaited_says_so(hosting, platform):
    async def later():
        return 1

    async def run(payload, ctx):
        return {"n": later()}

    with pytest.warns(RuntimeWarning, match="never awaited"):
        await (await hosting(run))()
    (failed,) = platform.bodies("fail")
    assert failed["error"].endswith("type `coroutine`, which is no JSON; was `await` forgotten?")


class Order:
    """Fails while another branch is at work, as `asyncio.gather` lets it."""

    def __init__(self):
        self.charging, self.go = asyncio.Event(), asyncio.Event()
        self.did = []

    async def fails(self):
        await self.charging.wait()
        raise ConnectionError("no stock")

    async def charge(self):
        self.charging.set()
        await self.go.wait()
        self.did.append("charge")
        return "ch_1"

    async def ship(self):
        self.did.append("ship")

    def refund(self, charged):
        self.did.append(f"refund {charged}")

    async def pays(self, ctx):
        await ctx.step("charge", self.charge, undo=self.refund)
        await ctx.step("ship", self.ship)

    async def run(self, payload, ctx: RunContext):
        try:
            await asyncio.gather(ctx.step("stock", self.fails), self.pays(ctx))
        finally:
            self.go.set()


async def test_a_branch_at_work_is_on_record_before_the_attempt_is_over(hosting, platform):
    order = Order()
    dispatch = await hosting(order.run, max_attempts=1)
    answer = await dispatch()
    assert answer.json()["error"] == {"type": "ConnectionError", "message": "no stock"}
    kept = [value["name"] for value in platform.state.values()]
    assert kept[0] == "charge"
    # What came after it in its branch is of no attempt any more.
    assert "ship" not in kept
    # Its run has failed for good, and what it did is undone.
    assert order.did == ["charge", "refund ch_1"]

"""Budgets of children, and of real runs on the embedded platform."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from strait import (
    AsyncClient,
    CostBudgetExceededError,
)
from strait.authoring import JobOptions, create_run_context, define_job
from strait.composition import (
    CostBudgetOptions,
    DurableCostBudget,
    child_options,
)
from strait.errors import ValidationError
from strait.serve import asgi
from support.handlers import Answer, Received, ok
from support.world import World

from .states import State, opened


async def test_an_allotment_is_reserved_passed_on_and_settled() -> None:
    state = State()
    budget = await opened(state)
    allotment = await budget.allot("summary", 60)
    assert (budget.remaining(), allotment.settled) == (40, False)

    child = await DurableCostBudget.open(State(), child_options({"n": 1, **allotment.payload}))
    async with child.call(50) as call:
        call.cost(20)
    with pytest.raises(CostBudgetExceededError):
        await child.call(41).__aenter__()

    outcome = {"status": "completed", "result": {"text": "t", **child.report()}}
    await budget.settle(allotment, outcome)
    assert (budget.current(), allotment.settled) == (20, True)


async def test_the_same_allotment_again_is_the_same_one() -> None:
    state = State()
    await (await opened(state)).allot("summary", 60)
    budget = await opened(state)
    assert budget.current() == 60
    again = await budget.allot("summary", 60)
    assert budget.current() == 60
    for spent in (10, 50):
        await budget.settle(again, {"result": {"strait.cost_microusd": spent}})
        assert budget.current() == 10
    assert (await (await opened(state)).allot("summary", 60)).settled


async def test_a_name_has_one_allotment() -> None:
    budget = await opened(State())
    await budget.allot("summary", 60)
    with pytest.raises(ValidationError, match="`summary` was allotted 60 micro-USD already"):
        await budget.allot("summary", 61)


async def test_an_allotment_that_does_not_fit_is_refused() -> None:
    budget = await opened(State())
    with pytest.raises(CostBudgetExceededError):
        await budget.allot("summary", 101)
    assert budget.current() == 0


@pytest.mark.parametrize(
    "outcome",
    [
        {"status": "failed", "error": "x"},
        {"status": "completed", "result": "text"},
        {"status": "completed", "result": {"strait.cost_microusd": "5"}},
        {"status": "completed", "result": {"strait.cost_microusd": -5}},
        None,
    ],
)
async def test_a_child_that_does_not_report_has_spent_its_allotment(outcome: Any) -> None:
    budget = await opened(State())
    await budget.settle(await budget.allot("summary", 60), outcome)
    assert budget.current() == 60


@pytest.mark.parametrize("payload", [None, {}, [1]])
def test_a_child_without_an_allotment_is_refused_a_budget(payload: Any) -> None:
    with pytest.raises(ValidationError, match=r"no `strait\.cost_budget_microusd`"):
        child_options(payload)


# --------------------------------------------------------------------------- the embedded platform


async def test_attempts_of_a_real_run_share_the_budget(virtual: World) -> None:
    seen: list[int] = []

    async def script(call: Received) -> Answer:
        token = call.token
        async with AsyncClient(base_url=virtual.server.base_url, run_token=token) as client:
            ctx = create_run_context(client.sdk_runs, call.run_id, call.attempt)
            budget = await DurableCostBudget.open(ctx.state, CostBudgetOptions(100))
            seen.append(budget.current())
            async with budget.call(30) as cost:
                cost.cost(20)
            if call.attempt == 1:
                await budget.call(40).__aenter__()
                return Answer(500)
            return ok(budget.report())

    virtual.handlers.script = script
    run_id = await virtual.trigger(await virtual.job())
    await virtual.until(run_id, "queued", attempt=2)
    await virtual.pass_time(2)
    run = await virtual.until(run_id, "completed")
    assert seen == [0, 60]
    assert run["result"] == {"strait.cost_microusd": 80}


async def test_a_real_child_spends_what_its_parent_allotted(world: World) -> None:
    async def parent(payload: Any, ctx: Any) -> Any:
        budget = await DurableCostBudget.open(ctx.state, CostBudgetOptions(100))
        allotment = await budget.allot("child", 60)
        outcome = await ctx.spawn("child", payload=allotment.payload, await_completion=True)
        await budget.settle(allotment, outcome)
        return budget.report()

    async def child(payload: Any, ctx: Any) -> Any:
        budget = await DurableCostBudget.open(ctx.state, child_options(payload))
        async with budget.call(50) as call:
            call.cost(35)
        return budget.report()

    jobs = [
        define_job(JobOptions(name=run.__name__, slug=run.__name__, run=run))
        for run in (parent, child)
    ]
    base_url = world.server.base_url
    host = asgi(jobs, base_url=base_url, project_id="proj-1", signing_secret=())
    transport = httpx.ASGITransport(host)
    async with httpx.AsyncClient(transport=transport, base_url="http://host.test") as front:

        async def script(call: Received) -> Answer:
            answer = await front.post(call.path, content=call.body, headers=call.headers)
            return Answer(answer.status_code, answer.content)

        world.handlers.script = script
        await world.job("jobs/child", slug="child")
        job = await world.job("jobs/parent", slug="parent")
        run = await world.until(await world.trigger(job), "completed", "failed", "dead_letter")
    await host.close()
    assert run["result"] == {"strait.cost_microusd": 35}

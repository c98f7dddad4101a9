"""Agents: iterations, cost and budgets, over attempts."""

from __future__ import annotations

import pytest

from strait.authoring import (
    AgentOptions,
    DefinitionError,
    IterationLimitExceeded,
    create_run_context,
    create_test_context,
    define_agent,
)
from strait.errors import NonRetryable, NotFoundError

from .fakes import AsyncRuns


def agent(run, **options):
    return define_agent(AgentOptions(name="A", slug="a", project_id="p", run=run, **options))


async def test_the_agent_of_the_readme_spends_its_budget_and_completes():
    async def my_handler(payload, ctx):
        while not ctx.is_budget_exceeded():
            result = {"cost": 2_000_000}
            await ctx.checkpoint({"last_result": result})
            await ctx.report_usage(provider="openai", model="gpt-4o", cost_microusd=result["cost"])
        await ctx.complete({"summary": result})

    defined = agent(my_handler, max_cost_microusd=5_000_000, endpoint_url="https://worker.dev/a")
    ctx, record = create_test_context()
    await defined.run({}, ctx)
    assert len(record.checkpoints) == 3
    assert record.result == {"summary": {"cost": 2_000_000}}
    body = defined.to_registration_body()
    assert body["tags"] == {"strait.kind": "agent"}
    assert (body["timeout_secs"], body["max_attempts"]) == (600, 5)
    assert body["retry_strategy"] == "exponential"


def test_what_is_given_wins_over_the_defaults():
    body = agent(
        None,
        endpoint_url="https://worker.dev/a",
        timeout_secs=7,
        max_attempts=1,
        retry_strategy="fixed",
        tags={"strait.kind": "other", "team": "x"},
    ).to_registration_body()
    assert (body["timeout_secs"], body["max_attempts"], body["retry_strategy"]) == (7, 1, "fixed")
    assert body["tags"] == {"strait.kind": "agent", "team": "x"}


@pytest.mark.parametrize(
    "options",
    [{"timeout_secs": 0}, {"max_attempts": 0}, {"max_iterations": 0}, {"max_cost_microusd": -1}],
)
def test_an_agent_that_cannot_work_is_refused(options):
    with pytest.raises(DefinitionError, match=next(iter(options))):
        agent(None, **options)


async def test_iterations_and_cost_are_counted():
    async def handler(payload, ctx):
        assert (ctx.iteration, ctx.accumulated_cost_microusd()) == (0, 0)
        await ctx.checkpoint({})
        await ctx.report_usage("p", "m", cost_microusd=3)
        await ctx.report_usage("p", "m")
        await ctx.checkpoint({})
        return [ctx.iteration, ctx.accumulated_cost_microusd(), ctx.is_budget_exceeded()]

    ctx, _ = create_test_context()
    assert await agent(handler).run({}, ctx) == [2, 3, False]


async def test_more_iterations_than_allowed_fail_the_run_for_good_but_keep_their_state():
    async def handler(payload, ctx):
        for i in range(5):
            await ctx.checkpoint({"i": i})

    ctx, record = create_test_context()
    with pytest.raises(
        IterationLimitExceeded, match="began iteration 3; its `max_iterations` is 2"
    ):
        await agent(handler, max_iterations=2).run({}, ctx)
    assert record.checkpoints == [{"i": 0}, {"i": 1}, {"i": 2}]
    assert issubclass(IterationLimitExceeded, NonRetryable)


async def test_exactly_as_many_iterations_as_allowed_are_fine():
    async def handler(payload, ctx):
        for i in range(2):
            await ctx.checkpoint({"i": i})
        return "done"

    ctx, _ = create_test_context()
    assert await agent(handler, max_iterations=2).run({}, ctx) == "done"


async def test_explicit_checkpoints_persist_whatever_auto_checkpoint_says():
    async def handler(payload, ctx):
        await ctx.checkpoint({"i": 1})

    ctx, record = create_test_context()
    await agent(handler, auto_checkpoint=False).run({}, ctx)
    assert record.checkpoints == [{"i": 1}]


async def test_a_failed_attempt_hands_its_account_to_the_next():
    async def handler(payload, ctx):
        if ctx.attempt == 2:
            return [ctx.last_checkpoint, ctx.iteration, ctx.accumulated_cost_microusd()]
        await ctx.checkpoint({"i": 1})
        await ctx.report_usage("p", "m", cost_microusd=5)
        raise ValueError("broken")

    ctx, record = create_test_context()
    with pytest.raises(ValueError, match="broken"):
        await agent(handler).run({}, ctx)
    assert record.checkpoints[0] == {"i": 1}
    again, _ = create_test_context(attempt=2, last_checkpoint=record.checkpoints[-1])
    assert await agent(handler).run({}, again) == [{"i": 1}, 1, 5]


@pytest.mark.parametrize("options", [{"auto_checkpoint": False}, {}])
async def test_nothing_is_saved_for_an_attempt_that_will_not_be(options):
    async def handler(payload, ctx):
        await ctx.checkpoint({"i": 1})
        raise NonRetryable("broken") if not options else ValueError("broken")

    ctx, record = create_test_context()
    with pytest.raises(Exception, match="broken"):
        await agent(handler, **options).run({}, ctx)
    assert record.checkpoints == [{"i": 1}]


async def test_cost_is_counted_on_a_platform_that_takes_no_usage_reports():
    async def handler(payload, ctx):
        await ctx.report_usage("p", "m", cost_microusd=10)
        return ctx.is_budget_exceeded()

    ctx = create_run_context(AsyncRuns(usage_run=NotFoundError(404, "no route")), "run_1")
    assert await agent(handler, max_cost_microusd=10).run({}, ctx) is True


async def test_a_cost_that_cannot_be_is_refused():
    async def handler(payload, ctx):
        await ctx.report_usage("p", "m", cost_microusd=-80)

    ctx, _ = create_test_context()
    with pytest.raises(DefinitionError, match="`cost_microusd` must be at least 0"):
        await agent(handler).run({}, ctx)


def test_a_plain_function_can_be_an_agent():
    def handler(payload, ctx):
        ctx.checkpoint({"i": 1})
        ctx.report_usage("p", "m", cost_microusd=5)
        return [ctx.iteration, ctx.accumulated_cost_microusd()]

    ctx, record = create_test_context(sync=True)
    assert agent(handler).run({}, ctx) == [1, 5]
    assert record.usage_reports[0]["cost_microusd"] == 5

"""Figures: analytics, usage, budgets and downloads, over runs that cost something."""

from __future__ import annotations

from typing import Any

from strait.clock import to_timestamp
from support.handlers import Answer, Gate, ok
from support.workflows import Flows
from support.world import PROJECT

from .driver import Scene
from .runs import a_job, started
from .workflows import workflow


async def figures(scene: Scene) -> None:
    """One run that cost, one that failed, one workflow: each figure knows of them."""
    key = scene.key
    job, order = await _history(scene)
    span = _span(scene)

    async def ask(name: str, *arguments: object, **more: Any) -> Any:
        return await key(f"analytics.{name}", *arguments, **span, **more)

    assert (await key("analytics.get_performance", period_hours=24)) is not None
    summary = await ask("get_runs_summary")
    assert (summary.completed, summary.failed) == (2, 1)
    for name in (
        *("list_costs", "list_approvals", "list_cost_insights", "get_costs_forecast"),
        *("get_workflows_summary", "get_events_latency"),
    ):
        assert (await ask(name)) is not None, name
    for name in (
        *("list_cost_trends", "get_costs_top", "get_runs_timeline"),
        *("get_runs_duration_distribution", "list_runs_failure_reasons", "get_runs_by_trigger"),
        *("get_jobs_reliability", "get_jobs_cost_ranking", "get_jobs_top_failing"),
        *("get_tags_summary", "get_tags_top_failing", "get_tags_cost", "get_costs_by_trigger"),
        *("list_workflows_completion_rates", "list_webhooks_delivery_stats"),
        *("get_webhooks_endpoint_health",),
    ):
        assert await ask(name), f"{name} knows of nothing"
    for name in ("get_webhooks_top_failing", "get_events_volume"):
        assert isinstance(await ask(name), list)
    assert await ask("get_jobs_comparison", job_ids=[job])
    assert await ask("get_jobs_by_version", job_id=job)
    assert await ask("get_job_history", job)
    assert [row.step_ref for row in await ask("list_workflow_step_durations", order)] == ["a"]


async def _history(scene: Scene) -> tuple[str, str]:
    """Make runs and return the job and the workflow that they are of."""
    key, handlers = scene.key, scene.world.handlers
    hold = Gate(ok(1))
    handlers.scripts["/costs"] = hold
    handlers.scripts["/breaks"] = lambda call: Answer(400)
    handlers.scripts["/hook"] = lambda call: ok()
    await key(
        "webhooks.create_subscription",
        project_id=PROJECT,
        webhook_url=f"{handlers.url}hook",
        event_types=["run.completed"],
    )
    costs = await key("jobs.create", a_job(scene, "costs", tags={"team": "money"}))
    breaks = await key("jobs.create", a_job(scene, "breaks", max_attempts=1))
    run_id, handler = await started(scene, costs.id)
    await handler(
        "sdk_runs.usage_run", run_id, provider="p", model="m", prompt_tokens=3, cost_microusd=500
    )
    await handler("sdk_runs.complete_run", run_id, result=1)
    hold.open()
    failed = await key("jobs.trigger", breaks.id, tags={"team": "money"})
    await scene.world.until(failed.id, "dead_letter")
    step = await key("jobs.create", a_job(scene, "plain"))
    order = await key("workflows.create", workflow("o", {"step_ref": "a", "job_id": step.id}))
    whole = await key("workflows.trigger", order.id)
    await Flows(scene.world).until(whole.id, "completed")
    return costs.id, order.id


async def usage(scene: Scene) -> None:
    """What a project has used, what it may, and everything of it as a file."""
    key = scene.key
    await _history(scene)
    span = _span(scene)
    days = {name: value[:10] for name, value in span.items()}
    assert (await key("billing.get_current_usage")) is not None
    assert await key("billing.get_usage_history", **days)
    assert (await key("billing.get_usage_forecast")) is not None
    assert await key("billing.list_project_costs", **days)
    assert isinstance(await key("billing.list_usage_anomalies"), list)
    assert await key("billing.export_usage", **days)
    await key("billing.upsert_spending_limit", limit_microusd=9_000_000, action="notify")
    assert (await key("billing.get_spending_limit")).spending_limit_usd == 9
    await key(
        "billing.upsert_project_budget",
        project_id=PROJECT,
        budget_microusd=8_000_000,
        action="notify",
    )
    budget = await key("billing.get_project_budget", project_id=PROJECT)
    assert budget.monthly_budget_microusd == 8_000_000
    await key("billing.upsert_anomaly_config", warning_threshold=2, critical_threshold=4)
    assert (await key("billing.get_anomaly_config")).critical_threshold == 4
    limit = await scene.internal("billing.check_org_limit", user_id="ada", plan_tier="free")
    assert limit is not None
    assert {row.slug for row in await key("exports.export_jobs")} == {"costs", "breaks", "plain"}
    assert len(await key("exports.export_runs", **span)) == 3
    assert [row.slug for row in await key("exports.export_workflows")] == ["o"]


def _span(scene: Scene) -> dict[str, str]:
    now, day = scene.world.platform.clock.now(), 86_400_000_000
    return {"from_": to_timestamp(now - day), "to": to_timestamp(now + 60_000_000)}

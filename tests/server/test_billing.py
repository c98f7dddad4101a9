"""Usage, budgets and limits over the API."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from strait import AsyncClient
from strait.server.work import api_keys
from strait.store import meta
from support.handlers import Answer, Gate, Received, ok
from support.workflows import Flows, child, told
from support.world import PROJECT, World

DAY = 24 * 3600


def today(world: World) -> date:
    return datetime.fromtimestamp(world.platform.clock.now() / 1_000_000, UTC).date()


async def spent(world: World, job: dict[str, Any], *costs: int) -> str:
    """Run a job whose attempts report these costs; all but the last of them fail."""

    async def script(call: Received) -> Answer:
        body = {"provider": "p", "model": "m", "cost_microusd": costs[call.attempt - 1]}
        path = f"/sdk/v1/runs/{call.run_id}/usage"
        assert (await world.handler(call.token).post(path, json=body)).status_code == 201
        return ok() if call.attempt == len(costs) else Answer(503)

    world.handlers.script = script
    run_id = await world.trigger(job)
    for attempt in range(2, len(costs) + 1):
        await world.until(run_id, "queued", attempt=attempt)
        # Just over this pause, and not over the next one too.
        await world.pass_time(1.3 * 2 ** (attempt - 2))
    await world.until(run_id, "completed")
    return run_id


async def set_budget(world: World, **body: Any) -> None:
    answer = await world.api.put("/v1/project-budget", json={"project_id": PROJECT, **body})
    assert (answer.status_code, answer.json()) == (200, {"status": "updated"})


async def budget(world: World) -> Any:
    answer = await world.api.get("/v1/project-budget", params={"project_id": PROJECT})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def other_project(world: World, project: str = "proj-2", org: str = "org-1") -> None:
    made = await world.internal().post(
        "/v1/projects", json={"id": project, "org_id": org, "name": project}
    )
    assert made.status_code == 201, made.text


# --------------------------------------------------------------------------------------- budgets


async def test_a_budget_shows_what_all_attempts_have_spent(virtual: World) -> None:
    await set_budget(virtual, budget_microusd=1_000, action="notify")
    await spent(virtual, await virtual.job(max_attempts=3), 100, 20, 30)
    assert await budget(virtual) == {
        "project_id": PROJECT,
        "monthly_budget_microusd": 1_000,
        "budget_action": "notify",
        "current_spend_microusd": 150,
        "percent_used": 15,
    }


@pytest.mark.parametrize("action", ["reject", "block"])
async def test_a_budget_that_is_used_up_refuses_new_runs_until_the_next_month(
    virtual: World, action: str
) -> None:
    job = await virtual.job()
    await set_budget(virtual, budget_microusd=100, action=action)
    await spent(virtual, job, 99)
    await spent(virtual, job, 1)
    path = f"/v1/jobs/{job['id']}/trigger"
    refused = await virtual.api.post(path, json={})
    assert (refused.status_code, refused.json()) == (
        402,
        {
            "code": "quota_exceeded",
            "kind": "project_budget_reached",
            "message": "the project has used up its budget of this month",
            "limit": 100,
            "current": 100,
        },
    )
    many = await virtual.api.post(f"{path}/bulk", json={"items": [{}]})
    assert many.status_code == 402
    await virtual.pass_time(32 * DAY)
    await spent(virtual, job, 1)


async def test_a_workflow_is_refused_too_but_one_under_way_goes_on(still: Flows) -> None:
    world = still.world

    async def first(call: Received) -> Answer:
        body = {"provider": "p", "model": "m", "cost_microusd": 500}
        path = f"/sdk/v1/runs/{call.run_id}/usage"
        await world.handler(call.token).post(path, json=body)
        return ok()

    await set_budget(world, budget_microusd=100, action="block")
    one = await still.job("one", script=first)
    flow = await still.create(one, await still.job("two", "one"))
    run_id = await still.trigger(flow)
    await still.until(run_id, "completed")
    refused = await still.api.post(f"/v1/workflows/{flow['id']}/trigger", json={})
    assert refused.status_code == 402
    # Nor does an event start it.
    source = {"project_id": PROJECT, "name": "elsewhere"}
    made = (await still.api.post("/v1/event-sources", json=source)).json()
    target = {"target_type": "workflow", "target_id": flow["id"]}
    await still.api.post(f"/v1/event-sources/{made['id']}/subscribe", json=target)
    event = {"source": "elsewhere", "project_id": PROJECT, "payload": {}}
    dispatched = (await still.api.post("/v1/events/dispatch", json=event)).json()
    assert dispatched["dispatched"] == 0
    assert "used up its budget" in dispatched["skipped"][0]["reason"]
    debug = await still.get(f"/{run_id}/debug")
    assert debug["total_cost_microusd"] == 500


async def test_a_workflow_costs_what_all_attempts_children_and_workflows_below_it_cost(
    still: Flows,
) -> None:
    world = still.world

    async def report(call: Received, cost: int) -> None:
        body = {"provider": "p", "model": "m", "cost_microusd": cost}
        path = f"/sdk/v1/runs/{call.run_id}/usage"
        assert (await world.handler(call.token).post(path, json=body)).status_code == 201

    helper = await world.job("helper")

    async def helps(call: Received) -> Answer:
        await report(call, 1_000)
        return ok()

    async def parent(call: Received) -> Answer:
        await report(call, 1)
        if call.attempt == 1:
            return Answer(503)
        path = f"/sdk/v1/runs/{call.run_id}/spawn"
        body = {"job_slug": helper["slug"], "project_id": PROJECT, "payload": {}}
        spawned = await world.handler(call.token).post(path, json=body)
        assert spawned.status_code == 201, spawned.text
        await world.until(spawned.json()["id"], "completed")
        return ok()

    async def below(call: Received) -> Answer:
        await report(call, 20_000)
        return ok()

    world.handlers.scripts["/helper"] = helps
    one = await still.job("one", script=parent, job={"max_attempts": 2})
    inner = await still.create(await still.job("deep", script=below))
    run_id = await still.start(one, child("sub", inner, "one"))
    (call, *_) = await world.handlers.wait(1)
    await world.until(call.run_id, "queued", attempt=2)
    await world.pass_time(20)
    await still.until(run_id, "completed")
    debug = await still.get(f"/{run_id}/debug")
    assert debug["total_cost_microusd"] == 21_002
    costs = {step["step_ref"]: step["cost_microusd"] for step in debug["steps"]}
    assert costs == {"one": 1_002, "sub": 20_000}


async def test_a_budget_that_is_used_up_lets_nothing_that_is_over_begin_anew(still: Flows) -> None:
    world = still.world
    world.handlers.script = gate = Gate()
    broken, handler = await world.executing(await world.job())
    await handler.post(f"/sdk/v1/runs/{broken}/fail", json={"error": "broken"})
    gate.open()
    world.handlers.script = lambda call: Answer(400)
    dead = await world.trigger(await world.job(max_attempts=1))
    await world.until(dead, "dead_letter")
    flow = await still.start(await still.job("bad", script=lambda call: Answer(400)))
    await still.until(flow, "failed")
    await set_budget(world, budget_microusd=1, action="reject")
    await spent(world, await world.job(), 1)
    for path in (
        f"/v1/runs/{broken}/replay",
        f"/v1/runs/{dead}/dlq-replay",
        f"/v1/admin/dlq/{dead}/replay",
        f"/v1/workflow-runs/{flow}/retry",
    ):
        answer = await world.api.post(path, json={})
        assert (answer.status_code, answer.json()["kind"]) == (402, "project_budget_reached"), path
    many = await world.api.post("/v1/runs/bulk-replay", json={"run_ids": [broken]})
    (told_of,) = many.json()["results"]
    assert told_of["error"] == "the project has used up its budget of this month"
    await set_budget(world, budget_microusd=2)
    world.handlers.script = lambda call: ok()
    assert (await world.api.post(f"/v1/runs/{dead}/dlq-replay")).status_code == 200
    await world.until(dead, "completed")


async def test_a_schedule_starts_nothing_while_the_budget_is_used_up(virtual: World) -> None:
    job = await virtual.job()
    await set_budget(virtual, budget_microusd=1, action="reject")
    await spent(virtual, job, 1)
    scheduled = await virtual.job(cron="*/5 * * * *")
    await virtual.pass_time(3600)
    listed = (await virtual.api.get("/v1/runs")).json()["data"]
    assert scheduled["id"] not in {run["job_id"] for run in listed}


async def test_a_budget_that_notifies_lets_everything_through_and_says_so_once(
    virtual: World, caplog: pytest.LogCaptureFixture
) -> None:
    job = await virtual.job()
    await set_budget(virtual, budget_microusd=10, action="notify")
    for cost in (9, 9, 9):
        await spent(virtual, job, cost)
    said = [record for record in caplog.records if "budget" in record.getMessage()]
    assert len(said) == 1
    assert "18 of 10 microusd" in said[0].getMessage()


async def test_a_budget_of_zero_is_none(virtual: World) -> None:
    job = await virtual.job()
    await set_budget(virtual, budget_microusd=1, action="reject")
    await spent(virtual, job, 1)
    await set_budget(virtual, budget_microusd=0, action="reject")
    await spent(virtual, job, 1)
    assert (await budget(virtual))["percent_used"] == 0


async def test_a_budget_is_checked(world: World) -> None:
    path, body = "/v1/project-budget", {"project_id": PROJECT, "budget_microusd": 1}
    odd = await world.api.put(path, json={**body, "action": "explode"})
    assert told(odd) == (400, "budget_action must be 'reject', 'block', or 'notify'")
    negative = await world.api.put(path, json={**body, "budget_microusd": -1})
    assert told(negative) == (400, "budget_microusd must not be negative")
    foreign = await world.api.put(path, json={**body, "project_id": "proj-2"})
    assert foreign.status_code == 404
    assert (await world.api.get(path, params={"project_id": "proj-2"})).status_code == 404
    reader = world.client(await world.key_for("projects:read"))
    assert (await reader.put(path, json=body)).status_code == 403


async def test_the_spending_limit_of_an_organization_is_for_all_its_projects(
    virtual: World,
) -> None:
    await other_project(virtual)
    limits = virtual.internal()
    path, params = "/v1/spending-limit", {"org_id": "org-1"}
    body = {"limit_microusd": 2_000_000, "action": "reject"}
    assert (await limits.put(path, params=params, json=body)).status_code == 200
    job = await virtual.job()
    await spent(virtual, job, 2_500_000)
    shown = (await limits.get(path, params=params)).json()
    assert shown == {
        "org_id": "org-1", "plan_tier": "community", "overage_enabled": True,
        "spending_limit_usd": 2, "limit_action": "reject", "current_spend_usd": 2.5,
        "overage_spend_usd": 0.5, "is_hard_capped": True,
    }  # fmt: skip
    refused = await virtual.api.post(f"/v1/jobs/{job['id']}/trigger", json={})
    assert refused.json()["kind"] == "spending_limit_reached"
    # Who is refused by the limit sees it reached, though another project has spent it.
    other = virtual.client(await virtual.key_for("*", project="proj-2"))
    assert (await other.get(path)).json() == shown
    usage = (await other.get("/v1/usage/current")).json()
    assert usage["period_spend_microusd"] == 0
    assert [alert["type"] for alert in usage["alerts"]] == ["spending_limit"]
    # A key of one project of several cannot lift what holds for all of them.
    lifted = await virtual.api.put(path, json={"limit_microusd": 0})
    assert told(lifted) == (403, "org-scoped api key required")


async def test_a_spending_limit_that_notifies_lets_everything_through_and_says_so_once(
    virtual: World, caplog: pytest.LogCaptureFixture
) -> None:
    await other_project(virtual)
    limits, params = virtual.internal(), {"org_id": "org-1"}
    body = {"limit_microusd": 10, "action": "notify"}
    await limits.put("/v1/spending-limit", params=params, json=body)
    job = await virtual.job()
    for cost in (9, 9, 9):
        await spent(virtual, job, cost)
    (said,) = [each.getMessage() for each in caplog.records if "spending" in each.getMessage()]
    what = "organization org-1 has reached its spending limit of this month"
    assert said == f"{what}: 18 of 10 microusd (notify)"


# ----------------------------------------------------------------------------------------- usage


async def test_usage_is_counted_by_day(virtual: World) -> None:
    job = await virtual.job()
    await spent(virtual, job, 70)
    first = today(virtual)
    await virtual.pass_time(2 * DAY)
    await spent(virtual, job, 5)
    params = {"from": str(first), "to": str(first + timedelta(days=2))}
    history = (await virtual.api.get("/v1/usage/history", params=params)).json()
    assert [(day["runs_count"], day["spend_microusd"]) for day in history] == [
        (1, 70), (0, 0), (1, 5)
    ]  # fmt: skip
    (project,) = (await virtual.api.get("/v1/usage/projects", params=params)).json()
    assert (project["project_id"], project["runs"], project["total_microusd"]) == (PROJECT, 2, 75)
    written = await virtual.api.get("/v1/usage/export", params=params)
    rows = list(csv.DictReader(io.StringIO(written.text)))
    assert [row["spend_microusd"] for row in rows] == ["70", "0", "5"]
    assert (await virtual.api.get("/v1/usage/export", params={**params, "format": "pdf"})
            ).status_code == 501  # fmt: skip


async def test_current_usage_has_no_limits_of_a_plan(virtual: World) -> None:
    await spent(virtual, await virtual.job(), 40)
    shown = (await virtual.api.get("/v1/usage/current")).json()
    assert shown["plan"] == "community"
    assert shown["usage"]["monthly_runs"] == {"used": 1, "limit": -1, "percent": 0}
    assert shown["usage"]["runs_today"]["used"] == 1
    assert shown["period_spend_microusd"] == 40
    assert shown["period"]["start"] == str(today(virtual).replace(day=1))


async def test_usage_tells_which_limits_are_nearly_or_wholly_used_up(virtual: World) -> None:
    async def alerts() -> Any:
        shown = (await virtual.api.get("/v1/usage/current")).json()
        return [
            (each["type"], each["threshold"], each["severity"], each["message"])
            for each in shown.get("alerts", [])
        ]

    job = await virtual.job()
    await set_budget(virtual, budget_microusd=100, action="notify")
    await virtual.api.put("/v1/spending-limit", json={"limit_microusd": 200, "action": "notify"})
    await spent(virtual, job, 79)
    assert await alerts() == []
    await spent(virtual, job, 1)
    budget_of = "the budget of project proj-1 is used"
    assert await alerts() == [("project_budget", 80, "warning", f"80 % of {budget_of}")]
    await spent(virtual, job, 90)
    assert await alerts() == [
        ("project_budget", 100, "critical", f"170 % of {budget_of}"),
        (
            "spending_limit",
            80,
            "warning",
            "85 % of the spending limit of organization org-1 is used",
        ),
    ]


async def test_a_forecast_says_when_the_spending_limit_is_reached(virtual: World) -> None:
    assert today(virtual) == date(2026, 1, 1)
    await spent(virtual, await virtual.job(), 1_000)

    async def forecast(limit: int) -> tuple[int, int]:
        body = {"limit_microusd": limit, "action": "notify"}
        await virtual.api.put("/v1/spending-limit", json=body)
        shown = (await virtual.api.get("/v1/usage/forecast")).json()
        return shown["days_until_limit"], shown["projected_overage_microusd"]

    # A thousand a day, for 31 days.
    assert await forecast(0) == (-1, 0)
    assert await forecast(500) == (0, 30_500)
    assert await forecast(10_500) == (10, 20_500)
    assert await forecast(31_000) == (30, 0)
    assert await forecast(31_001) == (-1, 0)


async def test_a_forecast_carries_the_month_on(virtual: World) -> None:
    # To the second day of a month of known length.
    ahead = (date(2026, 4, 1) - today(virtual)).days if today(virtual) < date(2026, 4, 1) else 0
    await virtual.pass_time(ahead * DAY)
    await spent(virtual, await virtual.job(), 3_000_000)
    shown = (await virtual.api.get("/v1/usage/forecast")).json()
    assert shown["projected_monthly_spend_usd"] >= 3
    low, high = shown["projected_monthly_spend_low_usd"], shown["projected_monthly_spend_high_usd"]
    assert low <= shown["projected_monthly_spend_usd"] <= high
    assert shown["projected_monthly_runs"] >= 1


async def test_a_day_that_costs_far_more_than_others_is_an_anomaly(virtual: World) -> None:
    job = await virtual.job()
    for _ in range(7):
        await spent(virtual, job, 100)
        await virtual.pass_time(DAY)
    assert (await virtual.api.get("/v1/usage/anomalies")).json() == []
    await spent(virtual, job, 300)
    (alert,) = (await virtual.api.get("/v1/usage/anomalies")).json()
    assert alert == {
        "org_id": "org-1", "today_spend": 300, "avg_7d_spend": 100, "spike_ratio": 3,
        "top_contributor": PROJECT, "severity": "warning",
    }  # fmt: skip
    answer = await virtual.api.put("/v1/anomaly-config", json={"critical_threshold": 2.5})
    assert answer.status_code == 200, answer.text
    (alert,) = (await virtual.api.get("/v1/usage/anomalies")).json()
    assert alert["severity"] == "critical"


async def test_thresholds_are_checked_and_kept(world: World) -> None:
    path = "/v1/anomaly-config"
    usual = {"warning_threshold": 2, "critical_threshold": 5}
    assert (await world.api.get(path)).json() == usual
    low = await world.api.put(path, json={"warning_threshold": 1})
    assert told(low) == (400, "warning_threshold must be greater than 1.0")
    none = await world.api.put(path, json={"warning_threshold": 0})
    assert told(none) == (400, "warning_threshold must be greater than 1.0")
    crossed = await world.api.put(path, json={"warning_threshold": 6})
    assert told(crossed) == (400, "critical_threshold must be greater than warning_threshold")
    assert (await world.api.get(path)).json() == usual
    mine = {"warning_threshold": 1.5, "critical_threshold": 3}
    assert (await world.api.put(path, json=mine)).status_code == 200
    assert (await world.api.get(path)).json() == mine
    assert (await world.api.put(path, json={"critical_threshold": 9})).status_code == 200
    assert (await world.api.get(path)).json() == {**mine, "critical_threshold": 9}


async def test_a_key_sees_its_project_and_one_of_an_organization_all_of_them(
    virtual: World,
) -> None:
    await other_project(virtual)
    await spent(virtual, await virtual.job(), 10)
    _, org_key = await virtual.platform.write(
        lambda unit: api_keys.make(
            unit, project_id="proj-2", name="org", scopes=["*"], lifetime_days=None, org_id="org-1"
        )
    )
    params = {"from": str(today(virtual)), "to": str(today(virtual))}
    whole = await virtual.client(org_key).get("/v1/usage/projects", params=params)
    assert {row["project_id"] for row in whole.json()} == {PROJECT, "proj-2"}
    one = virtual.client(await virtual.key_for("projects:read", project="proj-2"))
    shown = (await one.get("/v1/usage/projects", params=params)).json()
    assert [(row["project_id"], row["total_microusd"]) for row in shown] == [("proj-2", 0)]
    foreign = await one.get("/v1/usage/current", params={"org_id": "org-9"})
    assert told(foreign) == (403, "api key does not belong to this organization")


async def test_organizations_are_not_limited(world: World) -> None:
    answer = await world.internal().get(
        "/v1/billing/check-org-limit", params={"user_id": "u", "plan_tier": "free"}
    )
    assert answer.json() == {"status": "allowed"}
    own = await world.api.get("/v1/billing/check-org-limit", params={"user_id": "u"})
    assert own.status_code == 403


async def test_the_typed_client_sets_a_budget(virtual: World) -> None:
    async with AsyncClient(base_url=virtual.server.base_url, api_key=virtual.key) as client:
        await client.billing.upsert_project_budget(
            project_id=PROJECT, budget_microusd=7, action="notify"
        )
        shown = await client.billing.get_project_budget(project_id=PROJECT)
    assert shown.monthly_budget_microusd == 7


async def test_what_was_spent_before_there_were_sums_is_counted(virtual: World) -> None:
    """The sums are kept by day; together they are the costs that analytics find in the reports."""
    job = await virtual.job(max_attempts=2)
    await spent(virtual, job, 3, 4)
    await spent(virtual, job, 5)
    assert meta.get_project(virtual.platform.reader, PROJECT) is not None
    (summed,) = virtual.platform.reader.execute("SELECT sum(microusd) FROM spend").fetchone()
    (reported,) = virtual.platform.reader.execute(
        "SELECT sum(doc ->> 'cost_microusd') FROM run_samples WHERE kind = 'usage'"
    ).fetchone()
    assert summed == reported == 12


async def test_what_is_left_out_of_a_limit_stays(world: World) -> None:
    await set_budget(world, budget_microusd=100, action="block")
    await set_budget(world, budget_microusd=200)
    await set_budget(world, action="reject")
    shown = await budget(world)
    assert (shown["monthly_budget_microusd"], shown["budget_action"]) == (200, "reject")
    await set_budget(world, budget_microusd=0)
    assert (await budget(world))["monthly_budget_microusd"] == 0
    path = "/v1/spending-limit"
    for body in ({"limit_microusd": 3_000_000, "action": "reject"}, {"overage_enabled": False}):
        assert (await world.api.put(path, json=body)).status_code == 200
    limit = (await world.api.get(path)).json()
    assert (limit["spending_limit_usd"], limit["is_hard_capped"]) == (3, True)

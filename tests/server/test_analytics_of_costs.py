"""Figures over what handlers reported as spent, worked out by hand."""

from __future__ import annotations

from strait.clock import to_timestamp
from support.analytics import get, period, spend, took
from support.handlers import Answer, Received, ok
from support.world import PROJECT, World

HOUR = 3600
DAY = 24 * HOUR
# The virtual clock begins here.
FIRST, SECOND, NEXT_DAY = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-02T00:00:00Z"


async def test_costs_are_those_of_all_attempts_of_a_run(virtual: World) -> None:
    costs = [100, 30]

    async def script(call: Received) -> Answer:
        await spend(virtual, call.run_id, call.token, costs[call.attempt - 1])
        return Answer(503) if call.attempt == 1 else ok()

    virtual.handlers.script = script
    job = await virtual.job(max_attempts=2)
    run_id = await virtual.trigger(job)
    await virtual.handlers.wait(1, run_id)
    await virtual.until(run_id, "queued", attempt=2)
    await virtual.pass_time(600)
    await virtual.until(run_id, "completed")
    assert await get(virtual, "/costs") == {
        "total_spend_microusd": 130,
        "run_count": 1,
        "by_job": [
            {
                "job_id": job["id"],
                "job_slug": job["slug"],
                "cost_microusd": 130,
                "run_count": 1,
            }
        ],
    }
    (trigger,) = await get(virtual, "/costs/by-trigger")
    assert trigger == {"trigger": "manual", "cost": 130, "run_count": 1, "pct": 100}


async def test_a_run_that_cost_far_more_than_others_of_its_job_is_found(virtual: World) -> None:
    job = await virtual.job()
    for _ in range(9):
        await took(virtual, job, cost=10)
    dear = await took(virtual, job, cost=1_000)
    # The mean is 1090 / 10, and the variance (9 * 99² + 891²) / 10 = 297².
    found = {
        "run_id": dear, "job_id": job["id"], "cost_microusd": 1_000, "avg_cost_microusd": 109,
        "stddev_cost_microusd": 297, "deviations_above_avg": 3,
    }  # fmt: skip
    assert await get(virtual, "/cost-insights") == {"outliers": [found], "threshold": 2}
    assert await get(virtual, "/cost-insights", threshold=2.9) == {
        "outliers": [found], "threshold": 2.9,
    }  # fmt: skip
    assert (await get(virtual, "/cost-insights", threshold=3))["outliers"] == []


async def test_costs_are_shown_by_day_or_for_one_day_by_hour(virtual: World) -> None:
    job = await virtual.job()
    await took(virtual, job, cost=10)
    await virtual.pass_time(HOUR)
    await took(virtual, job, cost=4)
    await took(virtual, job, cost=5)
    await virtual.pass_time(DAY)
    await took(virtual, job, cost=1)
    assert await get(virtual, "/costs/trends") == [
        {"period": FIRST, "spend_microusd": 19, "run_count": 3},
        {"period": NEXT_DAY, "spend_microusd": 1, "run_count": 1},
    ]
    assert await get(virtual, "/costs/trends", **{"from": FIRST, "to": NEXT_DAY}) == [
        {"period": FIRST, "spend_microusd": 10, "run_count": 1},
        {"period": SECOND, "spend_microusd": 9, "run_count": 2},
    ]


async def test_the_jobs_that_cost_most_come_first(virtual: World) -> None:
    cheap, dear, free = [await virtual.job() for _ in range(3)]
    await took(virtual, cheap, cost=10)
    await took(virtual, dear, cost=20)
    await took(virtual, dear, cost=30)
    await took(virtual, free)
    first = {
        "id": dear["id"], "name": dear["slug"], "item_type": "job", "cost_microusd": 50,
        "run_count": 2,
    }  # fmt: skip
    assert await get(virtual, "/costs/top") == [
        first,
        {"id": cheap["id"], "name": cheap["slug"], "item_type": "job", "cost_microusd": 10,
         "run_count": 1},
    ]  # fmt: skip
    assert await get(virtual, "/costs/top", limit=1) == [first]
    for limit in (0, 101):
        asked = period(virtual, limit=limit)
        odd = await virtual.api.get("/v1/analytics/costs/top", params=asked)
        assert odd.status_code == 400


async def test_jobs_are_ranked_by_cost_with_the_mean_of_a_run(virtual: World) -> None:
    cheap, dear = [await virtual.job() for _ in range(2)]
    await took(virtual, cheap, cost=10)
    for cost in (20, 25):
        await took(virtual, dear, cost=cost)
    first = {
        "job_id": dear["id"], "slug": dear["slug"], "total_cost": 45, "run_count": 2,
        "avg_cost_per_run": 22.5,
    }  # fmt: skip
    assert await get(virtual, "/jobs/cost-ranking") == [
        first,
        {"job_id": cheap["id"], "slug": cheap["slug"], "total_cost": 10, "run_count": 1,
         "avg_cost_per_run": 10},
    ]  # fmt: skip
    assert await get(virtual, "/jobs/cost-ranking", limit=1) == [first]


async def test_a_forecast_carries_on_the_rate_of_the_period(virtual: World) -> None:
    job = await virtual.job()
    await took(virtual, job, cost=100)
    await virtual.pass_time(DAY)
    await took(virtual, job, cost=50)
    ahead = to_timestamp(virtual.clock.now() + DAY * 1_000_000)
    four_days = {"from": FIRST, "to": "2026-01-05T00:00:00Z"}
    # 150 in four days; the first two of them had all of it.
    assert await get(virtual, "/costs/forecast", **four_days) == {
        "daily_rate": 37.5, "projected_monthly": 1_125, "trend_pct": -100,
    }  # fmt: skip
    two_days = {"from": FIRST, "to": "2026-01-03T00:00:00Z"}
    assert (await get(virtual, "/costs/forecast", **two_days))["trend_pct"] == -50
    nothing = {"daily_rate": 0, "projected_monthly": 0, "trend_pct": 0}
    later = {"from": ahead, "to": "2026-01-05T00:00:00Z"}
    assert await get(virtual, "/costs/forecast", **later) == nothing


async def test_costs_are_divided_among_tags_and_triggers(virtual: World) -> None:
    job = await virtual.job()
    await took(virtual, job, cost=30, tags={"team": "a", "tier": "free"})
    await took(virtual, job, cost=50, tags={"team": "b"})

    async def parent() -> str:
        run_id, handler = await virtual.executing(await virtual.job())
        body = {"project_id": PROJECT, "job_slug": job["slug"]}
        spawned = await handler.post(f"/sdk/v1/runs/{run_id}/spawn", json=body)
        return str(spawned.json()["id"])

    await took(virtual, job, cost=20, trigger=parent)
    assert await get(virtual, "/tags/cost") == [
        {"tag_key": "team", "tag_value": "b", "total_cost": 50, "run_count": 1},
        {"tag_key": "team", "tag_value": "a", "total_cost": 30, "run_count": 1},
        {"tag_key": "tier", "tag_value": "free", "total_cost": 30, "run_count": 1},
    ]
    assert len(await get(virtual, "/tags/cost", limit=2)) == 2
    by_trigger = await get(virtual, "/costs/by-trigger")
    assert [(row["cost"], row["run_count"], row["pct"]) for row in by_trigger] == [
        (80, 2, 80),
        (20, 1, 20),
    ]
    assert by_trigger[0]["trigger"] == "manual"

"""Analytics over the API: who may ask for what, for which period, and what real runs look like."""

from __future__ import annotations

import asyncio
import re
from functools import partial

import pytest

from strait import AsyncClient
from strait.clock import SECOND, from_timestamp
from strait.server._generated.routes import ROUTES
from strait.server.analytics import jobs
from strait.server.errors import ApiError
from strait.server.routes import analytics, registry
from strait.server.unit import Unit
from support.analytics import BROKEN, canceled, get, period, stranger, took
from support.handlers import Handlers
from support.workflows import told
from support.world import PROJECT, World, world

ROUTE = {route.id: route for route in ROUTES}
BY_PERIOD = sorted(
    operation
    for operation in registry.analyses
    if {"from", "to"} <= {query.name for query in ROUTE[operation].query}
    and ROUTE[operation].path.startswith("/v1/analytics")
)
FOREVER = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


# ------------------------------------------------------------------------------------ what is shown


async def test_performance_is_of_the_last_hours(virtual: World) -> None:
    slow, quick, rare = [await virtual.job(max_attempts=1) for _ in range(3)]
    for secs in (10, 20, 30, 40):
        await took(virtual, slow, secs)
    await took(virtual, slow, 50, BROKEN)
    for _ in range(5):
        await took(virtual, quick, 2)
    # One run, or four, do not make a slow job.
    await took(virtual, rare, 200)
    await canceled(virtual, rare, 8)
    disabled = await virtual.api.post("/v1/jobs/batch-disable", json={"ids": [rare["id"]]})
    assert disabled.json() == {"updated": 1}
    path = "/v1/analytics/performance"
    shown = await get(virtual, "/performance")
    assert shown["throughput"] == {
        "completed": 10, "failed": 1, "timed_out": 0, "canceled": 1, "period_hours": 24
    }  # fmt: skip
    # 0.95 * (5 - 1) = 3.8: 40 s + 0.8 * 10 s.
    assert shown["slowest_jobs"] == [
        {"job_id": slow["id"], "job_slug": slow["slug"], "avg_duration_secs": 30,
         "p95_duration_secs": 48, "total_runs": 5, "failed_runs": 1},
        {"job_id": quick["id"], "job_slug": quick["slug"], "avg_duration_secs": 2,
         "p95_duration_secs": 2, "total_runs": 5, "failed_runs": 0},
    ]  # fmt: skip
    assert shown["health_summary"] == {
        "total_jobs": 3, "active_jobs": 2, "success_rate": 0.8333, "queue_depth": 0,
        "avg_duration_secs": round(368 / 12, 4),
    }  # fmt: skip
    await virtual.pass_time(2 * 3600)
    later = (await virtual.api.get(path, params={"period_hours": 1})).json()
    assert (later["throughput"]["completed"], later["throughput"]["period_hours"]) == (0, 1)
    assert later["slowest_jobs"] == []
    assert later["health_summary"]["total_jobs"] == 3
    foreign = (await (await stranger(virtual)).get(path)).json()
    assert (foreign["throughput"]["completed"], foreign["health_summary"]["total_jobs"]) == (0, 0)
    for hours in (0, 721):
        odd = await virtual.api.get(path, params={"period_hours": hours})
        assert odd.status_code == 400


async def test_the_health_of_a_job_is_over_a_window(virtual: World) -> None:
    job = await virtual.job(max_attempts=1)
    await took(virtual, await virtual.job(), 99)
    for secs, answer in ((1, None), (2, None), (3, BROKEN)):
        await took(virtual, job, secs, answer)
    await canceled(virtual, job, 6)
    path = f"/v1/jobs/{job['id']}/health"
    shown = (await virtual.api.get(path, params={"window": "1h"})).json()
    counts = {
        "total_runs": 4, "completed_runs": 2, "failed_runs": 1, "timed_out_runs": 0,
        "crashed_runs": 0, "canceled_runs": 1, "expired_runs": 0,
    }  # fmt: skip
    assert {name: shown[name] for name in counts} == counts
    # What was canceled says nothing of the job: two of the three others went well.
    assert (shown["success_rate"], shown["health_score"]) == (0.5, 66.67)
    # Of 1, 2, 3 and 6 seconds: 3 + 0.85 * 3, and 3 + 0.97 * 3.
    durations = [shown[f"{name}_duration_secs"] for name in ("avg", "p95", "p99")]
    assert durations == pytest.approx([3, 5.55, 5.91], abs=0.001)
    await virtual.pass_time(3700)
    empty = (await virtual.api.get(path, params={"window": "1h"})).json()
    assert (empty["total_runs"], empty["health_score"]) == (0, 100)
    assert (await virtual.api.get(path)).json()["total_runs"] == 4
    odd = await virtual.api.get(path, params={"window": "2h"})
    assert told(odd) == (400, "window is invalid")
    assert odd.json()["error"]["details"] == ["window must be one of 1h, 1d, 7d, 30d"]
    assert told(await (await stranger(virtual)).get(path)) == (404, "job not found")


def _ended(unit: Unit, job_id: str, count: int) -> None:
    """Have a job `count` runs that took 1, 2, … seconds, a second apart; every fourth failed."""
    unit.db.execute(
        """
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count),
        run AS (SELECT i, strftime('%Y-%m-%dT%H:%M:%S.000000Z', :now, (i - :count) || ' seconds')
                  AS created FROM n)
        INSERT INTO runs (id, project_id, job_id, status, created_at, finished_at, doc)
        SELECT :job || i, :project, :job, iif(i % 4, 'completed', 'failed'), created,
               strftime('%Y-%m-%dT%H:%M:%S.000000Z', created, i || ' seconds'),
               json_object('started_at', created) FROM run
        """,
        {"count": count, "job": job_id, "project": PROJECT, "now": unit.stamp},
    )


async def test_the_health_of_a_job_with_very_many_runs_is_that_of_the_newest(
    virtual: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, other = await virtual.job(), await virtual.job()
    for each in (job, other):
        await virtual.platform.write(partial(_ended, job_id=each["id"], count=2_000))
    path = f"/v1/jobs/{job['id']}/health"
    whole = (await virtual.api.get(path)).json()
    assert (whole["total_runs"], whole["failed_runs"]) == (2_000, 500)
    assert whole["avg_duration_secs"] == 1_000.5
    monkeypatch.setattr(analytics, "MAX_HEALTH_RUNS", 2_001)
    assert (await virtual.api.get(path)).json() == whole
    monkeypatch.setattr(analytics, "MAX_HEALTH_RUNS", 100)
    newest = (await virtual.api.get(path)).json()
    assert (newest["total_runs"], newest["failed_runs"]) == (100, 25)
    assert newest["avg_duration_secs"] == 1_950.5
    assert newest["since"] > whole["since"]
    now = virtual.clock.now()
    assert now - from_timestamp(newest["since"]) == 99 * SECOND


async def test_the_health_of_a_job_is_found_by_its_index(virtual: World) -> None:
    job, other = await virtual.job(), await virtual.job()
    for each in (job, other):
        await virtual.platform.write(partial(_ended, job_id=each["id"], count=2_000))
    wanted = {"project": PROJECT, "from": "", "to": "9", "job_id": job["id"], "most": 10}
    wanted["bucket"] = "day"
    for sql in (jobs.NEWEST, jobs.HEALTH.sql, jobs.QUESTIONS["get-job-history"].sql):
        plan = virtual.platform.reader.execute(f"EXPLAIN QUERY PLAN {sql}", wanted).fetchall()
        of_runs = [detail for *_, detail in plan if detail.split()[1] == "runs"]
        assert len(of_runs) == 1
        assert re.match(r"SEARCH runs USING (COVERING )?INDEX runs_by_job \(job_id=\?", of_runs[0])


async def test_the_typed_client_reads_them(virtual: World) -> None:
    job = await virtual.job()
    await virtual.until(await virtual.trigger(job), "completed")
    asked = period(virtual)
    async with AsyncClient(base_url=virtual.server.base_url, api_key=virtual.key) as client:
        summary = await client.analytics.get_runs_summary(from_=asked["from"], to=asked["to"])
        health = await client.jobs.get_health(job["id"])
    assert (summary.total, health.total_runs) == (1, 1)


# ----------------------------------------------------------------------------------- who asks, what


@pytest.mark.parametrize("operation", BY_PERIOD)
async def test_each_is_empty_of_nothing_and_sees_only_the_own_project(
    world: World, operation: str
) -> None:
    """Its answer is checked against the description by the client of the test."""
    job = await world.job()
    await world.until(await world.trigger(job), "completed")
    other = world.client(await world.key_for("*", project="proj-2"))
    route = ROUTE[operation]
    path = route.path.replace("{jobID}", job["id"]).replace("{workflowID}", "unknown")
    params = period(world, job_ids=job["id"], job_id=job["id"])
    answer = await other.get(path, params=params)
    if "{" in route.path:
        assert answer.status_code == 404
        return
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    if isinstance(shown, dict):
        assert not any(value for name, value in shown.items() if name != "threshold")
    else:
        assert not any(row.get("count") or row.get("total") for row in shown)


@pytest.mark.parametrize("operation", BY_PERIOD)
async def test_a_period_must_be_given_and_be_of_90_days_at_most(
    world: World, operation: str
) -> None:
    path = ROUTE[operation].path.replace("{jobID}", "j").replace("{workflowID}", "w")
    more = {"job_ids": "j", "job_id": "j"}
    missing = "from and to query parameters are required (RFC3339 format)"
    assert told(await world.api.get(path, params=more)) == (400, missing)
    long = told(await world.api.get(path, params=period(world, 91, **more)))
    assert long == (400, "the period from `from` to `to` must be at most 90 days")
    back = period(world, **more)
    back["from"], back["to"] = back["to"], back["from"]
    assert told(await world.api.get(path, params=back)) == (400, "`to` must be after `from`")


async def test_statistics_need_their_scope(world: World) -> None:
    client = world.client(await world.key_for("runs:read"))
    answer = await client.get("/v1/analytics/performance")
    assert told(answer) == (403, "insufficient permissions: requires stats:read")


async def test_a_comparison_is_of_50_jobs_at_most(world: World) -> None:
    answer = await world.api.get(
        "/v1/analytics/jobs/comparison", params=period(world, job_ids=",".join(["j"] * 51))
    )
    assert told(answer) == (400, "job_ids must name at most 50 jobs")


# --------------------------------------------------------------------------------------- slow ones


async def test_a_query_that_takes_too_long_is_stopped_and_hinders_nobody(
    handlers: Handlers,
) -> None:
    async with world(handlers, query_secs=0.2) as made:
        analyst = made.platform.analyst
        slow = [
            asyncio.create_task(analyst.ask(lambda db: db.execute(FOREVER).fetchone()))
            for _ in range(2)
        ]
        run_id = await made.trigger(await made.job())
        await made.until(run_id, "completed")
        for task in slow:
            with pytest.raises(ApiError, match="took more than") as caught:
                await task
            assert caught.value.status == 504
        # The connections that were interrupted serve the next ones.
        assert (await get(made, "/runs/summary"))["total"] == 1


async def test_who_does_not_get_a_turn_is_told_so(handlers: Handlers) -> None:
    async with world(handlers, query_secs=0.2) as made:
        analyst = made.platform.analyst
        slow = [
            asyncio.create_task(analyst.ask(lambda db: db.execute(FOREVER).fetchone()))
            for _ in range(6)
        ]
        outcomes = await asyncio.gather(*slow, return_exceptions=True)
        statuses = {outcome.status for outcome in outcomes if isinstance(outcome, ApiError)}
        assert statuses == {503, 504}

"""Analytics over the API: who may ask for what, for which period, and what real runs look like."""

from __future__ import annotations

import asyncio
import re
from functools import partial

import pytest

from strait import AsyncClient
from strait.clock import SECOND, from_timestamp
from strait.engine.deliveries import Delivery
from strait.server._generated.routes import ROUTES
from strait.server.analytics import jobs
from strait.server.errors import ApiError
from strait.server.routes import analytics, registry
from strait.server.unit import Unit
from strait.store import deliveries
from support.analytics import get, period
from support.handlers import Answer, Handlers, ok
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
    job = await virtual.job()
    for _ in range(5):
        await virtual.until(await virtual.trigger(job), "completed")
    path = "/v1/analytics/performance"
    shown = (await virtual.api.get(path)).json()
    assert shown["throughput"] == {
        "completed": 5, "failed": 0, "timed_out": 0, "canceled": 0, "period_hours": 24
    }  # fmt: skip
    assert [slow["job_id"] for slow in shown["slowest_jobs"]] == [job["id"]]
    await virtual.pass_time(2 * 3600)
    later = (await virtual.api.get(path, params={"period_hours": 1})).json()
    assert later["throughput"]["completed"] == 0
    assert later["slowest_jobs"] == []
    assert later["health_summary"]["total_jobs"] == 1


async def test_the_health_of_a_job_is_over_a_window(virtual: World) -> None:
    job = await virtual.job(max_attempts=1)
    virtual.handlers.script = lambda call: Answer(500)
    await virtual.until(await virtual.trigger(job), "failed", "dead_letter")
    virtual.handlers.script = lambda call: ok()
    await virtual.until(await virtual.trigger(job), "completed")
    path = f"/v1/jobs/{job['id']}/health"
    shown = (await virtual.api.get(path, params={"window": "1h"})).json()
    assert (shown["total_runs"], shown["completed_runs"], shown["failed_runs"]) == (2, 1, 1)
    assert (shown["success_rate"], shown["health_score"]) == (0.5, 50)
    await virtual.pass_time(3700)
    empty = (await virtual.api.get(path, params={"window": "1h"})).json()
    assert (empty["total_runs"], empty["health_score"]) == (0, 100)
    assert (await virtual.api.get(path)).json()["total_runs"] == 2
    assert (await virtual.api.get(path, params={"window": "2h"})).status_code == 400


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


# --------------------------------------------------------------------------------------- webhooks


async def test_deliveries_are_counted_by_their_receiver(world: World) -> None:
    def write(unit: Unit) -> None:
        for number, (url, status, latency, error) in enumerate(
            [
                ("https://a.example", "delivered", 10, ""),
                ("https://a.example", "delivered", 30, ""),
                ("https://a.example", "dead", 0, "status 500"),
                ("https://b.example", "failed", 0, "refused"),
                ("https://b.example", "pending", 0, "later"),
            ]
        ):
            delivery = Delivery(
                id=f"d{number}", kind="webhook", project_id=PROJECT, target_id="t", address=url,
                event_type="run.failed", body="{}", created_at=unit.stamp, updated_at=unit.stamp,
                due_at="", max_attempts=3, status=status, latency_ms=latency, last_error=error,
            )  # fmt: skip
            deliveries.insert(unit.db, delivery)
            unit.tick()

    await world.platform.write(write)
    first, second = await get(world, "/webhooks/delivery-stats")
    assert first == {
        "url": "https://a.example", "total": 3, "delivered": 2, "failed": 0, "dead": 1,
        "avg_latency_ms": 20, "p95_latency_ms": 29,
    }  # fmt: skip
    assert (second["total"], second["failed"]) == (2, 1)
    health = await get(world, "/webhooks/endpoint-health")
    assert {row["url"]: row["success_rate"] for row in health} == {
        "https://a.example": 0.6667, "https://b.example": 0
    }  # fmt: skip
    failing = await get(world, "/webhooks/top-failing")
    assert [(row["url"], row["failed"], row["last_error"]) for row in failing] == [
        ("https://a.example", 1, "status 500"), ("https://b.example", 1, "later")
    ]  # fmt: skip

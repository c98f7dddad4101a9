"""Figures over runs: made by real runs on virtual time, and worked out by hand."""

from __future__ import annotations

from typing import Any

from support.analytics import BROKEN, canceled, get, period, stranger, took
from support.handlers import Gate, ok
from support.workflows import told
from support.world import PROJECT, World

HOUR = 3600
DAY = 24 * HOUR
# The virtual clock begins here.
FIRST, SECOND, NEXT_DAY = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-02T00:00:00Z"


async def timed_out(world: World, job: dict[str, Any]) -> str:
    """Have a run of a job with one attempt of `timeout_secs` outlast it."""
    world.handlers.script = Gate()
    run_id, _ = await world.executing(job)
    await world.pass_time(job["timeout_secs"] + 60)
    await world.until(run_id, "timed_out")
    return run_id


# -------------------------------------------------------------------------------------------- runs


async def test_the_timeline_counts_the_runs_that_ended_by_hour_or_day(virtual: World) -> None:
    job = await virtual.job(max_attempts=1, timeout_secs=5)
    await took(virtual, job)
    await took(virtual, job, 2, BROKEN)
    await virtual.pass_time(HOUR)
    await timed_out(virtual, job)
    await canceled(virtual, job)
    await virtual.pass_time(DAY - HOUR)
    await took(virtual, job)
    virtual.handlers.script = Gate()
    await virtual.executing(job)
    none = {"completed": 0, "failed": 0, "timed_out": 0}
    last = {**none, "completed": 1, "total": 1}
    timeline = await get(virtual, "/runs/timeline", bucket="hour")
    assert timeline == [
        {"period": FIRST, **none, "completed": 1, "failed": 1, "total": 2},
        {"period": SECOND, **none, "timed_out": 1, "total": 2},
        {"period": NEXT_DAY, **last},
    ]
    assert await get(virtual, "/runs/timeline") == [
        {"period": FIRST, "completed": 1, "failed": 1, "timed_out": 1, "total": 4},
        {"period": NEXT_DAY, **last},
    ]
    (since,) = await get(virtual, "/runs/timeline", **{"from": NEXT_DAY})
    assert since["total"] == 1
    # What begins at the end of a period is not in it.
    (until,) = await get(virtual, "/runs/timeline", to=NEXT_DAY)
    assert until["total"] == 4
    odd = await virtual.api.get(
        "/v1/analytics/runs/timeline", params=period(virtual, bucket="week")
    )
    assert odd.status_code == 400


async def test_the_duration_of_each_run_falls_into_one_of_six_ranges(virtual: World) -> None:
    job = await virtual.job(timeout_secs=HOUR)
    for secs in (0.05, 0.101, 0.5, 1.001, 59, 60.001, 599, 600.001):
        await took(virtual, job, secs)
    assert await get(virtual, "/runs/duration-distribution") == [
        {"range": "<100ms", "count": 1, "pct": 12.5},
        {"range": "100ms-1s", "count": 2, "pct": 25},
        {"range": "1s-10s", "count": 1, "pct": 12.5},
        {"range": "10s-1m", "count": 1, "pct": 12.5},
        {"range": "1m-10m", "count": 2, "pct": 25},
        {"range": ">10m", "count": 1, "pct": 12.5},
    ]
    foreign = await stranger(virtual)
    path = "/v1/analytics/runs/duration-distribution"
    ranges = (await foreign.get(path, params=period(virtual))).json()
    assert [row["count"] for row in ranges] == [0] * 6


async def test_a_summary_has_the_mean_and_the_95th_percentile_of_durations(virtual: World) -> None:
    job = await virtual.job(max_attempts=1)
    for secs in (1, 2, 3):
        await took(virtual, job, secs)
    await took(virtual, job, 10, BROKEN)
    # Between the third and the fourth, at 0.95 * 3 = 2.85: 3 s + 0.85 * 7 s.
    assert await get(virtual, "/runs/summary") == {
        "total": 4, "completed": 3, "failed": 1, "timed_out": 0, "success_rate": 0.75,
        "avg_duration_ms": 4_000, "p95_duration_ms": 8_950,
    }  # fmt: skip


async def test_reasons_of_failures_are_listed_by_how_often_they_came(virtual: World) -> None:
    job = await virtual.job(max_attempts=1)
    often = [await took(virtual, job, 1, BROKEN) for _ in range(2)]
    await virtual.pass_time(10)
    world_run, handler = await _held(virtual, job)
    body = {"error": "no such order"}
    assert (await handler.post(f"/sdk/v1/runs/{world_run}/fail", json=body)).status_code == 200
    first, second = await get(virtual, "/runs/failure-reasons")
    ended = await virtual.run(often[1])
    assert first == {
        "message": ended["error"], "count": 2, "last_seen": ended["finished_at"],
        "example_run_id": often[1],
    }  # fmt: skip
    assert (second["message"], second["count"]) == ("no such order", 1)
    assert second["example_run_id"] == world_run
    assert await get(virtual, "/runs/failure-reasons", limit=1) == [first]


async def _held(world: World, job: dict[str, Any]) -> Any:
    world.handlers.script = Gate()
    return await world.executing(job)


async def test_runs_are_counted_by_what_triggered_them(virtual: World) -> None:
    job = await virtual.job(max_attempts=1)
    await took(virtual, job, 2)
    await took(virtual, job, 4, BROKEN)
    source = {"project_id": PROJECT, "name": "git"}
    made = (await virtual.api.post("/v1/event-sources", json=source)).json()
    target = {"target_type": "job", "target_id": job["id"]}
    path = f"/v1/event-sources/{made['id']}/subscribe"
    assert (await virtual.api.post(path, json=target)).status_code == 201

    async def dispatched() -> str:
        event = {"project_id": PROJECT, "source": "git", "payload": {}}
        assert (await virtual.api.post("/v1/events/dispatch", json=event)).status_code == 200
        (run,) = (await virtual.api.get("/v1/runs", params={"triggered_by": "event"})).json()[
            "data"
        ]
        return str(run["id"])

    await took(virtual, job, 7, trigger=dispatched)
    assert await get(virtual, "/runs/by-trigger") == [
        {"trigger_type": "manual", "total": 2, "completed": 1, "failed": 1,
         "avg_duration_ms": 3_000},
        {"trigger_type": "event", "total": 1, "completed": 1, "failed": 0,
         "avg_duration_ms": 7_000},
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------- jobs


async def test_jobs_are_compared_in_the_order_in_which_they_are_named(virtual: World) -> None:
    one, two, idle = [await virtual.job(max_attempts=1) for _ in range(3)]
    await took(virtual, one, 1, cost=5)
    await took(virtual, one, 3, cost=6)
    await took(virtual, two, 4, BROKEN)
    ids = f"{idle['id']},{two['id']},{one['id']},unknown,{one['id']}"
    assert await get(virtual, "/jobs/comparison", job_ids=ids) == [
        {"job_id": idle["id"], "slug": idle["slug"], "total": 0, "success_rate": 0,
         "avg_duration_ms": 0, "cost": 0},
        {"job_id": two["id"], "slug": two["slug"], "total": 1, "success_rate": 0,
         "avg_duration_ms": 4_000, "cost": 0},
        {"job_id": one["id"], "slug": one["slug"], "total": 2, "success_rate": 1,
         "avg_duration_ms": 2_000, "cost": 11},
    ]  # fmt: skip
    foreign = await stranger(virtual)
    path, params = "/v1/analytics/jobs/comparison", period(virtual, job_ids=ids)
    assert (await foreign.get(path, params=params)).json() == []


async def test_the_least_reliable_job_comes_first_with_its_failures_in_a_row(
    virtual: World,
) -> None:
    good, bad = [await virtual.job(max_attempts=1) for _ in range(2)]
    for answer in (BROKEN, ok(), BROKEN, BROKEN):
        await took(virtual, bad, 1, answer)
    await canceled(virtual, bad)
    for answer in (BROKEN, ok()):
        await took(virtual, good, 1, answer)
    worst = {
        "job_id": bad["id"], "slug": bad["slug"], "total": 5, "success_rate": 0.2, "failed": 3,
        "consecutive_failures": 2,
    }  # fmt: skip
    assert await get(virtual, "/jobs/reliability") == [
        worst,
        {"job_id": good["id"], "slug": good["slug"], "total": 2, "success_rate": 0.5, "failed": 1,
         "consecutive_failures": 0},
    ]  # fmt: skip
    assert await get(virtual, "/jobs/reliability", limit=1) == [worst]


async def test_runs_of_a_job_are_counted_by_the_version_that_they_ran_by(virtual: World) -> None:
    job = await virtual.job(max_attempts=1)
    old = [await took(virtual, job, 1), await took(virtual, job, 2, BROKEN)]
    changed = await virtual.api.patch(f"/v1/jobs/{job['id']}", json={"timeout_secs": 99})
    assert changed.status_code == 200
    new = await took(virtual, job, 5)
    await took(virtual, await virtual.job())
    by_version = await get(virtual, "/jobs/by-version", job_id=job["id"])
    assert by_version == [
        {"version_id": (await virtual.run(new))["job_version_id"], "total": 1, "completed": 1,
         "failed": 0, "avg_duration_ms": 5_000},
        {"version_id": (await virtual.run(old[0]))["job_version_id"], "total": 2, "completed": 1,
         "failed": 1, "avg_duration_ms": 1_500},
    ]  # fmt: skip
    path = "/v1/analytics/jobs/by-version"
    foreign = await (await stranger(virtual)).get(path, params=period(virtual, job_id=job["id"]))
    assert foreign.json() == []
    assert (await virtual.api.get(path, params=period(virtual))).status_code == 400


async def test_the_job_that_failed_most_often_comes_first(virtual: World) -> None:
    often, once, never = [await virtual.job(max_attempts=1) for _ in range(3)]
    for job, answer in (
        (often, BROKEN), (often, BROKEN), (often, ok()), (once, BROKEN), (never, ok()),
    ):  # fmt: skip
        await took(virtual, job, 1, answer)
    first = {
        "job_id": often["id"], "slug": often["slug"], "failed_count": 2, "total": 3,
        "failure_rate": 0.6667,
    }  # fmt: skip
    assert await get(virtual, "/jobs/top-failing") == [
        first,
        {"job_id": once["id"], "slug": once["slug"], "failed_count": 1, "total": 1,
         "failure_rate": 1},
    ]  # fmt: skip
    assert await get(virtual, "/jobs/top-failing", limit=1) == [first]


async def test_the_history_of_a_job_has_its_durations_by_hour_or_day(virtual: World) -> None:
    job = await virtual.job(max_attempts=1)
    await took(virtual, await virtual.job(), 9)
    for secs in (1, 2):
        await took(virtual, job, secs)
    await virtual.pass_time(HOUR)
    await took(virtual, job, 6, BROKEN)
    path = f"/jobs/{job['id']}/history"
    # 0.95 * (2 - 1) of the way from 1 s to 2 s; of three, 0.9 of the way from 2 s to 6 s.
    assert await get(virtual, path, bucket="hour") == [
        {"period": FIRST, "completed": 2, "failed": 0, "avg_duration_ms": 1_500,
         "p95_duration_ms": 1_950},
        {"period": SECOND, "completed": 0, "failed": 1, "avg_duration_ms": 6_000,
         "p95_duration_ms": 6_000},
    ]  # fmt: skip
    assert await get(virtual, path) == [
        {"period": FIRST, "completed": 2, "failed": 1, "avg_duration_ms": 3_000,
         "p95_duration_ms": 5_600},
    ]  # fmt: skip
    assert await get(virtual, path, **{"from": NEXT_DAY, "to": "2026-01-03T00:00:00Z"}) == []
    foreign = await stranger(virtual)
    refused = await foreign.get(f"/v1/analytics{path}", params=period(virtual))
    assert told(refused) == (404, "job not found")


# -------------------------------------------------------------------------------------------- tags


async def test_runs_are_counted_by_each_of_their_tags(virtual: World) -> None:
    job = await virtual.job(max_attempts=1)
    await took(virtual, job, 1, tags={"team": "a", "tier": "free"})
    await took(virtual, job, 3, BROKEN, tags={"team": "a"})
    await took(virtual, job, 5, tags={"team": "b"})
    await took(virtual, job, 7)
    most = {
        "tag_key": "team", "tag_value": "a", "total": 2, "completed": 1, "failed": 1,
        "avg_duration_ms": 2_000,
    }  # fmt: skip
    assert await get(virtual, "/tags/summary") == [
        most,
        {"tag_key": "team", "tag_value": "b", "total": 1, "completed": 1, "failed": 0,
         "avg_duration_ms": 5_000},
        {"tag_key": "tier", "tag_value": "free", "total": 1, "completed": 1, "failed": 0,
         "avg_duration_ms": 1_000},
    ]  # fmt: skip
    assert await get(virtual, "/tags/summary", limit=1) == [most]


async def test_the_tag_whose_runs_failed_most_often_comes_first(virtual: World) -> None:
    job = await virtual.job(max_attempts=1)
    for tags, answer in (
        ({"team": "a"}, BROKEN), ({"team": "a"}, ok()), ({"team": "b"}, BROKEN),
        ({"team": "b"}, BROKEN), ({"team": "c"}, ok()),
    ):  # fmt: skip
        await took(virtual, job, 1, answer, tags=tags)
    worst = {"tag_key": "team", "tag_value": "b", "failed": 2, "total": 2, "failure_rate": 1}
    assert await get(virtual, "/tags/top-failing") == [
        worst,
        {"tag_key": "team", "tag_value": "a", "failed": 1, "total": 2, "failure_rate": 0.5},
    ]
    assert await get(virtual, "/tags/top-failing", limit=1) == [worst]

"""The figures of the analytics, worked out slowly and plainly from a history."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

from strait.clock import Timestamp, to_timestamp
from support.histories import FAILED, FROM, HOUR, TO, UNSUCCESSFUL, History, Past


def count(rows: Iterable[Past], *statuses: str) -> int:
    return sum(run.status in statuses for run in rows)


def failures(rows: Iterable[Past]) -> int:
    return count(rows, *UNSUCCESSFUL)


def share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0


def times(rows: Iterable[Past]) -> list[float]:
    return sorted(run.ms for run in rows if run.ms is not None)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else 0


def percentile(values: list[float], fraction: float) -> float:
    if not values:
        return 0
    place = fraction * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def groups(rows: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def day(at: int) -> Timestamp:
    return to_timestamp(at)[:10] + "T00:00:00Z"


def hour(at: int) -> Timestamp:
    return to_timestamp(at)[:13] + ":00:00Z"


def tagged(history: History) -> dict[tuple[str, str], list[Past]]:
    return groups(
        ((tag, run) for run in history.runs for tag in run.tags.items()), lambda pair: pair[0]
    )


def timeline(history: History) -> Any:
    return [
        {
            "period": period,
            "completed": count(rows, "completed"),
            "failed": count(rows, *FAILED),
            "timed_out": count(rows, "timed_out"),
            "total": len(rows),
        }
        for period, rows in sorted(groups(history.runs, lambda run: hour(run.created)).items())
    ]


def distribution(history: History) -> Any:
    edges = [0, 100, 1_000, 10_000, 60_000, 600_000, math.inf]
    names = ["<100ms", "100ms-1s", "1s-10s", "10s-1m", "1m-10m", ">10m"]
    timed = times(history.runs)
    counts = [sum(low <= ms < high for ms in timed) for low, high in itertools.pairwise(edges)]
    return [
        {"range": name, "count": n, "pct": round(100 * n / len(timed), 2) if timed else 0}
        for name, n in zip(names, counts, strict=True)
    ]


def summary(history: History) -> Any:
    rows = history.runs
    return {
        "total": len(rows),
        "completed": count(rows, "completed"),
        "failed": count(rows, *FAILED),
        "timed_out": count(rows, "timed_out"),
        "success_rate": share(count(rows, "completed"), len(rows)),
        "avg_duration_ms": mean(times(rows)),
        "p95_duration_ms": percentile(times(rows), 0.95),
    }


def by_trigger(history: History) -> Any:
    found = [
        {
            "trigger_type": trigger,
            "total": len(rows),
            "completed": count(rows, "completed"),
            "failed": failures(rows),
            "avg_duration_ms": mean(times(rows)),
        }
        for trigger, rows in groups(history.runs, lambda run: run.trigger).items()
    ]
    return sorted(found, key=lambda row: (-row["total"], row["trigger_type"]))


def tag_summary(history: History) -> Any:
    found = [
        {
            "tag_key": key,
            "tag_value": value,
            "total": len(pairs),
            "completed": count((run for _, run in pairs), "completed"),
            "failed": failures(run for _, run in pairs),
            "avg_duration_ms": mean(times(run for _, run in pairs)),
        }
        for (key, value), pairs in tagged(history).items()
    ]
    return sorted(found, key=lambda row: (-row["total"], row["tag_key"], row["tag_value"]))


def failing_tags(history: History) -> Any:
    found = [
        {
            "tag_key": key,
            "tag_value": value,
            "failed": failures(run for _, run in pairs),
            "total": len(pairs),
            "failure_rate": share(failures(run for _, run in pairs), len(pairs)),
        }
        for (key, value), pairs in tagged(history).items()
    ]
    return sorted(
        (row for row in found if row["failed"]),
        key=lambda row: (-row["failed"], row["tag_key"], row["tag_value"]),
    )


def reasons(history: History) -> Any:
    bad = [run for run in history.runs if run.status in UNSUCCESSFUL and run.error]
    found = []
    for message, rows in groups(bad, lambda run: run.error).items():
        last = max(rows, key=lambda run: run.created + (run.waited or 0) + run.took)
        end = last.created + (last.waited or 0) + last.took
        found.append((message, len(rows), to_timestamp(end)))
    return sorted(found, key=lambda row: row[2], reverse=True)


def comparison(history: History) -> Any:
    return [
        {
            "job_id": job,
            "slug": f"slug-{job}",
            "total": len(rows),
            "success_rate": share(count(rows, "completed"), len(rows)),
            "avg_duration_ms": mean(times(rows)),
            "cost": sum(cost for run, _, cost in history.spent if run.job == job),
        }
        for job in ("j3", "j1")
        for rows in [[run for run in history.runs if run.job == job]]
    ]


def reliability(history: History) -> Any:
    found = []
    for job, rows in groups(history.runs, lambda run: run.job).items():
        in_a_row = 0
        for run in sorted(rows, key=lambda run: -run.created):
            if run.status == "completed":
                break
            in_a_row += run.status in UNSUCCESSFUL
        found.append(
            {
                "job_id": job,
                "slug": f"slug-{job}",
                "total": len(rows),
                "success_rate": share(count(rows, "completed"), len(rows)),
                "failed": failures(rows),
                "consecutive_failures": in_a_row,
            }
        )
    return sorted(found, key=lambda row: (row["success_rate"], -row["failed"], row["job_id"]))


def by_version(history: History) -> Any:
    mine = [run for run in history.runs if run.job == "j1"]
    found = groups(mine, lambda run: run.version)
    return [
        {
            "version_id": version,
            "total": len(rows),
            "completed": count(rows, "completed"),
            "failed": failures(rows),
            "avg_duration_ms": mean(times(rows)),
        }
        for version, rows in sorted(
            found.items(), key=lambda item: -max(run.created for run in item[1])
        )
    ]


def failing_jobs(history: History) -> Any:
    found = [
        {
            "job_id": job,
            "slug": f"slug-{job}",
            "failed_count": failures(rows),
            "total": len(rows),
            "failure_rate": share(failures(rows), len(rows)),
        }
        for job, rows in groups(history.runs, lambda run: run.job).items()
        if failures(rows)
    ]
    return sorted(found, key=lambda row: (-row["failed_count"], row["job_id"]))


def job_history(history: History) -> Any:
    mine = [run for run in history.runs if run.job == "j1"]
    return [
        {
            "period": period,
            "completed": count(rows, "completed"),
            "failed": failures(rows),
            "avg_duration_ms": mean(times(rows)),
            "p95_duration_ms": percentile(times(rows), 0.95),
        }
        for period, rows in sorted(groups(mine, lambda run: hour(run.created)).items())
    ]


def health(history: History) -> Any:
    rows = [run for run in history.runs if run.job == "j1"]
    decided = count(rows, "completed") + failures(rows)
    return {
        "total_runs": len(rows),
        "completed_runs": count(rows, "completed"),
        "failed_runs": count(rows, "failed", "system_failed", "dead_letter"),
        "timed_out_runs": count(rows, "timed_out"),
        "crashed_runs": count(rows, "crashed"),
        "canceled_runs": count(rows, "canceled"),
        "expired_runs": count(rows, "expired"),
        "success_rate": share(count(rows, "completed"), len(rows)),
        "avg_duration_secs": mean(times(rows)) / 1000,
        "p95_duration_secs": percentile(times(rows), 0.95) / 1000,
        "p99_duration_secs": percentile(times(rows), 0.99) / 1000,
        "health_score": round(100 * count(rows, "completed") / decided, 2) if decided else 100,
    }


def slowest(history: History) -> Any:
    timed = groups((run for run in history.runs if run.ms is not None), lambda run: run.job)
    found = [
        {
            "job_id": job,
            "job_slug": f"slug-{job}",
            "avg_duration_secs": mean(times(rows)) / 1000,
            "p95_duration_secs": percentile(times(rows), 0.95) / 1000,
            "total_runs": len(rows),
            "failed_runs": failures(rows),
        }
        for job, rows in timed.items()
        if len(rows) >= 5
    ]
    return sorted(found, key=lambda row: (-row["avg_duration_secs"], row["job_id"]))


def throughput(history: History) -> Any:
    rows = history.runs
    return {
        "completed": count(rows, "completed"),
        "failed": count(rows, *FAILED),
        "timed_out": count(rows, "timed_out"),
        "canceled": count(rows, "canceled"),
    }


def live(history: History) -> Any:
    rows = history.runs
    return {
        "total_jobs": 3,
        "active_jobs": 2,
        "success_rate": share(count(rows, "completed"), len(rows)),
        "avg_duration_secs": mean(times(rows)) / 1000,
        "queue_depth": sum(run.status == "queued" and run.project == "p" for run in history.all),
    }


def cost_groups(history: History, key: Callable[[Past, int], Any]) -> dict[Any, tuple[int, int]]:
    found = groups(history.spent, lambda spent: key(spent[0], spent[1]))
    return {
        name: (sum(cost for *_, cost in rows), len({run.id for run, *_ in rows}))
        for name, rows in found.items()
    }


def trends(history: History) -> Any:
    return [
        {"period": period, "spend_microusd": cost, "run_count": n}
        for period, (cost, n) in sorted(cost_groups(history, lambda _, at: day(at)).items())
    ]


def total_cost(history: History) -> Any:
    return {
        "total_spend_microusd": sum(cost for *_, cost in history.spent),
        "run_count": len({run.id for run, *_ in history.spent}),
    }


def ranking(history: History) -> Any:
    found = [
        {
            "job_id": job,
            "slug": f"slug-{job}",
            "total_cost": cost,
            "run_count": n,
            "avg_cost_per_run": cost / n,
        }
        for job, (cost, n) in cost_groups(history, lambda run, _: run.job).items()
    ]
    return sorted(found, key=lambda row: (-row["total_cost"], row["job_id"]))


def top_costs(history: History) -> Any:
    return [
        {
            "id": row["job_id"],
            "name": row["slug"],
            "item_type": "job",
            "cost_microusd": row["total_cost"],
            "run_count": row["run_count"],
        }
        for row in ranking(history)
    ]


def by_job(history: History) -> Any:
    return [
        {
            "job_id": row["job_id"],
            "job_slug": row["slug"],
            "cost_microusd": row["total_cost"],
            "run_count": row["run_count"],
        }
        for row in ranking(history)
    ]


def tag_cost(history: History) -> Any:
    spent = [(tag, run, cost) for run, _, cost in history.spent for tag in run.tags.items()]
    found = [
        {
            "tag_key": key,
            "tag_value": value,
            "total_cost": sum(cost for *_, cost in rows),
            "run_count": len({run.id for _, run, _ in rows}),
        }
        for (key, value), rows in groups(spent, lambda row: row[0]).items()
    ]
    return sorted(found, key=lambda row: (-row["total_cost"], row["tag_key"], row["tag_value"]))


def cost_by_trigger(history: History) -> Any:
    total = sum(cost for *_, cost in history.spent)
    found = [
        {
            "trigger": trigger,
            "cost": cost,
            "run_count": n,
            "pct": round(100 * cost / total, 2) if total else 0,
        }
        for trigger, (cost, n) in cost_groups(history, lambda run, _: run.trigger).items()
    ]
    return sorted(found, key=lambda row: (-row["cost"], row["trigger"]))


def forecast(history: History) -> Any:
    days = (TO - FROM) / (24 * HOUR)
    spent = sum(cost for *_, cost in history.spent)
    first = sum(cost for _, at, cost in history.spent if at < (FROM + TO) / 2)
    return {
        "daily_rate": spent / days,
        "projected_monthly": spent / days * 30,
        "trend_pct": round(100 * (spent - first - first) / first, 2) if first else 0,
    }


def outliers(history: History) -> Any:
    found = []
    for job, rows in groups(history.spent, lambda spent: spent[0].job).items():
        totals = {
            run_id: sum(cost for *_, cost in parts)
            for run_id, parts in groups(rows, lambda spent: spent[0].id).items()
        }
        middle = mean(list(map(float, totals.values())))
        deviation = math.sqrt(mean([(cost - middle) ** 2 for cost in totals.values()]))
        found += [
            {
                "run_id": run_id,
                "job_id": job,
                "cost_microusd": cost,
                "avg_cost_microusd": middle,
                "stddev_cost_microusd": deviation,
                "deviations_above_avg": (cost - middle) / deviation,
            }
            for run_id, cost in totals.items()
            # At the very edge rounding decides; nobody can say which side is right.
            if deviation > 0 and cost > middle + 1.1 * deviation
        ]
    return sorted(found, key=lambda row: (-row["deviations_above_avg"], row["run_id"]))

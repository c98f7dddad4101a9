"""What the questions have in common: which runs they look at, durations, percentiles, buckets.

Figures are over runs that ended, by the instant at which they were created. Costs are by the
instant at which they were reported. A run failed when its status is one of `FAILED`; where an
answer has no figure of its own for time-outs, they count as failures.
"""

from __future__ import annotations

from dataclasses import dataclass

_FAILED_STATUSES = "'failed', 'crashed', 'system_failed', 'dead_letter'"
_ACTIVE_STATUSES = (
    "'delayed', 'queued', 'dequeued', 'executing', 'waiting', 'paused', 'replay_staged'"
)

COMPLETED = "status = 'completed'"
FAILED = f"status IN ({_FAILED_STATUSES})"
TIMED_OUT = "status = 'timed_out'"
UNSUCCESSFUL = f"status IN ({_FAILED_STATUSES}, 'timed_out')"


@dataclass(frozen=True, slots=True)
class Question:
    """A named query of the API.

    Attributes:
        sql: the query. Its columns are the fields of the answer; its parameters are `:project`,
            `:from`, `:to`, `:bucket`, `:limit`, and those of the path and the query string.
        one: whether the answer is the first row instead of all of them.
        limit: how many rows there are by default, where the caller may say.
    """

    sql: str
    one: bool = False
    limit: int = 10


def micros(column: str) -> str:
    """Return an expression for an instant as microseconds since the epoch; NULL when it is empty.

    SQLite's own functions round to milliseconds, so the fraction is taken from the text.
    """
    return (
        f"(CAST(strftime('%s', substr({column}, 1, 19)) AS INTEGER) * 1000000"
        f" + CAST(substr({column}, 21, 6) AS INTEGER))"
    )


def span_ms(start: str, end: str) -> str:
    """Return an expression for the time between two instants, in milliseconds."""
    return f"(({micros(end)} - {micros(start)}) / 1000.0)"


def percentile(fraction: float, value: str, rank: str, count: str) -> str:
    """Return an aggregate for an exact percentile, interpolated between its two neighbours.

    Args:
        fraction: which one; 0.5 is the median.
        value: the column.
        rank: a column with the place of the row by value, from 1.
        count: a column with the number of rows.
    """
    place = f"({fraction} * ({count} - 1))"
    low = f"CAST({place} AS INTEGER)"
    below = f"max(CASE WHEN {rank} = {low} + 1 THEN {value} END)"
    above = f"max(CASE WHEN {rank} = min({low} + 2, {count}) THEN {value} END)"
    return f"coalesce({below} + ({above} - {below}) * max({place} - {low}), 0)"


def ranked(source: str, value: str, group: str = "") -> str:
    """Return a subquery of all rows with `rank` and `ranked`, by a value within a group."""
    partition = f"PARTITION BY {group}" if group else ""
    return (
        f"(SELECT *, row_number() OVER ({partition} ORDER BY {value} NULLS LAST) AS rank, "
        f"count({value}) OVER ({partition}) AS ranked FROM {source})"
    )


def bucket(column: str) -> str:
    """Return an expression for the start of the hour or day (`:bucket`) that an instant is in."""
    return (
        f"CASE :bucket WHEN 'hour' THEN substr({column}, 1, 13) || ':00:00Z' "
        f"ELSE substr({column}, 1, 10) || 'T00:00:00Z' END"
    )


def rate(part: str, whole: str = "count(*)") -> str:
    """Return an expression for a share from 0 to 1, with four digits; 0 of nothing is 0."""
    return f"round(coalesce(1.0 * sum({part}) / nullif({whole}, 0), 0), 4)"


def average(value: str) -> str:
    """Return an aggregate for a mean; 0 where there is nothing."""
    return f"coalesce(avg({value}), 0.0)"


def _ended(which: str) -> str:
    return f"""
run AS (
  SELECT id, job_id, status, created_at, finished_at, doc,
         {span_ms("doc ->> 'started_at'", "finished_at")} AS duration_ms
    FROM runs
   WHERE {which} AND created_at >= :from AND created_at < :to
     AND status NOT IN ({_ACTIVE_STATUSES})
)
"""


# Runs of the project that were created in the period and have ended.
RUNS = _ended("project_id = :project")

# The same of one job. Unary `+` keeps SQLite from the index of the project.
RUNS_OF_JOB = _ended("job_id = :job_id AND +project_id = :project")

# What was reported in the period as spent by runs of the project.
COSTS = """
cost AS (
  SELECT sample.run_id, sample.created_at, runs.job_id, runs.doc,
         CAST(sample.doc ->> 'cost_microusd' AS INTEGER) AS microusd
    FROM run_samples AS sample JOIN runs ON runs.id = sample.run_id
   WHERE sample.kind = 'usage' AND sample.created_at >= :from AND sample.created_at < :to
     AND runs.project_id = :project
)
"""

SLUG = "coalesce((SELECT slug FROM jobs WHERE id = job_id), job_id)"

"""Questions about runs: how many, how long, and why they failed."""

from __future__ import annotations

from strait.server.analytics.sql import (
    COMPLETED,
    FAILED,
    RUNS,
    TIMED_OUT,
    UNSUCCESSFUL,
    Question,
    average,
    bucket,
    percentile,
    ranked,
    rate,
)

_P95 = percentile(0.95, "duration_ms", "rank", "ranked")

QUESTIONS = {
    "get-run-timeline": Question(f"""
        WITH {RUNS}
        SELECT {bucket("created_at")} AS period, sum({COMPLETED}) AS completed,
               sum({FAILED}) AS failed, sum({TIMED_OUT}) AS timed_out, count(*) AS total
          FROM run GROUP BY period ORDER BY period
    """),
    "get-run-duration-distribution": Question(f"""
        WITH {RUNS},
        edge (range, low, high) AS (VALUES
          ('<100ms', 0, 100), ('100ms-1s', 100, 1000), ('1s-10s', 1000, 10000),
          ('10s-1m', 10000, 60000), ('1m-10m', 60000, 600000), ('>10m', 600000, 9e18)),
        timed AS (SELECT duration_ms FROM run WHERE duration_ms IS NOT NULL)
        SELECT range, count(duration_ms) AS count,
               round(coalesce(100.0 * count(duration_ms)
                              / nullif((SELECT count(*) FROM timed), 0), 0), 2) AS pct
          FROM edge LEFT JOIN timed ON duration_ms >= low AND duration_ms < high
         GROUP BY range, low ORDER BY low
    """),
    "get-run-failure-reasons": Question(f"""
        WITH {RUNS}
        SELECT doc ->> 'error' AS message, count(*) AS count, max(finished_at) AS last_seen,
               -- SQLite takes this column from the row that has the maximum.
               id AS example_run_id
          FROM run WHERE {UNSUCCESSFUL} AND message <> ''
         GROUP BY message ORDER BY count DESC, last_seen DESC LIMIT :limit
    """),
    "get-run-summary": Question(
        f"""
        WITH {RUNS}
        SELECT count(*) AS total, coalesce(sum({COMPLETED}), 0) AS completed,
               coalesce(sum({FAILED}), 0) AS failed, coalesce(sum({TIMED_OUT}), 0) AS timed_out,
               {rate(COMPLETED)} AS success_rate, {average("duration_ms")} AS avg_duration_ms,
               {_P95} AS p95_duration_ms
          FROM {ranked("run", "duration_ms")}
        """,
        one=True,
    ),
    "get-runs-by-trigger": Question(f"""
        WITH {RUNS}
        SELECT doc ->> 'triggered_by' AS trigger_type, count(*) AS total,
               sum({COMPLETED}) AS completed, sum({UNSUCCESSFUL}) AS failed,
               {average("duration_ms")} AS avg_duration_ms
          FROM run GROUP BY trigger_type ORDER BY total DESC, trigger_type
    """),
    "get-tag-summary": Question(
        f"""
        WITH {RUNS}
        SELECT tag.key AS tag_key, tag.value AS tag_value, count(*) AS total,
               sum({COMPLETED}) AS completed, sum({UNSUCCESSFUL}) AS failed,
               {average("duration_ms")} AS avg_duration_ms
          FROM run JOIN json_each(run.doc, '$.tags') AS tag
         GROUP BY tag_key, tag_value ORDER BY total DESC, tag_key, tag_value LIMIT :limit
        """,
        limit=50,
    ),
    "get-top-failing-tags": Question(f"""
        WITH {RUNS}
        SELECT tag.key AS tag_key, tag.value AS tag_value, sum({UNSUCCESSFUL}) AS failed,
               count(*) AS total, {rate(UNSUCCESSFUL)} AS failure_rate
          FROM run JOIN json_each(run.doc, '$.tags') AS tag
         GROUP BY tag_key, tag_value HAVING failed > 0
         ORDER BY failed DESC, tag_key, tag_value LIMIT :limit
    """),
}

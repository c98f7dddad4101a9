"""Questions about jobs: which of them fail, how often in a row, and how they change over time."""

from __future__ import annotations

from strait.server.analytics.sql import (
    COMPLETED,
    COSTS,
    FAILED,
    RUNS,
    RUNS_OF_JOB,
    SLUG,
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
_P99 = percentile(0.99, "duration_ms", "rank", "ranked")

QUESTIONS = {
    "get-job-comparison": Question(f"""
        WITH {RUNS}, {COSTS}
        SELECT asked.id AS job_id, asked.slug AS slug, count(run.id) AS total,
               {rate("run." + COMPLETED, "count(run.id)")} AS success_rate,
               {average("run.duration_ms")} AS avg_duration_ms,
               (SELECT coalesce(sum(microusd), 0) FROM cost WHERE cost.job_id = asked.id) AS cost
          FROM json_each(:job_ids) AS given
          JOIN jobs AS asked ON asked.id = given.value AND asked.project_id = :project
          LEFT JOIN run ON run.job_id = asked.id
         GROUP BY asked.id ORDER BY min(given.key)
    """),
    "get-job-reliability": Question(f"""
        WITH {RUNS}
        SELECT job_id, {SLUG} AS slug, count(*) AS total, {rate(COMPLETED)} AS success_rate,
               sum({UNSUCCESSFUL}) AS failed,
               sum({UNSUCCESSFUL} AND created_at > last_completed) AS consecutive_failures
          FROM (SELECT *, max(CASE WHEN {COMPLETED} THEN created_at ELSE '' END)
                          OVER (PARTITION BY job_id) AS last_completed FROM run)
         GROUP BY job_id ORDER BY success_rate, failed DESC, job_id LIMIT :limit
    """),
    "get-runs-by-version": Question(f"""
        WITH {RUNS_OF_JOB}
        SELECT coalesce(doc ->> 'job_version_id', CAST(doc ->> 'job_version' AS TEXT), '')
                 AS version_id,
               count(*) AS total, sum({COMPLETED}) AS completed, sum({UNSUCCESSFUL}) AS failed,
               {average("duration_ms")} AS avg_duration_ms
          FROM run GROUP BY version_id ORDER BY max(created_at) DESC
    """),
    "get-top-failing-jobs": Question(f"""
        WITH {RUNS}
        SELECT job_id, {SLUG} AS slug, sum({UNSUCCESSFUL}) AS failed_count, count(*) AS total,
               {rate(UNSUCCESSFUL)} AS failure_rate
          FROM run GROUP BY job_id HAVING failed_count > 0
         ORDER BY failed_count DESC, job_id LIMIT :limit
    """),
    "get-job-history": Question(f"""
        WITH {RUNS_OF_JOB},
        mine AS (SELECT status, duration_ms, {bucket("created_at")} AS period FROM run)
        SELECT period, sum({COMPLETED}) AS completed, sum({UNSUCCESSFUL}) AS failed,
               {average("duration_ms")} AS avg_duration_ms, {_P95} AS p95_duration_ms
          FROM {ranked("mine", "duration_ms", "period")} GROUP BY period ORDER BY period
    """),
}

# Where the newest `:most` runs of a job begin, within the period; nothing when it has no more.
NEWEST = """
    SELECT created_at FROM runs WHERE job_id = :job_id AND created_at >= :from AND created_at < :to
     ORDER BY created_at DESC LIMIT 1 OFFSET :most - 1
"""

# `GET /v1/jobs/{jobID}/health`. Runs that were canceled or expired say nothing of the job, so they
# take nothing from its score.
HEALTH = Question(
    f"""
    WITH {RUNS_OF_JOB},
    mine AS (SELECT status, duration_ms FROM run)
    SELECT count(*) AS total_runs, coalesce(sum({COMPLETED}), 0) AS completed_runs,
           coalesce(sum(status IN ('failed', 'system_failed', 'dead_letter')), 0) AS failed_runs,
           coalesce(sum({TIMED_OUT}), 0) AS timed_out_runs,
           coalesce(sum(status = 'crashed'), 0) AS crashed_runs,
           coalesce(sum(status = 'canceled'), 0) AS canceled_runs,
           coalesce(sum(status = 'expired'), 0) AS expired_runs,
           {rate(COMPLETED)} AS success_rate,
           {average("duration_ms")} / 1000 AS avg_duration_secs,
           {_P95} / 1000 AS p95_duration_secs, {_P99} / 1000 AS p99_duration_secs,
           round(coalesce(100.0 * sum({COMPLETED})
             / nullif(sum({COMPLETED} OR {UNSUCCESSFUL}), 0), 100), 2) AS health_score
      FROM {ranked("mine", "duration_ms")}
    """,
    one=True,
)

# The three parts of `GET /v1/analytics/performance`.
SLOWEST = Question(f"""
    WITH {RUNS}
    SELECT job_id, {SLUG} AS job_slug, avg(duration_ms) / 1000 AS avg_duration_secs,
           {_P95} / 1000 AS p95_duration_secs, count(*) AS total_runs,
           sum({UNSUCCESSFUL}) AS failed_runs
      FROM {ranked("(SELECT * FROM run WHERE duration_ms IS NOT NULL)", "duration_ms", "job_id")}
     -- One slow run does not make a slow job.
     GROUP BY job_id HAVING count(*) >= 5 ORDER BY avg_duration_secs DESC, job_id LIMIT 10
""")
THROUGHPUT = Question(
    f"""
    WITH {RUNS}
    SELECT coalesce(sum({COMPLETED}), 0) AS completed, coalesce(sum({FAILED}), 0) AS failed,
           coalesce(sum({TIMED_OUT}), 0) AS timed_out,
           coalesce(sum(status = 'canceled'), 0) AS canceled FROM run
    """,
    one=True,
)
SUMMARY = Question(
    f"""
    WITH {RUNS}
    SELECT (SELECT count(*) FROM jobs WHERE project_id = :project) AS total_jobs,
           (SELECT count(*) FROM jobs WHERE project_id = :project AND doc ->> 'enabled')
             AS active_jobs,
           {rate(COMPLETED)} AS success_rate,
           {average("duration_ms")} / 1000 AS avg_duration_secs,
           (SELECT count(*) FROM runs WHERE status = 'queued' AND project_id = :project)
             AS queue_depth
      FROM run
    """,
    one=True,
)

"""Questions about money: what handlers have reported as used (`POST /sdk/v1/runs/{id}/usage`)."""

from __future__ import annotations

from strait.server.analytics.sql import COSTS, SLUG, Question, micros

_DAYS = f"(({micros(':to')} - {micros(':from')}) / 86400000000.0)"
_SPENT = "coalesce(sum(microusd), 0)"

QUESTIONS = {
    "get-cost-trends": Question(f"""
        WITH {COSTS}
        SELECT CASE WHEN {_DAYS} <= 1 THEN substr(created_at, 1, 13) || ':00:00Z'
                    ELSE substr(created_at, 1, 10) || 'T00:00:00Z' END AS period,
               sum(microusd) AS spend_microusd, count(DISTINCT run_id) AS run_count
          FROM cost GROUP BY period ORDER BY period
    """),
    "get-top-costs": Question(f"""
        WITH {COSTS}
        SELECT job_id AS id, {SLUG} AS name, 'job' AS item_type, sum(microusd) AS cost_microusd,
               count(DISTINCT run_id) AS run_count
          FROM cost GROUP BY job_id ORDER BY cost_microusd DESC, id LIMIT :limit
    """),
    "get-job-cost-ranking": Question(f"""
        WITH {COSTS}
        SELECT job_id, {SLUG} AS slug, sum(microusd) AS total_cost,
               count(DISTINCT run_id) AS run_count,
               1.0 * sum(microusd) / count(DISTINCT run_id) AS avg_cost_per_run
          FROM cost GROUP BY job_id ORDER BY total_cost DESC, job_id LIMIT :limit
    """),
    "get-tag-cost": Question(
        f"""
        WITH {COSTS}
        SELECT tag.key AS tag_key, tag.value AS tag_value, sum(microusd) AS total_cost,
               count(DISTINCT run_id) AS run_count
          FROM cost JOIN json_each(cost.doc, '$.tags') AS tag
         GROUP BY tag_key, tag_value ORDER BY total_cost DESC, tag_key, tag_value LIMIT :limit
        """,
        limit=50,
    ),
    "get-cost-by-trigger": Question(f"""
        WITH {COSTS}
        SELECT doc ->> 'triggered_by' AS trigger, sum(microusd) AS cost,
               count(DISTINCT run_id) AS run_count,
               round(coalesce(100.0 * sum(microusd)
                              / nullif((SELECT sum(microusd) FROM cost), 0), 0), 2) AS pct
          FROM cost GROUP BY trigger ORDER BY cost DESC, trigger
    """),
    # The trend is how much more the second half of the period cost than the first.
    "get-cost-forecast": Question(
        f"""
        WITH {COSTS},
        half AS (SELECT coalesce(sum(CASE WHEN {micros("created_at")} * 2
                   < {micros(":from")} + {micros(":to")} THEN microusd END), 0) AS first,
                 {_SPENT} AS spent FROM cost)
        SELECT spent / {_DAYS} AS daily_rate, spent / {_DAYS} * 30 AS projected_monthly,
               round(coalesce(100.0 * (spent - 2 * first) / nullif(first, 0), 0), 2) AS trend_pct
          FROM half
        """,
        one=True,
    ),
}

# The two parts of `GET /v1/analytics/costs`.
TOTAL = Question(
    f"WITH {COSTS} SELECT {_SPENT} AS total_spend_microusd, "
    "count(DISTINCT run_id) AS run_count FROM cost",
    one=True,
)
BY_JOB = Question(f"""
    WITH {COSTS}
    SELECT job_id, {SLUG} AS job_slug, sum(microusd) AS cost_microusd,
           count(DISTINCT run_id) AS run_count
      FROM cost GROUP BY job_id ORDER BY cost_microusd DESC, job_id
""")

# `GET /v1/analytics/cost-insights`: runs that cost more than their job's mean by so many
# deviations. The variance is taken about the mean, since squares of money outgrow a float.
OUTLIERS = Question(f"""
    WITH {COSTS},
    spent AS (SELECT run_id, job_id, sum(microusd) AS cost FROM cost GROUP BY run_id),
    mean AS (SELECT job_id, avg(cost) AS mean FROM spent GROUP BY job_id),
    spread AS (
      SELECT job_id, mean, sqrt(avg((cost - mean) * (cost - mean))) AS deviation
        FROM spent JOIN mean USING (job_id) GROUP BY job_id)
    SELECT run_id, job_id, cost AS cost_microusd, mean AS avg_cost_microusd,
           deviation AS stddev_cost_microusd, (cost - mean) / deviation AS deviations_above_avg
      FROM spent JOIN spread USING (job_id)
     WHERE deviation > 0 AND cost > mean + :threshold * deviation
     ORDER BY deviations_above_avg DESC, run_id LIMIT 100
""")

"""Questions about messages to webhooks, by the address (scheme, host and port) of the receiver."""

from __future__ import annotations

from strait.engine.deliveries import WEBHOOK_KINDS
from strait.server.analytics.sql import Question, average, bucket, percentile, ranked, rate

_KINDS = ", ".join(f"'{kind}'" for kind in WEBHOOK_KINDS)
_GIVEN_UP = "status IN ('failed', 'dead')"

# Messages of the period; one has a latency once its receiver has answered.
_SENT = f"""
sent AS (
  SELECT address AS url, status, created_at, last_error,
         CASE WHEN status = 'delivered' THEN latency_ms END AS latency_ms
    FROM deliveries
   WHERE project_id = :project AND created_at >= :from AND created_at < :to
     AND kind IN ({_KINDS})
)
"""
_P95 = percentile(0.95, "latency_ms", "rank", "ranked")

QUESTIONS = {
    "get-webhook-delivery-stats": Question(f"""
        WITH {_SENT}
        SELECT url, count(*) AS total, sum(status = 'delivered') AS delivered,
               sum(status = 'failed') AS failed, sum(status = 'dead') AS dead,
               {average("latency_ms")} AS avg_latency_ms, {_P95} AS p95_latency_ms
          FROM {ranked("sent", "latency_ms", "url")}
         GROUP BY url ORDER BY total DESC, url
    """),
    "get-webhook-endpoint-health": Question(f"""
        WITH {_SENT}
        SELECT url, {bucket("created_at")} AS period,
               {rate("status = 'delivered'", f"sum(status = 'delivered' OR {_GIVEN_UP})")}
                 AS success_rate,
               {average("latency_ms")} AS avg_latency_ms
          FROM sent GROUP BY url, period ORDER BY period, url
    """),
    "get-top-failing-webhooks": Question(f"""
        WITH {_SENT}
        SELECT url, sum({_GIVEN_UP}) AS failed, count(*) AS total,
               {rate(_GIVEN_UP)} AS failure_rate,
               (SELECT later.last_error FROM sent AS later
                 WHERE later.url = sent.url AND later.last_error <> ''
                 ORDER BY later.created_at DESC LIMIT 1) AS last_error
          FROM sent GROUP BY url HAVING failed > 0 ORDER BY failed DESC, url LIMIT :limit
    """),
}

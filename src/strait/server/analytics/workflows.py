"""Questions about workflow runs, their steps, their approvals, and events that were waited for."""

from __future__ import annotations

from strait.server.analytics.sql import (
    COMPLETED,
    TIMED_OUT,
    Question,
    average,
    bucket,
    percentile,
    ranked,
    rate,
    span_ms,
)

# Workflow runs that ended; what undid its effects (`compensated`) had failed before.
_ENDED = f"""
ended AS (
  SELECT status, created_at,
         {span_ms("doc ->> 'started_at'", "doc ->> 'finished_at'")} AS duration_ms
    FROM workflow_runs
   WHERE project_id = :project AND created_at >= :from AND created_at < :to
     AND status NOT IN ('pending', 'running', 'paused', 'compensating')
)
"""
_FAILED = "status IN ('failed', 'compensated', 'compensation_failed')"

# Sleeps are kept as triggers too; nobody sends an event for one.
_EVENTS = f"""
event AS (
  SELECT status, created_at,
         {span_ms("doc ->> 'requested_at'", "doc ->> 'received_at'")} AS waited_ms
    FROM event_triggers
   WHERE project_id = :project AND created_at >= :from AND created_at < :to
     AND coalesce(doc ->> 'trigger_type', 'event') <> 'sleep'
)
"""
_RECEIVED = "(SELECT waited_ms FROM event WHERE status = 'received' AND waited_ms IS NOT NULL)"

QUESTIONS = {
    "get-workflow-completion-rates": Question(f"""
        WITH {_ENDED}
        SELECT {bucket("created_at")} AS period, sum({COMPLETED}) AS completed,
               sum({_FAILED}) AS failed, sum({TIMED_OUT}) AS timed_out
          FROM ended GROUP BY period ORDER BY period
    """),
    "get-workflow-analytics-summary": Question(
        f"""
        WITH {_ENDED}
        SELECT count(*) AS total, coalesce(sum({COMPLETED}), 0) AS completed,
               coalesce(sum({_FAILED} OR {TIMED_OUT}), 0) AS failed,
               {rate(COMPLETED)} AS success_rate, {average("duration_ms")} AS avg_duration_ms
          FROM ended
        """,
        one=True,
    ),
    "get-workflow-step-durations": Question(f"""
        WITH step AS (
          SELECT step_ref, step_runs.doc ->> 'status' AS status,
                 {span_ms("step_runs.doc ->> 'started_at'", "step_runs.doc ->> 'finished_at'")}
                   AS took_ms
            FROM workflow_runs AS run JOIN step_runs ON step_runs.workflow_run_id = run.id
           WHERE run.project_id = :project AND run.workflow_id = :workflow_id
             AND run.created_at >= :from AND run.created_at < :to)
        SELECT step_ref, {average("took_ms")} AS avg_ms,
               {percentile(0.95, "took_ms", "rank", "ranked")} AS p95_ms, count(*) AS count,
               {rate("status IN ('failed', 'timed_out')")} AS failure_rate
          FROM {ranked("(SELECT * FROM step WHERE took_ms IS NOT NULL)", "took_ms", "step_ref")}
         GROUP BY step_ref ORDER BY avg_ms DESC, step_ref
    """),
    "get-approval-stats": Question(
        f"""
        WITH asked AS (
          SELECT approvals.status,
                 {span_ms("approvals.doc ->> 'requested_at'", "approvals.doc ->> 'approved_at'")}
                   AS took_ms
            FROM approvals JOIN workflow_runs AS run ON run.id = approvals.workflow_run_id
           WHERE run.project_id = :project AND approvals.doc ->> 'requested_at' >= :from
             AND approvals.doc ->> 'requested_at' < :to)
        SELECT count(*) AS total_requested,
               coalesce(sum(status = 'approved'), 0) AS total_approved,
               coalesce(sum(status = 'timed_out'), 0) AS total_timed_out,
               coalesce(sum(status = 'pending'), 0) AS total_pending,
               {average("CASE WHEN status = 'approved' THEN took_ms END")} / 1000
                 AS avg_approval_time_secs
          FROM asked
        """,
        one=True,
    ),
    "get-event-volume": Question(f"""
        WITH {_EVENTS}
        SELECT {bucket("created_at")} AS period, count(*) AS created,
               sum(status = 'received') AS received, sum({TIMED_OUT}) AS timed_out
          FROM event GROUP BY period ORDER BY period
    """),
    "get-event-latency": Question(
        f"""
        WITH {_EVENTS}
        SELECT {average("waited_ms")} AS avg_ms,
               {percentile(0.5, "waited_ms", "rank", "ranked")} AS p50_ms,
               {percentile(0.95, "waited_ms", "rank", "ranked")} AS p95_ms,
               {percentile(0.99, "waited_ms", "rank", "ranked")} AS p99_ms, count(*) AS count
          FROM {ranked(_RECEIVED, "waited_ms")}
        """,
        one=True,
    ),
}

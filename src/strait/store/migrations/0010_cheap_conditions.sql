-- The conditions of the partial indexes, said with OR. For each index SQLite makes a table of the
-- values of an IN with every statement that writes a status, which took most of an UPDATE's time.
-- Queries repeat a condition word by word (`runs.one_of`).
DROP INDEX runs_active;
CREATE INDEX runs_active ON runs (status, job_id)
  WHERE (status = 'delayed' OR status = 'queued' OR status = 'dequeued' OR status = 'executing'
    OR status = 'waiting' OR status = 'paused' OR status = 'replay_staged');
DROP INDEX runs_failed;
CREATE INDEX runs_failed ON runs (project_id, status, created_at)
  WHERE (status = 'failed' OR status = 'timed_out' OR status = 'crashed'
    OR status = 'system_failed' OR status = 'dead_letter');
DROP INDEX runs_rare;
CREATE INDEX runs_rare ON runs (project_id, status, created_at)
  WHERE (status = 'delayed' OR status = 'waiting' OR status = 'paused'
    OR status = 'replay_staged' OR status = 'canceled' OR status = 'expired');
DROP INDEX workflow_runs_active;
CREATE INDEX workflow_runs_active ON workflow_runs (status, workflow_id)
  WHERE (status = 'pending' OR status = 'running' OR status = 'paused' OR status = 'compensating');

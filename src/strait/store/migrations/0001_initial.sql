-- `doc` columns hold the record as JSON; other columns are what is filtered, ordered or guarded.
-- Instants are RFC 3339 texts of fixed width in UTC, so their order is the order of time.

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE projects (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL,
  name       TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);

CREATE TABLE api_keys (
  id         TEXT PRIMARY KEY,
  project_id TEXT NOT NULL,
  key_hash   TEXT NOT NULL UNIQUE,
  created_at TEXT NOT NULL,
  doc        TEXT NOT NULL
);
CREATE INDEX api_keys_by_project ON api_keys (project_id, created_at);

CREATE TABLE idempotency (
  scope      TEXT NOT NULL,
  key        TEXT NOT NULL,
  created_at TEXT NOT NULL,
  body_hash  TEXT NOT NULL,
  status     INTEGER NOT NULL,
  answer     BLOB NOT NULL,
  PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE jobs (
  id             TEXT PRIMARY KEY,
  project_id     TEXT NOT NULL,
  slug           TEXT NOT NULL,
  created_at     TEXT NOT NULL,
  signing_secret TEXT NOT NULL DEFAULT '',
  doc            TEXT NOT NULL,
  UNIQUE (project_id, slug)
);
CREATE INDEX jobs_by_project ON jobs (project_id, created_at);

CREATE TABLE job_versions (
  job_id  TEXT NOT NULL,
  version INTEGER NOT NULL,
  doc     TEXT NOT NULL,
  PRIMARY KEY (job_id, version)
) WITHOUT ROWID;

CREATE TABLE job_memory (
  job_id     TEXT NOT NULL,
  memory_key TEXT NOT NULL,
  expires_at TEXT NOT NULL DEFAULT '',
  size_bytes INTEGER NOT NULL,
  doc        TEXT NOT NULL,
  PRIMARY KEY (job_id, memory_key)
) WITHOUT ROWID;

-- A hot rowid table: `seq` grows with creation, large JSON stays out of the `doc` that is rewritten.
CREATE TABLE runs (
  seq                  INTEGER PRIMARY KEY,
  id                   TEXT NOT NULL UNIQUE,
  project_id           TEXT NOT NULL,
  job_id               TEXT NOT NULL,
  status               TEXT NOT NULL,
  created_at           TEXT NOT NULL,
  finished_at          TEXT NOT NULL DEFAULT '',
  idempotency_key      TEXT,
  parent_run_id        TEXT,
  workflow_step_run_id TEXT,
  batch_id             TEXT,
  assignment           TEXT NOT NULL DEFAULT '',
  deadline_at          TEXT NOT NULL DEFAULT '',
  ttl_secs             INTEGER NOT NULL DEFAULT 0,
  revision             INTEGER NOT NULL DEFAULT 0,
  doc                  TEXT NOT NULL,
  payload              TEXT,
  result               TEXT
);
CREATE INDEX runs_by_project ON runs (project_id, created_at);
CREATE INDEX runs_active ON runs (status, job_id)
  WHERE status IN ('delayed', 'queued', 'dequeued', 'executing', 'waiting', 'paused', 'replay_staged');
CREATE INDEX runs_failed ON runs (project_id, status, created_at)
  WHERE status IN ('failed', 'timed_out', 'crashed', 'system_failed', 'dead_letter');
CREATE INDEX runs_by_job ON runs (job_id, created_at);
CREATE INDEX runs_by_key ON runs (job_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_by_step ON runs (workflow_step_run_id) WHERE workflow_step_run_id IS NOT NULL;
CREATE INDEX runs_by_batch ON runs (batch_id) WHERE batch_id IS NOT NULL;

-- The append-only history of runs and workflow runs; events, timelines and streams are views of it.
CREATE TABLE ledger (
  id         INTEGER PRIMARY KEY,
  subject    TEXT NOT NULL,
  seq        INTEGER NOT NULL,
  project_id TEXT NOT NULL,
  at         TEXT NOT NULL,
  type       TEXT NOT NULL,
  level      TEXT NOT NULL,
  message    TEXT NOT NULL,
  data       TEXT
);
CREATE UNIQUE INDEX ledger_by_subject ON ledger (subject, seq);

CREATE TABLE checkpoints (
  run_id     TEXT NOT NULL,
  sequence   INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  doc        TEXT NOT NULL,
  PRIMARY KEY (run_id, sequence)
) WITHOUT ROWID;

CREATE TABLE run_state (
  run_id     TEXT NOT NULL,
  state_key  TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  value      TEXT NOT NULL,
  PRIMARY KEY (run_id, state_key)
);

CREATE TABLE run_outputs (
  run_id     TEXT NOT NULL,
  output_key TEXT NOT NULL,
  created_at TEXT NOT NULL,
  doc        TEXT NOT NULL,
  PRIMARY KEY (run_id, output_key)
);

-- Samples that a handler reports: resources, usage, tool calls, iterations.
CREATE TABLE run_samples (
  id         TEXT PRIMARY KEY,
  run_id     TEXT NOT NULL,
  kind       TEXT NOT NULL,
  created_at TEXT NOT NULL,
  doc        TEXT NOT NULL
);
CREATE INDEX run_samples_by_run ON run_samples (run_id, kind, created_at);

CREATE TABLE batches (
  id         TEXT PRIMARY KEY,
  project_id TEXT NOT NULL,
  created_at TEXT NOT NULL,
  doc        TEXT NOT NULL
);

CREATE TABLE workflows (
  id         TEXT PRIMARY KEY,
  project_id TEXT NOT NULL,
  slug       TEXT NOT NULL,
  created_at TEXT NOT NULL,
  doc        TEXT NOT NULL,
  UNIQUE (project_id, slug)
);
CREATE INDEX workflows_by_project ON workflows (project_id, created_at);

CREATE TABLE workflow_versions (
  workflow_id TEXT NOT NULL,
  version     INTEGER NOT NULL,
  version_id  TEXT NOT NULL,
  created_at  TEXT NOT NULL,
  doc         TEXT NOT NULL,
  steps       TEXT NOT NULL,
  PRIMARY KEY (workflow_id, version)
);
CREATE INDEX workflow_versions_by_id ON workflow_versions (version_id);

-- The steps that a run really follows: a version's, or those after step overrides.
CREATE TABLE workflow_snapshots (
  id          TEXT PRIMARY KEY,
  workflow_id TEXT NOT NULL,
  digest      TEXT NOT NULL,
  steps       TEXT NOT NULL,
  UNIQUE (workflow_id, digest)
);

CREATE TABLE workflow_runs (
  seq                INTEGER PRIMARY KEY,
  id                 TEXT NOT NULL UNIQUE,
  project_id         TEXT NOT NULL,
  workflow_id        TEXT NOT NULL,
  status             TEXT NOT NULL,
  created_at         TEXT NOT NULL,
  snapshot_id        TEXT NOT NULL,
  parent_step_run_id TEXT,
  revision           INTEGER NOT NULL DEFAULT 0,
  doc                TEXT NOT NULL,
  labels             TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX workflow_runs_by_project ON workflow_runs (project_id, created_at);
CREATE INDEX workflow_runs_by_workflow ON workflow_runs (workflow_id, created_at);
CREATE INDEX workflow_runs_active ON workflow_runs (status, workflow_id)
  WHERE status IN ('pending', 'running', 'paused', 'compensating');
CREATE INDEX workflow_runs_by_parent ON workflow_runs (parent_step_run_id)
  WHERE parent_step_run_id IS NOT NULL;

CREATE TABLE step_runs (
  id              TEXT PRIMARY KEY,
  workflow_run_id TEXT NOT NULL,
  step_ref        TEXT NOT NULL,
  created_at      TEXT NOT NULL,
  doc             TEXT NOT NULL,
  UNIQUE (workflow_run_id, step_ref)
);

CREATE TABLE approvals (
  id              TEXT PRIMARY KEY,
  workflow_run_id TEXT NOT NULL,
  step_ref        TEXT NOT NULL,
  status          TEXT NOT NULL,
  expires_at      TEXT NOT NULL DEFAULT '',
  doc             TEXT NOT NULL
);
CREATE INDEX approvals_by_run ON approvals (workflow_run_id);
CREATE INDEX approvals_open ON approvals (expires_at) WHERE status = 'pending';

CREATE TABLE event_triggers (
  seq             INTEGER PRIMARY KEY,
  id              TEXT NOT NULL UNIQUE,
  project_id      TEXT NOT NULL,
  event_key       TEXT NOT NULL,
  status          TEXT NOT NULL,
  source_type     TEXT NOT NULL,
  created_at      TEXT NOT NULL,
  expires_at      TEXT NOT NULL,
  workflow_run_id TEXT,
  step_run_id     TEXT,
  job_run_id      TEXT,
  doc             TEXT NOT NULL
);
-- A key is taken while somebody waits for it, and free again afterwards.
CREATE UNIQUE INDEX event_triggers_waiting ON event_triggers (project_id, event_key)
  WHERE status = 'waiting';
CREATE INDEX event_triggers_by_key ON event_triggers (project_id, event_key, seq);
CREATE INDEX event_triggers_by_project ON event_triggers (project_id, created_at);
CREATE INDEX event_triggers_by_step ON event_triggers (step_run_id) WHERE step_run_id IS NOT NULL;
CREATE INDEX event_triggers_by_run ON event_triggers (job_run_id) WHERE job_run_id IS NOT NULL;
CREATE INDEX event_triggers_due ON event_triggers (expires_at) WHERE status = 'waiting';

-- The last tick of a schedule that was answered, so that no tick fires twice.
CREATE TABLE schedules (
  kind       TEXT NOT NULL,
  owner_id   TEXT NOT NULL,
  last_fire  TEXT NOT NULL,
  PRIMARY KEY (kind, owner_id)
) WITHOUT ROWID;

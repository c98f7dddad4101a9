-- Messages to the outside, written by the transactions that cause them and sent after the commit.
CREATE TABLE deliveries (
  seq              INTEGER PRIMARY KEY,
  id               TEXT NOT NULL UNIQUE,
  kind             TEXT NOT NULL,
  project_id       TEXT NOT NULL,
  target_id        TEXT NOT NULL,
  address          TEXT NOT NULL,
  event_type       TEXT NOT NULL,
  status           TEXT NOT NULL,
  attempts         INTEGER NOT NULL,
  max_attempts     INTEGER NOT NULL,
  due_at           TEXT NOT NULL,
  created_at       TEXT NOT NULL,
  updated_at       TEXT NOT NULL,
  delivered_at     TEXT NOT NULL,
  last_status_code INTEGER NOT NULL,
  last_error       TEXT NOT NULL,
  latency_ms       INTEGER NOT NULL,
  run_id           TEXT NOT NULL,
  job_id           TEXT NOT NULL,
  subject_id       TEXT NOT NULL,
  replay_of        TEXT NOT NULL,
  body             TEXT NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (address, due_at, seq) WHERE status = 'pending';
CREATE INDEX deliveries_by_project ON deliveries (project_id, created_at);
CREATE INDEX deliveries_by_target ON deliveries (target_id, event_type, subject_id);
CREATE INDEX deliveries_settled ON deliveries (updated_at) WHERE status <> 'pending';

-- How far the history was sent to each log drain.
CREATE TABLE drain_cursors (
  drain_id  TEXT PRIMARY KEY,
  ledger_id INTEGER NOT NULL
) WITHOUT ROWID;

-- Signatures of events that were taken lately, so that nobody sends one a second time.
CREATE TABLE seen_signatures (
  signature TEXT PRIMARY KEY,
  seen_at   TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX seen_signatures_by_age ON seen_signatures (seen_at);

-- Triggers that wait to become one run: the last of a debounce, or the items of a batch.
CREATE TABLE debounces (
  job_id  TEXT NOT NULL,
  key     TEXT NOT NULL,
  fire_at TEXT NOT NULL,
  request TEXT NOT NULL,
  payload TEXT NOT NULL,
  PRIMARY KEY (job_id, key)
) WITHOUT ROWID;

CREATE TABLE batch_items (
  seq     INTEGER PRIMARY KEY,
  job_id  TEXT NOT NULL,
  key     TEXT NOT NULL,
  fire_at TEXT NOT NULL,
  request TEXT NOT NULL,
  payload TEXT NOT NULL
);
CREATE INDEX batch_items_by_key ON batch_items (job_id, key, seq);

-- A run of `job_id` waits until the newest run of `depends_on_job_id` ended as `condition` says.
CREATE TABLE job_dependencies (
  id                TEXT PRIMARY KEY,
  job_id            TEXT NOT NULL,
  depends_on_job_id TEXT NOT NULL,
  condition         TEXT NOT NULL,
  created_at        TEXT NOT NULL,
  UNIQUE (job_id, depends_on_job_id)
);
CREATE INDEX job_dependencies_by_target ON job_dependencies (depends_on_job_id);

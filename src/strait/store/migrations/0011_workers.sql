-- Workers that connect out, and what they were given (`contract/runs.md` §10). A worker is known by
-- the id that it gave itself; a task by the assignment that its run was dispatched under.
CREATE TABLE workers (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  queue_name TEXT NOT NULL,
  hostname TEXT NOT NULL,
  version TEXT NOT NULL,
  status TEXT NOT NULL,
  last_seen_at TEXT NOT NULL,
  registered_at TEXT NOT NULL,
  PRIMARY KEY (project_id, id)
);
CREATE TABLE worker_tasks (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL,
  worker_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  status TEXT NOT NULL,
  assigned_at TEXT NOT NULL,
  accepted_at TEXT,
  finished_at TEXT,
  error TEXT,
  duration_ms INTEGER
);
CREATE INDEX worker_tasks_of_worker ON worker_tasks (project_id, worker_id, assigned_at);
CREATE INDEX worker_tasks_of_run ON worker_tasks (run_id);
CREATE INDEX worker_tasks_open ON worker_tasks (status)
  WHERE (status = 'assigned' OR status = 'accepted');

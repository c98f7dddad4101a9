-- Plain records of every kind: what is created, listed, changed and deleted under a project.
-- `sealed` holds encrypted texts by the name of their field; `unique_key` is what may be there once.
CREATE TABLE records (
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  project_id TEXT NOT NULL,
  owner_id   TEXT NOT NULL DEFAULT '',
  unique_key TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  fields     TEXT NOT NULL,
  sealed     TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (kind, id)
);
CREATE INDEX records_by_project ON records (kind, project_id, created_at);
CREATE INDEX records_by_owner ON records (kind, owner_id) WHERE owner_id <> '';
CREATE UNIQUE INDEX records_unique ON records (kind, project_id, unique_key)
  WHERE unique_key IS NOT NULL;

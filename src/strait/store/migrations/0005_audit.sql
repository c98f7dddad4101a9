-- Who did what: one chain of signed events per project. `doc` is what was signed, byte for byte.
CREATE TABLE audit_events (
  project_id    TEXT NOT NULL,
  seq           INTEGER NOT NULL,
  id            TEXT NOT NULL UNIQUE,
  created_at    TEXT NOT NULL,
  actor_id      TEXT NOT NULL,
  resource_type TEXT NOT NULL,
  resource_id   TEXT NOT NULL,
  doc           TEXT NOT NULL,
  signature     TEXT NOT NULL,
  PRIMARY KEY (project_id, seq)
) WITHOUT ROWID;
CREATE INDEX audit_by_time ON audit_events (project_id, created_at);

-- Where the chain of a project begins and ends, signed too, so that neither end can be cut off.
CREATE TABLE audit_chains (
  project_id TEXT PRIMARY KEY,
  doc        TEXT NOT NULL,
  signature  TEXT NOT NULL
);

-- The keys that chains are signed with, sealed; one for each rotation.
CREATE TABLE audit_keys (
  project_id TEXT NOT NULL,
  epoch      INTEGER NOT NULL,
  sealed     TEXT NOT NULL,
  PRIMARY KEY (project_id, epoch)
);

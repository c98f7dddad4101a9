-- Which runs have which tag, newest last under each. A run without tags pays nothing for it.
CREATE TABLE run_tags (
  project_id TEXT NOT NULL,
  key        TEXT NOT NULL,
  value      TEXT NOT NULL,
  created_at TEXT NOT NULL,
  run_id     TEXT NOT NULL,
  PRIMARY KEY (project_id, key, value, created_at, run_id)
) WITHOUT ROWID;
INSERT INTO run_tags (project_id, key, value, created_at, run_id)
  SELECT runs.project_id, tag.key, tag.value, runs.created_at, runs.id
    FROM runs, json_each(runs.doc, '$.tags') AS tag;

-- Statuses that few runs have, and those that just run and complete never: these pay nothing either.
CREATE INDEX runs_rare ON runs (project_id, status, created_at)
  WHERE status IN ('delayed', 'waiting', 'paused', 'replay_staged', 'canceled', 'expired');
CREATE TRIGGER run_tags_go_with_their_run AFTER DELETE ON runs
  WHEN old.doc ->> '$.tags' IS NOT NULL
BEGIN
  DELETE FROM run_tags
   WHERE (project_id, key, value, created_at, run_id) IN (
     SELECT old.project_id, tag.key, tag.value, old.created_at, old.id
       FROM json_each(old.doc, '$.tags') AS tag);
END;

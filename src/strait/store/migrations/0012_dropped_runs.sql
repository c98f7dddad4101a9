-- How many runs were made, by project and day in UTC, that are not kept any more: what was used in a
-- month does not grow less when its runs go.
CREATE TABLE dropped_runs (
  project_id TEXT NOT NULL,
  day        TEXT NOT NULL,
  runs       INTEGER NOT NULL,
  PRIMARY KEY (project_id, day)
) WITHOUT ROWID;

-- Costs are asked for by when they were reported; runs that report none pay nothing for this.
CREATE INDEX run_samples_usage ON run_samples (created_at) WHERE kind = 'usage';

-- What handlers reported as spent, by project and day in UTC, for budgets and the usage pages.
CREATE TABLE spend (
  project_id TEXT NOT NULL,
  day        TEXT NOT NULL,
  microusd   INTEGER NOT NULL,
  PRIMARY KEY (project_id, day)
) WITHOUT ROWID;
INSERT INTO spend (project_id, day, microusd)
  SELECT runs.project_id, substr(sample.created_at, 1, 10),
         sum(CAST(sample.doc ->> 'cost_microusd' AS INTEGER))
    FROM run_samples AS sample JOIN runs ON runs.id = sample.run_id
   WHERE sample.kind = 'usage' GROUP BY 1, 2;

-- Limits of projects and organizations: `budget`, `spending_limit`, `anomalies`.
CREATE TABLE spend_limits (
  owner_id TEXT NOT NULL,
  kind     TEXT NOT NULL,
  doc      TEXT NOT NULL,
  PRIMARY KEY (owner_id, kind)
) WITHOUT ROWID;

-- The latest starts that a throttle let through under a key, so that a restart gives nobody more.
CREATE TABLE throttle_starts (
  throttle_id TEXT NOT NULL,
  key         TEXT NOT NULL,
  at          TEXT NOT NULL
);
CREATE INDEX throttle_starts_by_key ON throttle_starts (throttle_id, key, at);

-- Events that were sent before anybody waited for them.
CREATE TABLE held_events (
  id         TEXT PRIMARY KEY,
  project_id TEXT NOT NULL,
  event_key  TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  doc        TEXT NOT NULL
);
CREATE INDEX held_events_by_key ON held_events (project_id, event_key, id);

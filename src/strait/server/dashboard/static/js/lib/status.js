// Statuses: which are over, and which colour each has. The words are always shown beside a colour.

const GOOD = ["completed", "delivered", "received", "approved", "compensated", "ready", "online", "active"];
const BAD = [
  "failed", "timed_out", "crashed", "system_failed", "dead_letter", "dead", "rejected",
  "compensation_failed", "offline",
];
const BUSY = ["executing", "running", "dequeued", "compensating"];
const HELD = ["waiting", "paused", "replay_staged", "draining", "held"];
const OVER = [
  "completed", "failed", "timed_out", "crashed", "system_failed", "canceled", "expired",
  "dead_letter", "compensated", "compensation_failed", "skipped",
];

export const RUN_STATUSES = [
  "queued", "delayed", "executing", "waiting", "paused", "completed", "failed", "timed_out",
  "crashed", "system_failed", "canceled", "expired", "dead_letter",
];
export const WORKFLOW_STATUSES = [
  "pending", "running", "paused", "completed", "failed", "timed_out", "canceled",
];

/** `good`, `bad`, `busy`, `held`, `quiet` (ended without an outcome) or `idle` (not begun). */
export function tone(status) {
  if (GOOD.includes(status)) return "good";
  if (BAD.includes(status)) return "bad";
  if (BUSY.includes(status)) return "busy";
  if (HELD.includes(status)) return "held";
  if (["canceled", "expired", "skipped"].includes(status)) return "quiet";
  return "idle";
}

export const isOver = (status) => OVER.includes(status);
export const isReplayable = (status) => isOver(status);

// How the platform itself is: health, queue, workers, and what was done by whom.

import * as api from "../lib/api.js";
import { h, put } from "../lib/dom.js";
import { count, duration, hour, percent } from "../lib/format.js";
import { onActivity } from "../lib/live.js";
import { soon } from "../lib/dom.js";
import { HOUR_MS, bars, evenly } from "../ui/plot.js";
import { button, card, chip, empty, head, rows, since } from "../ui/parts.js";
import { attempt } from "../ui/toast.js";

const HOURS = 24;
const NO_RUNS = { completed: 0, failed: 0, timed_out: 0, total: 0 };

export async function show(outlet, { who, signal }) {
  const figures = h("div"), plot = h("div"), workers = h("div"), slow = h("div"), audit = h("div");
  put(outlet, head("System", { about: `strait ${who.version}`, actions: button("Verify the audit log", verify) }), figures, plot,
    h("div", { class: "columns" }, card("Workers", workers), card("Slowest jobs", slow)), card("What was done lately", audit));
  const span = { from: new Date(Date.now() - HOURS * HOUR_MS).toISOString(), to: new Date(Date.now() + 60000).toISOString() };

  async function numbers() {
    const [health, stats, summary] = await Promise.all([
      api.get("/health", {}, signal), api.get("/v1/stats", {}, signal).catch(unlessRefused), api.get("/v1/analytics/runs/summary", span, signal).catch(() => null),
    ]);
    put(figures, h("div", { class: "figures" }, [
      ["Platform", chip(health.status === "ok" ? "ready" : "failed", health.status)], ["Queued", known(stats.queued)], ["Executing", known(stats.executing)], ["Delayed", known(stats.delayed)],
      ["Runs in 24 h", known(summary?.total)], ["Successful", summary?.total ? percent(summary.success_rate * (summary.success_rate <= 1 ? 100 : 1)) : "–"], ["95 of 100 within", duration(summary?.p95_duration_ms)],
    ].map(([name, value]) => h("div", { class: "figure" }, h("span", { class: "quiet" }, name), h("strong", {}, value)))));
  }

  await numbers();
  await Promise.all([
    api.get("/v1/analytics/runs/timeline", { ...span, bucket: "hour" }, signal).then((all) => all.length && put(plot, card("Runs an hour", bars(evenly(all, span, HOUR_MS, NO_RUNS).map((each) => ({
      label: hour(each.period), values: { good: each.completed, bad: each.failed + each.timed_out, other: Math.max(0, each.total - each.completed - each.failed - each.timed_out) },
    })), { label: "Runs in 24 hours", format: count })))).catch(() => null),
    api.get("/v1/workers", {}, signal).then((page) => put(workers, page.data.length ? rows([
      { label: "Status", cell: (each) => chip(each.status) }, { label: "Host", cell: (each) => each.hostname || each.id },
      { label: "Queue", cell: (each) => each.queue_name }, { label: "Seen", cell: (each) => since(each.last_seen_at) },
    ], page.data, "Workers") : empty("No workers are connected.", "Jobs of `strait dev` are called over HTTP and need none."))).catch((error) => put(workers, empty(error.message))),
    api.get("/v1/analytics/performance", { period_hours: HOURS }, signal).then((told) => put(slow, told.slowest_jobs?.length ? rows([
      { label: "Job", cell: (each) => each.job_slug }, { label: "Runs", class: "right", cell: (each) => count(each.total_runs) },
      { label: "Mean", class: "right", cell: (each) => duration(each.avg_duration_secs * 1000) }, { label: "95 of 100", class: "right", cell: (each) => duration(each.p95_duration_secs * 1000) },
    ], told.slowest_jobs, "Slowest jobs") : empty("No job ran five times in 24 hours.", "Fewer say little about how slow one is."))).catch(() => null),
    api.get("/v1/audit-events", { limit: 30 }, signal).then((page) => put(audit, page.data.length ? rows([
      { label: "When", cell: (each) => since(each.created_at) }, { label: "What", cell: (each) => each.action },
      { label: "On", class: "wide", cell: (each) => h("span", { class: "cut" }, `${each.resource_type} ${each.resource_id}`) },
      { label: "By", class: "lo", cell: (each) => h("span", { class: "cut" }, each.actor_id) },
    ], page.data, "Audit log") : empty("Nothing was changed yet."))).catch((error) => put(audit, empty(error.message))),
  ]);
  const again = soon(() => signal.aborted || numbers().catch(() => null), 1000);
  onActivity(again, signal);
}

async function verify() {
  const told = await attempt("", () => api.get("/v1/audit-events/verify"));
  if (told) await attempt(told.valid ? `The audit log is whole: ${count(told.events_checked)} events` : "", async () => {
    if (!told.valid) throw new Error(`the audit log is broken at ${told.broken_at_id}: ${told.error}`);
  });
}

// A key of one environment may not see what is counted over the whole project; the rest is there.
function unlessRefused(error) {
  if (error.status !== 403) throw error;
  return {};
}

function known(value) {
  return value === undefined ? "–" : count(value);
}

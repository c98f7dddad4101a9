// One job: what it is, when it runs next, how it has been doing.

import * as api from "../lib/api.js";
import { h, put } from "../lib/dom.js";
import { count, duration, percent, short, took, when } from "../lib/format.js";
import * as dev from "../lib/dev.js";
import { go } from "../lib/router.js";
import { json } from "../ui/json-view.js";
import { DAY_MS, bars, evenly, lines } from "../ui/plot.js";
import { button, card, chip, empty, facts, head, link, rows, since } from "../ui/parts.js";
import { attempt } from "../ui/toast.js";
import { triggerJob } from "./trigger.js";

export async function show(outlet, { id, signal }) {
  const path = `/v1/jobs/${encodeURIComponent(id)}`;
  const job = await api.get(path, {}, signal);
  const place = await dev.placeOf("job", job.slug);
  const again = () => show(outlet, { id, signal });
  const week = { from: new Date(Date.now() - 7 * DAY_MS).toISOString(), to: new Date().toISOString() };
  const health = h("div"), plots = h("div"), recent = h("div"), next = h("div");
  put(outlet,
    head([h("span", {}, job.name), " ", chip(job.paused ? "paused" : job.enabled ? "ready" : "canceled", job.paused ? "paused" : job.enabled ? "enabled" : "disabled")], {
      above: h("p", { class: "crumbs" }, link("jobs", "Jobs"), " / ", job.slug), about: job.description,
      actions: [
        button("Trigger", () => triggerJob(job, go), { kind: "primary", disabled: !job.enabled }),
        job.paused
          ? button("Resume", async () => (await attempt("Resumed", () => api.post(`${path}/resume`))) && again())
          : button("Pause", async () => (await attempt("Paused: triggers are kept until it is resumed", () => api.post(`${path}/pause`))) && again()),
      ],
    }),
    health, plots,
    h("div", { class: "columns" }, card("Definition", definition(job, place)), h("div", {}, next, card("Payload schema", json(job.payload_schema, { label: "schema", empty: "It takes any payload." })))),
    card("Latest runs", recent));
  await Promise.all([
    api.get(`${path}/health`, { window: "7d" }, signal).then((told) => put(health, healthOf(told))).catch(() => null),
    api.get(`/v1/analytics/jobs/${id}/history`, { ...week, bucket: "day" }, signal).then((told) => put(plots, plotsOf(told, week))).catch(() => null),
    api.get("/v1/runs", { job_id: id, limit: 10 }, signal).then((page) => put(recent, runsOf(page.data, id))).catch(() => null),
    job.cron && api.get("/v1/schedules", {}, signal).then((all) => put(next, card("Next runs", upcoming(all.find((each) => each.id === id))))).catch(() => null),
  ]);
}

function definition(job, place) {
  return facts([
    ["Slug", h("code", {}, job.slug)], ["Id", h("code", {}, job.id)], ["Version", `v${job.version}`],
    ["Code", place && h("span", {}, h("code", {}, `${place.file}:${place.line}`), place.target && [" as ", h("code", {}, place.target)])],
    ["Handler", h("code", {}, job.execution_mode === "worker" ? `worker, queue ${job.queue}` : job.endpoint_url)],
    ["Attempts", String(job.max_attempts)], ["Retries", job.retry_strategy], ["Time limit", `${job.timeout_secs} s`],
    ["Schedule", job.cron && h("code", {}, `${job.cron} ${job.timezone || "UTC"}`)],
    ["At once", job.max_concurrency ? String(job.max_concurrency) : "no limit"],
    ["Rate", job.rate_limit_max && `${job.rate_limit_max} in ${job.rate_limit_window_secs} s`],
    ["Tags", job.tags && Object.entries(job.tags).map(([key, value]) => h("span", { class: "tag" }, `${key}: ${value}`))],
    ["Made", when(job.created_at)], ["Changed", when(job.updated_at)],
  ]);
}

function healthOf(told) {
  return h("div", { class: "figures" }, [
    ["Runs in 7 days", count(told.total_runs)], ["Successful", told.total_runs ? percent(told.success_rate * (told.success_rate <= 1 ? 100 : 1)) : "–"],
    ["Mean", duration(told.avg_duration_secs * 1000)], ["95 of 100 within", duration(told.p95_duration_secs * 1000)],
  ].map(([name, value]) => h("div", { class: "figure" }, h("span", { class: "quiet" }, name), h("strong", {}, value))));
}

const NO_RUNS = { completed: 0, failed: 0, avg_duration_ms: null, p95_duration_ms: null };

function plotsOf(found, week) {
  if (!found.length) return null;
  const history = evenly(found, week, DAY_MS, NO_RUNS);
  const points = history.map((each) => ({ label: each.period.slice(0, 10), values: { good: each.completed, bad: each.failed } }));
  return h("div", { class: "columns" },
    card("Outcomes", bars(points, { label: "Runs a day", format: count })),
    card("Durations", lines(points, [
      { name: "mean", kind: "first", values: history.map((each) => each.avg_duration_ms) },
      { name: "95 of 100", kind: "second", values: history.map((each) => each.p95_duration_ms) },
    ], { label: "How long runs took", format: duration })));
}

function runsOf(runs, id) {
  if (!runs.length) return empty("It has not run yet.", "Choose “Trigger” above.");
  return [rows([
    { label: "Status", class: "narrow", cell: (run) => chip(run.status) },
    { label: "Run", cell: (run) => link(`runs/${run.id}`, short(run.id)) },
    { label: "Created", cell: (run) => since(run.created_at) },
    { label: "Took", class: "right", cell: (run) => (run.started_at ? duration(took(run.started_at, run.finished_at)) : "–") },
  ], runs, "Latest runs"), h("p", {}, link(`runs?job=${id}`, "All runs of this job"))];
}

/** The next instants of a schedule. */
export function upcoming(schedule) {
  if (!schedule?.next_runs?.length) return h("p", { class: "quiet" }, "It does not run by itself now.");
  return h("ol", { class: "plain" }, schedule.next_runs.map((each) => h("li", {}, when(each), " ", h("span", { class: "quiet" }, since(each)))));
}


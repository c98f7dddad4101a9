// One workflow: its steps as a picture, how long they take, its versions and runs.

import * as api from "../lib/api.js";
import { h, put } from "../lib/dom.js";
import { count, duration, percent, short, took, when } from "../lib/format.js";
import * as dev from "../lib/dev.js";
import * as names from "../lib/names.js";
import { go } from "../lib/router.js";
import { dag } from "../ui/dag.js";
import { json } from "../ui/json-view.js";
import { button, card, chip, empty, facts, head, link, rows, since } from "../ui/parts.js";
import { upcoming } from "./job.js";
import { triggerWorkflow } from "./trigger.js";

export async function show(outlet, { id, signal }) {
  const path = `/v1/workflows/${encodeURIComponent(id)}`;
  const [workflow] = await Promise.all([api.get(path, {}, signal), names.load("jobs", { signal }).catch(() => null)]);
  const steps = workflow.steps || [];
  const place = await dev.placeOf("workflow", workflow.slug);
  const detail = h("div"), recent = h("div"), speeds = h("div"), next = h("div");
  const choose = (ref) => {
    const step = steps.find((each) => each.step_ref === ref);
    put(detail, card(ref, step.job_id && h("p", {}, "Runs the job ", link(`jobs/${step.job_id}`, names.nameOf("jobs", step.job_id))), json(step, { label: "step" })));
  };
  put(outlet,
    head([h("span", {}, workflow.name), " ", chip(workflow.enabled ? "ready" : "canceled", workflow.enabled ? "enabled" : "disabled")], {
      above: h("p", { class: "crumbs" }, link("workflows", "Workflows"), " / ", workflow.slug), about: workflow.description,
      actions: button("Run", () => triggerWorkflow(id, go), { kind: "primary", disabled: !workflow.enabled }),
    }),
    steps.length ? dag(steps.map((step) => ({
      id: step.step_ref, kind: step.step_type, status: step.step_type === "job" ? names.nameOf("jobs", step.job_id) : step.step_type || "job", depends: step.depends_on,
    })), { onChoose: choose }).element : empty("This workflow has no steps."),
    detail,
    h("div", { class: "columns" }, card("Definition", facts([
      ["Slug", h("code", {}, workflow.slug)], ["Id", h("code", {}, workflow.id)], ["Version", `v${workflow.version}`],
      ["Code", place && h("code", {}, `${place.file}:${place.line}`)],
      ["Schedule", workflow.cron && h("code", {}, `${workflow.cron} ${workflow.cron_timezone || "UTC"}`)],
      ["Time limit", workflow.timeout_secs && `${workflow.timeout_secs} s`],
      ["Runs at once", workflow.max_concurrent_runs ? String(workflow.max_concurrent_runs) : "no limit"],
      ["Changed", when(workflow.updated_at)],
    ])), h("div", {}, next, speeds)),
    card("Latest runs", recent));
  await Promise.all([
    api.get(`${path}/runs`, { limit: 10 }, signal).then((page) => put(recent, runsOf(page.data))).catch(() => null),
    api.get(`/v1/analytics/workflows/${id}/step-durations`, { from: new Date(Date.now() - 30 * 864e5).toISOString(), to: new Date().toISOString() }, signal)
      .then((all) => put(speeds, speedsOf(all))).catch(() => null),
    workflow.cron && api.get("/v1/schedules", {}, signal).then((all) => put(next, card("Next runs", upcoming(all.find((each) => each.id === id))))).catch(() => null),
  ]);
}

function speedsOf(all) {
  return all.length > 0 && card("Steps in 30 days", rows([
    { label: "Step", cell: (each) => each.step_ref },
    { label: "Runs", class: "right", cell: (each) => count(each.count) },
    { label: "Mean", class: "right", cell: (each) => duration(each.avg_ms) },
    { label: "95 of 100", class: "right", cell: (each) => duration(each.p95_ms) },
    { label: "Failed", class: "right", cell: (each) => percent(each.failure_rate * (each.failure_rate <= 1 ? 100 : 1)) },
  ], all, "How long steps take"));
}

function runsOf(runs) {
  if (!runs.length) return empty("It has not run yet.", "Choose “Run” above.");
  return rows([
    { label: "Status", class: "narrow", cell: (run) => chip(run.status) },
    { label: "Run", cell: (run) => link(`workflow-runs/${run.id}`, short(run.id)) },
    { label: "Created", cell: (run) => since(run.created_at) },
    { label: "Took", class: "right", cell: (run) => (run.started_at ? duration(took(run.started_at, run.finished_at)) : "–") },
  ], runs, "Latest runs");
}

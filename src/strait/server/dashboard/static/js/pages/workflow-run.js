// One run of a workflow: its steps as a picture in live colours, and what can be done with them.

import * as api from "../lib/api.js";
import { h, put, soon } from "../lib/dom.js";
import { duration, instant, plural, short, took } from "../lib/format.js";
import { onActivity } from "../lib/live.js";
import * as names from "../lib/names.js";
import { go, query, setQuery, to } from "../lib/router.js";
import { isOver } from "../lib/status.js";
import { sure } from "../ui/dialog.js";
import { dag } from "../ui/dag.js";
import { gantt } from "../ui/gantt.js";
import { json } from "../ui/json-view.js";
import { button, card, chip, copyable, empty, facts, head, link, reportLink, rows, since, tabs } from "../ui/parts.js";
import { attempt } from "../ui/toast.js";
import { approve, reject } from "./approve.js";
import { triggerWorkflow } from "./trigger.js";

export async function show(outlet, { id, signal }) {
  const path = `/v1/workflow-runs/${encodeURIComponent(id)}`;
  const model = { id, path, run: null, graph: null, steps: [], chosen: "", listeners: new Set() };
  model.watch = (fn, until) => {
    model.listeners.add(fn);
    until.addEventListener("abort", () => model.listeners.delete(fn), { once: true });
    fn();
  };
  model.refresh = async () => {
    [model.run, model.graph, model.steps] = await Promise.all([
      api.get(path, {}, signal), api.get(`${path}/graph`, {}, signal), api.all(`${path}/steps`, {}, { signal }),
    ]);
    model.listeners.forEach((fn) => fn());
  };
  await Promise.all([model.refresh(), names.load("workflows", { signal }).catch(() => null), names.load("jobs", { signal }).catch(() => null)]);
  const top = h("div");
  put(outlet, top, tabs([
    { id: "steps", label: "Steps", show: (panel, until) => picture(panel, model, until) },
    { id: "timeline", label: "Timeline", show: (panel, until) => timeline(panel, model, until) },
    { id: "data", label: "Input & output", show: (panel, until) => data(panel, model, until) },
    { id: "compare", label: "Compare", show: async (panel, until) => (await import("./workflow-compare.js")).compare(panel, model, until) },
    { id: "decisions", label: "Decisions", show: (panel, until) => decisions(panel, model, until) },
  ], { chosen: query().tab || "steps", onChoose: (tab) => setQuery({ tab: tab === "steps" ? "" : tab }), signal }));
  model.watch(() => put(top, header(model)), signal);

  const refreshSoon = soon(() => signal.aborted || model.refresh().catch(() => null), 100);
  onActivity((event) => {
    const own = event.workflow_run_id === id || event.resource_id === id;
    if (own || model.steps.some((step) => step.job_run_id === event.run_id) || (event.type === "run.updated" && !isOver(model.run.status))) refreshSoon();
  }, signal);
}

function header({ run, path, refresh }) {
  const over = isOver(run.status);
  const act = (text, work) => async () => (await attempt(text, work)) !== undefined && refresh();
  return h("div", {},
    head([chip(run.status), " ", h("span", {}, names.known("workflows", run.workflow_id)?.name || names.nameOf("workflows", run.workflow_id))], {
      above: h("p", { class: "crumbs" }, link("workflow-runs", "Workflow runs"), " / ", link(`workflows/${run.workflow_id}`, names.nameOf("workflows", run.workflow_id)), " / ", short(run.id)),
      actions: [
        over && run.status !== "completed" && button("Retry", async () => {
          const made = await attempt("Retried: finished steps are taken over", () => api.post(`${path}/retry`));
          if (made) go(`workflow-runs/${made.id}`);
        }, { kind: "primary", title: "Run again; what was completed is taken over" }),
        button("Run again with an edited payload", () => triggerWorkflow(run.workflow_id, go, run.payload)),
        run.status === "running" && button("Pause", act("Paused", () => api.post(`${path}/pause`))),
        run.status === "paused" && button("Resume", act("Resumed", () => api.post(`${path}/resume`)), { kind: "primary" }),
        !over && button("Cancel", async () => {
          if (await sure("Cancel this workflow run?", "Steps that execute are told to stop; what they have done stays done.", "Cancel the run"))
            await act("Canceled", () => api.remove(path))();
        }, { kind: "danger" }),
        reportLink(`/v1/workflow-runs/${run.id}/report`),
      ],
    }),
    run.error && h("div", { class: "failure", role: "note" }, h("p", {}, run.error)),
    facts([
      ["Run", copyable(run.id, short(run.id))], ["Created", since(run.created_at)],
      ["Took", run.started_at ? duration(took(run.started_at, run.finished_at)) : "not begun"],
      ["Started by", run.triggered_by.replaceAll("_", " ")], ["Version", `v${run.workflow_version}`],
      ["Retry of", run.retry_of_run_id && link(`workflow-runs/${run.retry_of_run_id}`, short(run.retry_of_run_id))],
      ["Parent", run.parent_workflow_run_id && link(`workflow-runs/${run.parent_workflow_run_id}`, short(run.parent_workflow_run_id))],
    ]));
}

// ---------------------------------------------------------------------------------------- steps

function picture(panel, model, signal) {
  const detail = h("div", { "aria-live": "polite" });
  const nodes = () => model.graph.nodes.map((node) => ({ id: node.step_ref, kind: node.type, status: shownStatus(node), ms: node.duration_ms, depends: node.depends_on }));
  if (!model.graph.nodes.length) return put(panel, empty("This workflow has no steps."));
  const drawn = dag(nodes(), { onChoose: choose });
  const list = h("div");
  put(panel, drawn.element, detail, list);
  function choose(ref) {
    model.chosen = ref;
    update();
    detail.scrollIntoView({ block: "nearest" });
  }
  function update() {
    drawn.update(nodes());
    const waiting = model.graph.nodes.find((node) => ["approval"].includes(node.type) && node.status === "waiting" && node.started_at);
    const chosen = model.steps.find((step) => step.step_ref === (model.chosen || waiting?.step_ref));
    put(detail, chosen && stepCard(chosen, model));
    put(list, card("All steps", rows(columns(model, choose), model.steps, "Steps")));
  }
  model.watch(update, signal);
  return undefined;
}

// A step that waits for others has not begun; one that waits for a person or an event has.
const shownStatus = (step) => (step.status === "waiting" && !step.started_at ? "pending" : step.status);
const nodeOf = (model, ref) => model.graph.nodes.find((node) => node.step_ref === ref) || {};

function columns(model, choose) {
  return [
    { label: "Status", class: "narrow", cell: (step) => chip(shownStatus(step)) },
    { label: "Step", cell: (step) => h("button", { type: "button", class: "as-link", onclick: () => choose(step.step_ref) }, step.step_ref) },
    { label: "Kind", class: "lo", cell: (step) => (nodeOf(model, step.step_ref).type || "").replaceAll("_", " ") },
    { label: "Took", class: "right", cell: (step) => (step.started_at ? duration(took(step.started_at, step.finished_at)) : "–") },
    { label: "Attempt", class: "right lo", cell: (step) => String(step.attempt) },
    { label: "Run", cell: (step) => (step.job_run_id ? link(`runs/${step.job_run_id}`, short(step.job_run_id)) : "–") },
    { label: "What went wrong", class: "wide lo", cell: (step) => h("span", { class: "cut error" }, step.error || "") },
  ];
}

function stepCard(step, model) {
  const node = nodeOf(model, step.step_ref);
  const at = `${model.path}/steps/${encodeURIComponent(step.step_ref)}`;
  const act = (text, work) => async () => (await attempt(text, work)) !== undefined && model.refresh();
  const isAsked = node.type === "approval" && step.status === "waiting" && step.started_at;
  return card([chip(step.status), " ", step.step_ref],
    isAsked && h("p", {}, "This step waits for somebody to approve it."),
    h("div", { class: "actions" },
      isAsked && button("Approve", () => approve(model.id, step.step_ref).then(model.refresh), { kind: "primary" }),
      isAsked && button("Reject", () => reject(model.id, step.step_ref).then(model.refresh), { kind: "danger" }),
      step.job_run_id && link(`runs/${step.job_run_id}`, h("span", { class: "button" }, "Open its run")),
      isOver(step.status) && isOver(model.run.status) && button("Retry from here", act("Retried", () => api.post(`${at}/retry`))),
      !isAsked && !isOver(model.run.status) && ["pending", "waiting"].includes(step.status) && button("Skip", act("Skipped", () => api.post(`${at}/skip`, { reason: "skipped on the dashboard" })))),
    step.error && h("div", { class: "failure" }, h("p", {}, step.error)),
    h("h3", {}, "Output"), json(step.output, { label: "output", empty: "None yet." }));
}

// ------------------------------------------------------------------------------------- timeline

function timeline(panel, model, signal) {
  const drawn = gantt({ label: "Timeline of the steps" });
  put(panel, card("Timeline", drawn.element));
  model.watch(() => drawn.show(model.steps.filter((step) => step.started_at || step.finished_at).map((step) => {
    const node = nodeOf(model, step.step_ref);
    const waits = ["approval", "wait_for_event", "sleep"].includes(node.type);
    const ready = Math.max(instant(model.run.started_at) ?? 0, ...(node.depends_on || []).map((ref) => instant(model.steps.find((each) => each.step_ref === ref)?.finished_at) ?? 0));
    const from = instant(step.started_at) ?? instant(step.finished_at);
    const bars = [{ from, to: instant(step.finished_at), status: step.status === "waiting" ? "waiting" : step.status, kind: waits ? "wait" : "" }];
    if (from - ready > 5 && ready > 0) bars.unshift({ from: ready, to: from, status: "queued", kind: "wait", label: "queued" });
    return { id: step.id, label: step.step_ref, href: step.job_run_id && to(`runs/${step.job_run_id}`), bars, marks: [] };
  })), signal);
}

function data(panel, model, signal) {
  model.watch(() => put(panel, h("div", { class: "columns" },
    card("Payload", json(model.run.payload, { label: "payload", empty: "No payload." })),
    card("Outputs of the steps", json(Object.fromEntries(model.steps.filter((step) => step.output !== undefined).map((step) => [step.step_ref, step.output])), { label: "outputs" })))), signal);
}

async function decisions(panel, model, signal) {
  const all = await api.all(`${model.path}/explain`, {}, { signal });
  if (signal.aborted) return;
  put(panel, all.length ? card(plural(all.length, "decision"), rows([
    { label: "When", cell: (each) => since(each.created_at) },
    { label: "Step", cell: (each) => each.step_ref },
    { label: "Decision", cell: (each) => `${each.decision_type.replaceAll("_", " ")}: ${each.decision}` },
    { label: "Why", class: "wide", cell: (each) => each.explanation },
  ], all, "Decisions")) : empty("No decisions had to be taken.", "Conditions, skipped steps and cost gates are explained here."));
}

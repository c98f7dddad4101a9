// One run of a job: how it stands, what it has been through, what can be done with it.

import * as api from "../lib/api.js";
import { h, put, soon } from "../lib/dom.js";
import { duration, instant, short, took, when } from "../lib/format.js";
import { lineOf } from "../lib/history.js";
import { parse } from "../lib/json.js";
import { onActivity } from "../lib/live.js";
import * as names from "../lib/names.js";
import { go, query, setQuery } from "../lib/router.js";
import { stepReader } from "../lib/run-steps.js";
import { isOver } from "../lib/status.js";
import { follow } from "../lib/stream.js";
import { button, chip, copyable, facts, head, link, meter, reportLink, since, tabs } from "../ui/parts.js";
import { cancel, pause, replay, replayEdited, reschedule, restart, resume, tryAgain } from "./run/actions.js";
import { cost } from "./run/cost.js";
import { data } from "./run/data.js";
import { logs } from "./run/logs.js";
import { output } from "./run/output.js";
import { steps } from "./run/steps.js";
import { timeline } from "./run/timeline.js";

const MOST_LINES = 5000;

export async function show(outlet, { id, signal }) {
  const model = {
    id, signal, run: await api.get(`/v1/runs/${encodeURIComponent(id)}`, {}, signal), lines: [], children: [], steps: [],
    listeners: new Set(),
    /** Call a function now and whenever something has changed, until a signal is aborted. */
    watch(fn, until) {
      model.listeners.add(fn);
      until.addEventListener("abort", () => model.listeners.delete(fn), { once: true });
      fn(model);
    },
  };
  const [lines, children] = await Promise.all([
    api.all(`/v1/runs/${id}/events`, {}, { signal, most: MOST_LINES }),
    api.all(`/v1/runs/${id}/children`, {}, { signal, most: 500 }),
    names.load("jobs", { signal }).then(() => names.refreshFor("jobs", [model.run.job_id])).catch(() => null),
  ]);
  const readSteps = stepReader(id, signal);
  // Each step leaves a line in the ledger; a run without any is not asked for them.
  const stepsOf = (lines, options) => (lines.some((line) => line.type === "step") ? readSteps(options) : []);
  Object.assign(model, { lines: inOrder(lines), children, steps: await stepsOf(lines) });

  let stream = null;
  const changed = soon(() => model.listeners.forEach((fn) => fn(model)), 80);
  async function refresh() {
    model.run = await api.get(`/v1/runs/${id}`, {}, signal);
    model.children = await api.all(`/v1/runs/${id}/children`, {}, { signal, most: 500 });
    model.steps = await stepsOf(model.lines, { anew: isOver(model.run.status) });
    if (isOver(model.run.status)) {
      // The stream may have ended before its last lines were read here.
      stream?.abort();
      stream = null;
      model.lines = inOrder(await api.all(`/v1/runs/${id}/events`, {}, { signal, most: MOST_LINES }));
    } else {
      listen();
    }
    changed();
  }
  const top = h("div");
  const banner = h("div");
  put(outlet, top, banner, tabs([
    { id: "timeline", label: "Timeline", show: (panel, until) => timeline(panel, model, until) },
    { id: "steps", label: "Steps", show: (panel, until) => steps(panel, model, until) },
    { id: "logs", label: "Logs", show: (panel, until) => logs(panel, model, until) },
    { id: "data", label: "Input & output", show: (panel, until) => data(panel, model, until) },
    { id: "cost", label: "Cost", show: (panel, until) => cost(panel, model, until) },
    { id: "stream", label: "Stream", show: (panel, until) => output(panel, model, until) },
    { id: "compare", label: "Compare", show: async (panel, until) => (await import("./run/compare.js")).compare(panel, model, until) },
    { id: "state", label: "State", show: async (panel, until) => (await import("./run/state.js")).state(panel, model, until) },
  ], { chosen: query().tab || "timeline", onChoose: (tab) => setQuery({ tab: tab === "timeline" ? "" : tab }), signal }));

  model.watch(() => {
    put(top, header(model, refresh));
    put(banner, trouble(model.run), progress(model));
  }, signal);

  const refreshSoon = soon(() => signal.aborted || refresh().catch(() => null), 120);

  function listen() {
    if (stream) return;
    stream = new AbortController();
    follow(`/v1/runs/${id}/stream`, {
      signal: AbortSignal.any([signal, stream.signal]), from: String(model.lines.length ? seqOf(model.lines.at(-1)) : 0),
      onEvent: (text) => {
        const frame = parse(text);
        if (frame.error && frame.code) return;
        model.lines = [...model.lines, lineOf(frame)];
        changed();
        if (frame.type === "status_change" || frame.event_type === "step") refreshSoon();
      },
      onState: (now) => now !== "live" && refreshSoon(),
    });
  }
  if (!isOver(model.run.status)) listen();
  // Children and a new life (restart, replay of a dead letter) are told by the project's stream only.
  onActivity((event) => {
    if (event.type !== "run.updated") return;
    if (model.children.some((child) => child.id === event.run_id)) refreshSoon();
    if (event.run_id === id && !stream) refreshSoon();
  }, signal);
}

const seqOf = (line) => Number((line.id || "").split(":").at(-1)) || 0;
const inOrder = (lines) => [...lines].sort((a, b) => seqOf(a) - seqOf(b) || (instant(a.created_at) - instant(b.created_at)));

function header(model, refresh) {
  const { run } = model;
  const job = names.known("jobs", run.job_id);
  return h("div", {},
    head([chip(run.status), " ", h("span", {}, job?.name || names.nameOf("jobs", run.job_id))], {
      above: h("p", { class: "crumbs" }, link("runs", "Runs"), " / ", link(`jobs/${run.job_id}`, names.nameOf("jobs", run.job_id)), " / ", short(run.id)),
      actions: actions(run, refresh),
    }),
    facts([
      ["Run", copyable(run.id, short(run.id))],
      ["Created", since(run.created_at)],
      ["Took", run.started_at ? duration(took(run.created_at, run.finished_at)) : "not begun"],
      ["Last attempt", run.attempt > 1 && run.started_at && duration(took(run.started_at, run.finished_at))],
      ["Attempt", job ? `${run.attempt} of ${run.max_attempts_override || job.max_attempts}` : String(run.attempt)],
      ["Started by", run.triggered_by.replaceAll("_", " ")],
      ["Version", `v${run.job_version}`],
      ["Parent", run.parent_run_id && link(`runs/${run.parent_run_id}`, short(run.parent_run_id))],
      ["Replay of", run.replayed_run_id && link(`runs/${run.replayed_run_id}`, short(run.replayed_run_id))],
      ["Next attempt", run.next_retry_at && !isOver(run.status) && since(run.next_retry_at)],
      ["Scheduled", run.status === "delayed" && run.scheduled_at && when(run.scheduled_at)],
      ["Tags", run.tags && Object.entries(run.tags).map(([key, value]) => link(`runs?tag=${encodeURIComponent(`${key}:${value}`)}`, h("span", { class: "tag" }, `${key}: ${value}`)))],
    ]));
}

function actions(run, refresh) {
  const over = isOver(run.status);
  return [
    over && button("Replay", () => replay(run, go), { kind: "primary" }),
    button("Replay with an edited payload", () => replayEdited(run, go), {}),
    run.status === "dead_letter" && button("Try again", () => tryAgain(run, refresh), { title: "Queue this very run again" }),
    ["delayed", "queued"].includes(run.status) && button("Reschedule", () => reschedule(run, refresh)),
    run.status === "executing" && button("Pause", () => pause(run, refresh)),
    ["executing", "paused"].includes(run.status) && button("Restart", () => restart(run, refresh), { title: "Drop what executes, and dispatch the run again" }),
    run.status === "paused" && button("Resume", () => resume(run, refresh), { kind: "primary" }),
    !over && button("Cancel", () => cancel(run, refresh), { kind: "danger" }),
    reportLink(`/v1/runs/${run.id}/report`),
  ];
}

function trouble(run) {
  if (!run.error || run.status === "completed") return null;
  return h("div", { class: "failure", role: "note" }, h("p", {}, h("strong", {}, run.error_class ? `${run.error_class.replaceAll("_", " ")}: ` : ""), run.error));
}

function progress(model) {
  const last = model.lines.filter((line) => line.type === "progress").at(-1);
  if (!last || isOver(model.run.status)) return null;
  const share = (last.data?.percent ?? 0) / 100;
  return h("div", { class: "progress" }, meter(share, "Progress"), h("span", {}, `${Math.round(share * 100)} % · ${last.message || ""}`));
}

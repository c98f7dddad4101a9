// A run beside another one: what went in, what each step gave, what came out.

import * as api from "../../lib/api.js";
import { h, put } from "../../lib/dom.js";
import { duration, instant, plural, short, when } from "../../lib/format.js";
import { query, setQuery } from "../../lib/router.js";
import { allSteps } from "../../lib/run-steps.js";
import { difference } from "../../ui/diff.js";
import { paged } from "../../ui/paged.js";
import { card, chip, details, empty, link } from "../../ui/parts.js";

const MOST_OTHERS = 50;

export async function compare(panel, model, signal) {
  const { run } = model;
  const page = await api.get("/v1/runs", { job_id: run.job_id, limit: MOST_OTHERS }, signal);
  if (signal.aborted) return;
  const others = page.data.filter((each) => each.id !== run.id);
  const wished = query().with || run.replayed_run_id || others.find((each) => instant(each.created_at) < instant(run.created_at))?.id || others[0]?.id;
  if (!wished) return put(panel, empty("There is no other run of this job.", "“Replay with an edited payload” makes one."));
  if (!others.some((each) => each.id === wished)) others.unshift({ id: wished, status: "", created_at: "" });
  const choice = h("select", { "aria-label": "Compare with", onchange: () => {
    setQuery({ with: choice.value });
    show(choice.value);
  } }, others.map((each) => h("option", { value: each.id, selected: each.id === wished }, nameOf(each, run))));
  const result = h("div");
  put(panel, h("div", { class: "filters" }, h("label", {}, "Compare with ", choice)), result);

  async function show(id) {
    put(result, h("p", { class: "quiet" }, "Reading…"));
    try {
      const [other, theirs, ours] = await Promise.all([
        api.get(`/v1/runs/${encodeURIComponent(id)}`, {}, signal), allSteps(id, signal), allSteps(run.id, signal),
      ]);
      if (!signal.aborted && choice.value === id) put(result, pictures(other, theirs, model.run, ours));
    } catch (error) {
      if (!signal.aborted) put(result, h("p", { class: "problem", role: "alert" }, error.message));
    }
  }
  await show(wished);
  return undefined;
}

function nameOf(other, run) {
  if (other.id === run.replayed_run_id) return `${short(other.id)}, which this run replays`;
  return [short(other.id), other.status.replaceAll("_", " "), other.created_at && when(other.created_at)].filter(Boolean).join(" · ");
}

function pictures(other, theirs, run, ours) {
  const rows = paired(theirs, ours);
  const list = paged({
    label: "compared steps", className: "steps", key: (each) => each.key, size: 100,
    row: ({ name, occurrence, before, after, kind }) => h("li", {}, details(
      [h("span", { class: `tag mark-${kind}` }, WORDS[kind]), h("strong", {}, name), occurrence > 0 && h("span", { class: "quiet" }, `#${occurrence + 1}`),
        before && chip(before.status), before && after && "→", after && chip(after.status),
        h("span", { class: "quiet" }, [before, after].map((each) => (each ? duration(each.duration_ms) : "–")).join(" → "))],
      () => difference(of(before), of(after), { same: "It gave the same." }))),
  });
  list.show(rows);
  const differ = rows.filter((each) => each.kind !== "same").length;
  return [
    h("p", { class: "quiet" }, "Removed lines are of ", link(`runs/${other.id}`, `run ${short(other.id)}`), ", added ones of this run."),
    h("div", { class: "columns" },
      card("Payload", difference(other.payload, run.payload, { same: "The same payload." })),
      card("Outcome", difference(outcome(other), outcome(run), { same: "The same outcome." }))),
    rows.length > 0 && card(`${plural(rows.length, "step")}, ${differ ? `${differ} differ` : "all the same"}`, list.element),
  ];
}

const WORDS = { same: "same", other: "differs", added: "only here", removed: "only there" };
const of = (step) => step && (step.error ? { error: step.error } : step.output);
const outcome = (run) => ({ status: run.status, ...(run.error ? { error: run.error } : {}), ...(run.result !== undefined ? { result: run.result } : {}) });

// Steps of both runs by name and occurrence; first what differs.
function paired(theirs, ours) {
  const rows = new Map();
  const note = (side) => (step) => {
    const key = `${step.occurrence}:${step.name}`;
    rows.set(key, { key, name: step.name, occurrence: step.occurrence, ...rows.get(key), [side]: step });
  };
  ours.forEach(note("after"));
  theirs.forEach(note("before"));
  const all = [...rows.values()].map((each) => ({ ...each, kind: kindOf(each) }));
  return [...all.filter((each) => each.kind !== "same"), ...all.filter((each) => each.kind === "same")];
}

function kindOf({ before, after }) {
  if (!before) return "added";
  if (!after) return "removed";
  return before.status === after.status && JSON.stringify(of(before)) === JSON.stringify(of(after)) ? "same" : "other";
}

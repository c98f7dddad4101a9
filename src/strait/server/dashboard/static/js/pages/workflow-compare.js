// A run of a workflow beside another one: which steps ended otherwise, and what each took.

import * as api from "../lib/api.js";
import { h, put } from "../lib/dom.js";
import { duration, instant, plural, short, when } from "../lib/format.js";
import { query, setQuery } from "../lib/router.js";
import { difference } from "../ui/diff.js";
import { card, chip, empty, link, rows } from "../ui/parts.js";

export async function compare(panel, model, signal) {
  const { run } = model;
  const page = await api.get(`/v1/workflows/${run.workflow_id}/runs`, { limit: 50 }, signal);
  if (signal.aborted) return undefined;
  const others = page.data.filter((each) => each.id !== run.id);
  const wished = query().with || run.retry_of_run_id || others.find((each) => instant(each.created_at) < instant(run.created_at))?.id || others[0]?.id;
  if (!wished) return put(panel, empty("There is no other run of this workflow.", "“Run again with an edited payload” makes one."));
  if (!others.some((each) => each.id === wished)) others.unshift({ id: wished });
  const choice = h("select", { "aria-label": "Compare with", onchange: () => {
    setQuery({ with: choice.value });
    show(choice.value);
  } }, others.map((each) => h("option", { value: each.id, selected: each.id === wished }, [short(each.id), each.status, each.created_at && when(each.created_at)].filter(Boolean).join(" · "))));
  const result = h("div");
  put(panel, h("div", { class: "filters" }, h("label", {}, "Compare with ", choice)), result);

  async function show(id) {
    try {
      const [told, other, theirs] = await Promise.all([
        api.get(`/v1/workflow-runs/${encodeURIComponent(id)}/compare/${encodeURIComponent(run.id)}`, {}, signal),
        api.get(`/v1/workflow-runs/${encodeURIComponent(id)}`, {}, signal),
        api.all(`/v1/workflow-runs/${encodeURIComponent(id)}/steps`, {}, { signal }),
      ]);
      if (!signal.aborted && choice.value === id) put(result, pictures(told, other, theirs, model));
    } catch (error) {
      if (!signal.aborted) put(result, h("p", { class: "problem", role: "alert" }, error.message));
    }
  }
  await show(wished);
  return undefined;
}

function pictures(told, other, theirs, model) {
  const outputs = (steps) => Object.fromEntries(steps.filter((step) => step.output !== undefined).map((step) => [step.step_ref, step.output]));
  const differing = told.step_diffs || [];
  return [
    h("p", { class: "quiet" }, "On the left is ", link(`workflow-runs/${other.id}`, `run ${short(other.id)}`), ", on the right this run."),
    h("div", { class: "columns" },
      card("Payload", difference(other.payload, model.run.payload, { same: "The same payload." })),
      card("Outputs of the steps", difference(outputs(theirs), outputs(model.steps), { same: "The same outputs." }))),
    card(plural(differing.length, "step"), rows([
      { label: "Step", cell: (each) => each.step_ref },
      { label: "Status", cell: (each) => statuses(each, theirs, model.steps) },
      { label: "Took", class: "right", cell: (each) => `${each.only_in_b ? "–" : duration(each.duration_ms_a)} → ${each.only_in_a ? "–" : duration(each.duration_ms_b)}` },
    ], differing, "Compared steps")),
  ];
}

function statuses(each, theirs, ours) {
  if (each.only_in_a) return "only there";
  if (each.only_in_b) return "only here";
  if (each.status_diff) return [chip(each.status_diff.a), " → ", chip(each.status_diff.b)];
  const same = [...ours, ...theirs].find((step) => step.step_ref === each.step_ref);
  return chip(same?.status || "", undefined);
}

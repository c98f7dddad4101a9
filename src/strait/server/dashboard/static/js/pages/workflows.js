// The workflows of the project.

import { put } from "../lib/dom.js";
import { h } from "../lib/dom.js";
import { count } from "../lib/format.js";
import * as names from "../lib/names.js";
import { go } from "../lib/router.js";
import { button, chip, code, empty, head, link, rows, since } from "../ui/parts.js";
import { triggerWorkflow } from "./trigger.js";

export async function show(outlet, { signal }) {
  await names.load("workflows", { anew: true, signal });
  const all = names.list("workflows").sort((a, b) => a.slug.localeCompare(b.slug));
  put(outlet, head("Workflows", { about: all.length ? `${count(all.length)} in this project` : "" }),
    all.length ? rows(columns, all, "Workflows") : empty("No workflows yet.", "A workflow runs jobs in the order of what they depend on:",
      code('pipeline = define_workflow(WorkflowOptions(\n    name="Orders", slug="orders",\n    steps=[job_step("charge", "charge-job"),\n           approval_step("approve", depends_on=["charge"])],\n))')));
}

const columns = [
  { label: "Workflow", cell: (each) => h("span", {}, link(`workflows/${each.id}`, h("strong", { class: "cut", title: each.slug }, each.slug)), " ", h("span", { class: "quiet lo cut", title: each.name }, each.name)) },
  { label: "Status", cell: (each) => chip(each.enabled ? "ready" : "canceled", each.enabled ? "enabled" : "disabled") },
  { label: "Schedule", class: "lo", cell: (each) => (each.cron ? h("code", {}, each.cron) : "–") },
  { label: "Version", class: "right lo", cell: (each) => `v${each.version}` },
  { label: "Changed", class: "lo", cell: (each) => since(each.updated_at) },
  { label: "", class: "right", cell: (each) => button("Run", () => triggerWorkflow(each.id, go), { kind: "small", disabled: !each.enabled, "aria-label": `Run ${each.slug}` }) },
];

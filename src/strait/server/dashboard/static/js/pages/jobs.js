// The jobs of the project.

import { h, put } from "../lib/dom.js";
import { count } from "../lib/format.js";
import * as names from "../lib/names.js";
import { go } from "../lib/router.js";
import { button, chip, code, empty, head, link, rows, since } from "../ui/parts.js";
import { triggerJob } from "./trigger.js";

export async function show(outlet, { signal }) {
  await names.load("jobs", { anew: true, signal });
  const all = names.list("jobs").sort((a, b) => a.slug.localeCompare(b.slug));
  const place = h("div");
  const filter = h("input", { type: "search", placeholder: "Name contains…", "aria-label": "Name contains", "data-filter": "", oninput: draw });
  put(outlet, head("Jobs", { about: all.length ? `${count(all.length)} in this project` : "" }), all.length > 0 && h("div", { class: "filters" }, filter), place);
  function draw() {
    const needle = filter.value.toLowerCase();
    const shown = all.filter((job) => `${job.slug} ${job.name}`.toLowerCase().includes(needle));
    put(place, all.length ? (shown.length ? rows(columns, shown, "Jobs") : empty("No job has such a name.")) : none());
  }
  draw();
}

const columns = [
  { label: "Job", cell: (job) => h("span", {}, link(`jobs/${job.id}`, h("strong", { class: "cut", title: job.slug }, job.slug)), job.name !== job.slug && [" ", h("span", { class: "quiet lo cut", title: job.name }, job.name)]) },
  { label: "Status", cell: (job) => chip(job.paused ? "paused" : job.enabled ? "ready" : "canceled", job.paused ? "paused" : job.enabled ? "enabled" : "disabled") },
  { label: "Schedule", class: "lo", cell: (job) => (job.cron ? h("code", {}, job.cron) : "–") },
  { label: "Attempts", class: "right lo", cell: (job) => String(job.max_attempts) },
  { label: "Version", class: "right lo", cell: (job) => `v${job.version}` },
  { label: "Changed", class: "lo", cell: (job) => since(job.updated_at) },
  { label: "", class: "right", cell: (job) => button("Trigger", () => triggerJob(job, go), { kind: "small", disabled: !job.enabled, "aria-label": `Trigger ${job.slug}` }) },
];

function none() {
  return empty("No jobs yet.", "Write one:",
    code('# app.py\nfrom strait.authoring import JobOptions, define_job\n\ndef hello(payload, ctx):\n    return {"hello": payload["name"]}\n\njob = define_job(JobOptions(name="Hello", slug="hello", run=hello))'),
    "and host it:", code("strait dev app.py"));
}

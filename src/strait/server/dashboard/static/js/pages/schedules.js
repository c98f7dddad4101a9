// What runs by itself, and when next.

import * as api from "../lib/api.js";
import { h, put } from "../lib/dom.js";
import { when } from "../lib/format.js";
import { chip, code, empty, head, link, rows, since } from "../ui/parts.js";

export async function show(outlet, { signal }) {
  const all = await api.get("/v1/schedules", {}, signal);
  put(outlet, head("Schedules", { about: "What runs by itself, soonest first." }), all.length
    ? rows([
        { label: "What", cell: (each) => link(`${each.type}s/${each.id}`, h("strong", { class: "cut", title: each.slug }, each.slug)) },
        { label: "Kind", class: "lo", cell: (each) => each.type },
        { label: "Schedule", cell: (each) => h("code", {}, each.cron) },
        { label: "Zone", class: "lo", cell: (each) => each.timezone || "UTC" },
        { label: "Status", cell: (each) => chip(each.active ? "ready" : "paused", each.active ? "on" : "off") },
        { label: "Next", cell: (each) => (each.next_runs.length ? since(each.next_runs[0]) : "–") },
        { label: "And then", class: "wide lo", cell: (each) => h("span", { class: "quiet" }, each.next_runs.slice(0, 3).map(when).join(" · ")) },
      ], all, "Schedules")
    : empty("Nothing runs by itself.", "Give a job or a workflow a schedule:", code('JobOptions(..., cron="15 3 * * *", timezone="Europe/Berlin")')));
}

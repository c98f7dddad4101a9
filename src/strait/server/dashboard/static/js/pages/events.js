// Events: what is waited for, what was sent, where events come from.

import * as api from "../lib/api.js";
import { h, put } from "../lib/dom.js";
import { count, duration } from "../lib/format.js";
import { parse } from "../lib/json.js";
import { query, setQuery } from "../lib/router.js";
import { ask, field, sure } from "../ui/dialog.js";
import { json } from "../ui/json-view.js";
import { button, card, chip, empty, head, link, rows, since, tabs } from "../ui/parts.js";
import { attempt } from "../ui/toast.js";

export async function show(outlet, { who, signal }) {
  const figures = h("div");
  const reload = () => show(outlet, { who, signal });
  put(outlet, head("Events", { about: "What runs wait for, and what starts them.", actions: [button("Send to who waits", () => send("", reload), { kind: "primary" }), button("Dispatch from a source", () => dispatch(who, reload))] }),
    figures, tabs([
      { id: "waits", label: "Waits", show: (panel, until) => waits(panel, until, reload) },
      { id: "sources", label: "Sources", show: (panel, until) => sources(panel, until, who) },
    ], { chosen: query().tab || "waits", onChoose: (tab) => setQuery({ tab: tab === "waits" ? "" : tab }), signal }));
  const told = await api.get("/v1/events/stats", {}, signal).catch(() => null);
  if (told) put(figures, h("div", { class: "figures" }, [
    ["Waiting", count(told.waiting_count)], ["Received", count(told.received_count)], ["Timed out", count(told.timed_out_count)], ["Mean wait", duration(told.avg_wait_duration_secs * 1000)],
  ].map(([name, value]) => h("div", { class: "figure" }, h("span", { class: "quiet" }, name), h("strong", {}, value)))));
}

async function waits(panel, signal, reload) {
  const all = await api.all("/v1/events", {}, { signal, most: 300 });
  if (signal.aborted) return;
  put(panel, all.length ? rows([
    { label: "Status", class: "narrow", cell: (each) => chip(each.status) },
    { label: "Key", cell: (each) => h("code", {}, each.event_key) },
    { label: "Who waits", cell: (each) => (each.job_run_id ? link(`runs/${each.job_run_id}`, "run") : each.workflow_run_id ? link(`workflow-runs/${each.workflow_run_id}`, "workflow run") : "–") },
    { label: "Since", class: "lo", cell: (each) => since(each.requested_at) },
    { label: "Ends", class: "lo", cell: (each) => (each.status === "waiting" && !each.expires_at.startsWith("9999") ? since(each.expires_at) : "–") },
    { label: "Payload", class: "wide lo", cell: (each) => (each.response_payload === undefined ? "" : h("details", {}, h("summary", {}, "show"), json(each.response_payload))) },
    { label: "", class: "right", cell: (each) => each.status === "waiting" && h("span", { class: "actions" },
      button("Send", () => send(each.event_key, reload), { kind: "small", "aria-label": `Send ${each.event_key}` }),
      button("Cancel", async () => (await sure("Cancel this wait?", "Who waits for it fails.", "Cancel the wait")) && (await attempt("Canceled", () => api.remove(`/v1/events/${encodeURIComponent(each.event_key)}`))) && reload(), { kind: "small danger", "aria-label": `Cancel ${each.event_key}` })) },
  ], all, "Waits") : empty("Nothing waits for an event.", "In a handler:", h("pre", { class: "code" }, 'paid = await ctx.wait_for_event("invoice-paid-2041")')));
}

async function send(key, reload) {
  const name = h("input", { type: "text", value: key, required: true, autocomplete: "off" });
  const payload = h("textarea", { rows: "6", class: "mono", spellcheck: "false", "aria-label": "Payload as JSON" });
  const done = await ask("Send an event", [field("Key", name), field("Payload", payload, "JSON, or nothing")], {
    confirm: "Send", read: () => api.post(`/v1/events/${encodeURIComponent(name.value.trim())}/send`, payload.value.trim() ? { payload: read(payload.value) } : {}),
  });
  if (done) reload();
}

function read(text) {
  try {
    return parse(text);
  } catch {
    throw new Error("the payload is not valid JSON");
  }
}

async function dispatch(who, reload) {
  const source = h("input", { type: "text", required: true, autocomplete: "off" });
  const payload = h("textarea", { rows: "6", class: "mono", spellcheck: "false", "aria-label": "Payload as JSON" });
  const told = await ask("Dispatch an event", [field("Source", source, "The name of an event source"), field("Payload", payload, "JSON")], {
    confirm: "Dispatch", read: () => api.post("/v1/events/dispatch", { source: source.value.trim(), project_id: who.project_id, payload: read(payload.value || "null") }),
  });
  if (told && (await attempt(`Started ${told.dispatched}`, async () => told))) reload();
}

async function sources(panel, signal) {
  const all = await api.get("/v1/event-sources", {}, signal);
  const subscribed = new Map(await Promise.all(all.map(async (each) => [each.id, await api.get(`/v1/event-sources/${each.id}/subscriptions`, {}, signal)])));
  if (signal.aborted) return;
  put(panel, all.length ? all.map((source) => card([h("span", {}, source.name), " ", chip(source.enabled ? "ready" : "canceled", source.enabled ? "enabled" : "disabled")],
    source.description && h("p", {}, source.description),
    subscribed.get(source.id).length ? rows([
      { label: "Starts", cell: (each) => link(`${each.target_type}s/${each.target_id}`, each.target_type) },
      { label: "When", class: "wide", cell: (each) => (each.filter_expr ? h("code", {}, JSON.stringify(each.filter_expr)) : "always") },
      { label: "Enabled", cell: (each) => (each.enabled ? "yes" : "no") },
    ], subscribed.get(source.id), `Subscriptions of ${source.name}`) : h("p", { class: "quiet" }, "Nothing listens to it."))) : empty("No event sources.", "A source starts jobs and workflows when something comes in: define one with ", h("pre", { class: "code" }, "define_event(...)")));
}

// Who is told of what happens, and whether it arrived.

import * as api from "../lib/api.js";
import { h, put } from "../lib/dom.js";
import { query, setQuery } from "../lib/router.js";
import { ask, field, sure } from "../ui/dialog.js";
import { button, chip, code, copyable, empty, head, rows, since, tabs } from "../ui/parts.js";
import { attempt } from "../ui/toast.js";

const KINDS = ["run.completed", "run.failed", "run.timed_out", "run.canceled", "workflow.completed", "workflow.failed", "schedule.suspended"];

export async function show(outlet, { who, signal }) {
  const reload = () => show(outlet, { who, signal });
  put(outlet, head("Webhooks", { about: "Signed messages to your own services.", actions: button("Subscribe", () => subscribe(who, reload), { kind: "primary" }) }), tabs([
    { id: "deliveries", label: "Deliveries", show: (panel, until) => deliveries(panel, until) },
    { id: "subscriptions", label: "Subscriptions", show: (panel, until) => subscriptions(panel, until, reload) },
  ], { chosen: query().tab || "deliveries", onChoose: (tab) => setQuery({ tab: tab === "deliveries" ? "" : tab }), signal }));
}

async function deliveries(panel, signal) {
  const status = h("select", { "aria-label": "Status", onchange: () => draw() }, ["", "pending", "delivered", "failed", "dead"].map((each) => h("option", { value: each }, each || "Any status")));
  const list = h("div");
  put(panel, h("div", { class: "filters" }, status), list);
  async function draw() {
    const all = await api.all("/v1/webhooks/deliveries", { status: status.value }, { signal, most: 300 });
    if (signal.aborted) return;
    put(list, all.length ? rows([
      { label: "Status", class: "narrow", cell: (each) => chip(each.status) },
      { label: "To", class: "wide", cell: (each) => h("span", { class: "cut" }, each.webhook_url) },
      { label: "Attempts", class: "right", cell: (each) => `${each.attempts} of ${each.max_attempts}` },
      { label: "Answer", class: "lo", cell: (each) => (each.last_status_code ? String(each.last_status_code) : each.last_error || "–") },
      { label: "Made", class: "lo", cell: (each) => since(each.created_at) },
      { label: "Next", class: "lo", cell: (each) => (each.status === "pending" || each.status === "failed" ? since(each.next_retry_at) : "–") },
      { label: "", class: "right", cell: (each) => each.status !== "delivered" && button("Send again", async () => (await attempt("Sent again", () => api.post(`/v1/webhooks/deliveries/${each.id}/retry`))) && draw(), { kind: "small" }) },
    ], all, "Deliveries") : empty("No deliveries.", "They appear when something happens that somebody subscribed to."));
  }
  await draw();
}

async function subscriptions(panel, signal, reload) {
  const all = await api.get("/v1/webhooks/subscriptions", {}, signal);
  if (signal.aborted) return;
  put(panel, all.length ? rows([
    { label: "To", class: "wide", cell: (each) => h("span", { class: "cut", title: each.webhook_url }, each.webhook_url) },
    { label: "Of", cell: (each) => (each.event_types || []).map((type) => h("span", { class: "tag" }, type)) },
    { label: "Status", cell: (each) => chip(each.active ? "active" : "paused") },
    { label: "", class: "right", cell: (each) => button("Delete", async () => (await sure("Delete this subscription?", each.webhook_url, "Delete")) && (await attempt("Deleted", () => api.remove(`/v1/webhooks/subscriptions/${each.id}`).then(() => true))) && reload(), { kind: "small danger" }) },
  ], all, "Subscriptions") : empty("Nobody subscribed.", "Choose “Subscribe” above, or:", code('client.webhooks.create_subscription(webhook_url="https://…", event_types=["run.failed"])')));
}

async function subscribe(who, reload) {
  const url = h("input", { type: "url", required: true, placeholder: "https://example.com/hooks" });
  const kinds = KINDS.map((kind) => h("input", { type: "checkbox", value: kind }));
  const made = await ask("Subscribe", [field("Address", url), h("fieldset", {}, h("legend", {}, "When"), kinds.map((each) => h("label", { class: "check" }, each, each.value)))], {
    confirm: "Subscribe",
    read: () => api.post("/v1/webhooks/subscriptions", { project_id: who.project_id, webhook_url: url.value.trim(), event_types: kinds.filter((each) => each.checked).map((each) => each.value) }),
  });
  if (!made) return;
  await ask("The signing secret", [h("p", {}, "It is shown once. Messages are signed with it."), copyable(made.signing_secret)], { confirm: "Done", alone: true });
  reload();
}


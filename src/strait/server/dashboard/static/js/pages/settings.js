// Keys, environments, secrets by name, and the session itself.

import * as api from "../lib/api.js";
import { h, put } from "../lib/dom.js";
import { ago, instant } from "../lib/format.js";
import { query, setQuery } from "../lib/router.js";
import { ask, field, sure } from "../ui/dialog.js";
import { button, card, chip, code, copyable, empty, facts, head, rows, since, tabs } from "../ui/parts.js";
import { attempt } from "../ui/toast.js";

const SCOPES = [
  "*", "jobs:read", "jobs:write", "jobs:trigger", "runs:read", "runs:write", "workflows:read", "workflows:write",
  "workflows:trigger", "secrets:read", "secrets:write", "webhooks:read", "webhooks:write", "stats:read", "workers:connect",
  "dlq:read", "dlq:replay", "dlq:purge", "outbox:read", "outbox:retry", "outbox:purge", "projects:read", "projects:write",
  "projects:manage", "api-keys:manage", "rbac:manage",
];

const DAYS = 90;

export async function show(outlet, { who, signal }) {
  const reload = () => show(outlet, { who, signal });
  put(outlet, head("Settings"), tabs([
    { id: "keys", label: "API keys", show: (panel, until) => keys(panel, until, who, reload) },
    { id: "environments", label: "Environments", show: environments },
    { id: "secrets", label: "Secrets", show: secrets },
    { id: "session", label: "Session", show: (panel) => session(panel, who) },
  ], { chosen: query().tab || "keys", onChoose: (tab) => setQuery({ tab: tab === "keys" ? "" : tab }), signal }));
}

async function keys(panel, signal, who, reload) {
  const all = await api.all("/v1/api-keys", {}, { signal, most: 500 });
  if (signal.aborted) return;
  put(panel, h("div", { class: "bar" }, button("Make a key", () => make(who, reload), { kind: "primary" })), rows([
    { label: "Name", cell: (each) => h("strong", { class: "cut", title: each.name }, each.name) },
    { label: "Begins with", class: "lo", cell: (each) => h("code", {}, `${each.key_prefix}…`) },
    { label: "May", class: "wide lo", cell: (each) => (each.scopes || []).map((scope) => h("span", { class: "tag" }, scope)) },
    { label: "Used", cell: (each) => since(each.last_used_at) },
    { label: "Ends", class: "lo", cell: (each) => (each.expires_at ? since(each.expires_at) : "never") },
    { label: "Status", cell: (each) => chip(...standing(each)) },
    { label: "", class: "right", cell: (each) => opens(each) && h("span", { class: "actions" },
      !each.revoked_at && button("Rotate", () => rotate(each, reload), { kind: "small", "aria-label": `Rotate ${each.name}` }),
      button("Revoke", async () => (await sure(`Revoke “${each.name}”?`, "Who uses it is locked out at once, and so are sessions that began with it.", "Revoke")) && (await attempt("Revoked", () => api.remove(`/v1/api-keys/${each.id}`).then(() => true))) && reload(), { kind: "small danger", "aria-label": `Revoke ${each.name}` })) },
  ], all, "API keys"));
}

/** Whether a key still lets somebody in: one that was rotated does so until its grace is over. */
function opens({ revoked_at: revoked, grace_expires_at: grace, expires_at: ends }) {
  const now = Date.now();
  return (!ends || instant(ends) > now) && (!revoked || instant(grace) > now);
}

function standing(key) {
  if (!opens(key)) return ["canceled", key.revoked_at ? "revoked" : "expired"];
  return key.revoked_at ? ["held", `rotated, ends ${ago(key.grace_expires_at)}`] : ["ready", "valid"];
}

async function make(who, reload) {
  const name = h("input", { type: "text", required: true, autocomplete: "off" });
  const days = h("input", { type: "number", min: "1", value: String(DAYS) });
  const scopes = SCOPES.map((scope) => h("input", { type: "checkbox", value: scope }));
  const made = await ask("Make a key", [field("Name", name), field("Days until it ends", days), h("fieldset", {}, h("legend", {}, "It may"), scopes.map((each) => h("label", { class: "check" }, each, each.value === "*" ? "everything" : each.value)))], {
    confirm: "Make it",
    read: () => api.post("/v1/api-keys", { project_id: who.project_id, name: name.value.trim(), scopes: scopes.filter((each) => each.checked).map((each) => each.value), ...(days.value ? { expires_in_days: Number(days.value) } : {}) }),
  });
  if (made) await once(made.key, reload);
}

async function rotate(key, reload) {
  const minutes = h("input", { type: "number", min: "0", value: "60" });
  const made = await ask(`Rotate “${key.name}”`, field("Minutes that the old key stays valid", minutes), {
    confirm: "Rotate", read: () => api.post(`/v1/api-keys/${key.id}/rotate`, { grace_period_minutes: Number(minutes.value) }),
  });
  if (made) await once(made.key, reload);
}

async function once(key, reload) {
  await ask("The new key", [h("p", {}, "It is shown once, and kept nowhere."), copyable(key)], { confirm: "Done", alone: true });
  reload();
}

async function environments(panel, signal) {
  const all = await api.all("/v1/environments", {}, { signal });
  if (!signal.aborted) put(panel, all.length ? rows([
    { label: "Name", cell: (each) => h("strong", {}, each.name) },
    { label: "Slug", cell: (each) => h("code", {}, each.slug) },
    { label: "Variables", class: "wide", cell: (each) => (each.variable_keys || []).map((key) => h("span", { class: "tag" }, key)) },
    { label: "Made", class: "lo", cell: (each) => since(each.created_at) },
  ], all, "Environments") : empty("No environments.", "They give jobs variables and secrets of their own.", code("client.environments.create(...)")));
}

async function secrets(panel, signal) {
  const all = await api.all("/v1/secrets", {}, { signal });
  if (!signal.aborted) put(panel, all.length ? rows([
    { label: "Name", cell: (each) => h("code", {}, each.secret_key) },
    { label: "Environment", cell: (each) => each.environment || "–" },
    { label: "Version", class: "right", cell: (each) => String(each.key_version) },
    { label: "Changed", cell: (each) => since(each.updated_at) },
  ], all, "Secrets") : empty("No secrets.", "Values never leave the server through this page.", code("strait secrets --help")));
}

function session(panel, who) {
  put(panel, card("This session", facts([
    ["Project", h("code", {}, who.project_id)], ["Environment", who.environment_id && h("code", {}, who.environment_id)],
    ["Key", who.key_name], ["May", who.scopes.map((scope) => h("span", { class: "tag" }, scope))], ["Platform", who.version],
  ])));
}

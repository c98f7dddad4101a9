// What waits for a person: approvals of workflow steps, oldest first.

import * as api from "../lib/api.js";
import { h, put, soon } from "../lib/dom.js";
import { instant, plural } from "../lib/format.js";
import { onActivity } from "../lib/live.js";
import * as names from "../lib/names.js";
import { button, card, code, empty, facts, head, link, since } from "../ui/parts.js";
import { json } from "../ui/json-view.js";
import { approve, reject } from "./approve.js";

const PREFIX = "approval:";

export async function show(outlet, { signal }) {
  const list = h("div");
  put(outlet, head("Approvals", { about: "Steps that wait until somebody says yes or no." }), list);
  const runs = new Map();
  // What was opened and begun stays while others come and go.
  const cards = new Map();
  let shown = null;

  async function load() {
    const waiting = (await api.all("/v1/events", { status: "waiting", source_type: "workflow_step" }, { signal }))
      .filter((each) => each.event_key.startsWith(PREFIX))
      .sort((a, b) => instant(a.requested_at) - instant(b.requested_at));
    await Promise.all([...new Set(waiting.map((each) => each.workflow_run_id))].filter((id) => !runs.has(id))
      .map(async (id) => runs.set(id, await api.get(`/v1/workflow-runs/${id}`, {}, signal))));
    const now = waiting.map((each) => each.id).join();
    if (signal.aborted || now === shown) return;
    shown = now;
    for (const each of waiting) if (!cards.has(each.id)) cards.set(each.id, item(each, runs.get(each.workflow_run_id), load));
    put(list, waiting.length ? [h("p", { class: "quiet", role: "status" }, plural(waiting.length, "approval"), " open"), waiting.map((each) => cards.get(each.id))] : none());
  }
  await names.load("workflows", { signal }).catch(() => null);
  await load();
  const again = soon(() => signal.aborted || load().catch(() => null), 300);
  onActivity(() => again(), signal);
}

function item(each, run, load) {
  const ref = each.event_key.slice(PREFIX.length + each.workflow_run_id.length + 1);
  return card([names.nameOf("workflows", run?.workflow_id), " › ", ref],
    facts([
      ["Asked", since(each.requested_at)], ["Ends", instant(each.expires_at) && since(each.expires_at)],
      ["Run", link(`workflow-runs/${each.workflow_run_id}`, "open")],
    ]),
    h("details", {}, h("summary", {}, "What it is about"), json(run?.payload, { label: "payload", empty: "No payload." })),
    h("div", { class: "actions" },
      button("Approve", () => approve(each.workflow_run_id, ref).then(load), { kind: "primary" }),
      button("Reject", () => reject(each.workflow_run_id, ref).then(load), { kind: "danger" })));
}

function none() {
  return empty("Nothing waits for you.", "A workflow asks here when it has a step like this:",
    code('approval_step("approve", depends_on=["charge"])'));
}

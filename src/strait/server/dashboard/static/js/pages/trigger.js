// Forms that start a job or a workflow, with the payloads that were used lately at hand.

import * as api from "../lib/api.js";
import { h } from "../lib/dom.js";
import { ask, field } from "../ui/dialog.js";
import { schemaForm } from "../ui/form.js";
import { toast } from "../ui/toast.js";

const REMEMBERED = 5;

export async function triggerJob(job, go, payload) {
  const form = await withHistory(`job:${job.id}`, job.payload_schema, payload, () =>
    api.get("/v1/runs", { job_id: job.id, limit: REMEMBERED }).then((page) => page.data.map((run) => run.payload)));
  const key = h("input", { type: "text", autocomplete: "off" });
  const at = h("input", { type: "datetime-local" });
  const made = await ask(`Trigger ${job.slug}`, [form.element,
    h("details", {}, h("summary", {}, "More"), field("Idempotency key", key, "A second trigger with the same key gives the same run."), field("Not before", at, "In the time of this browser"))], {
    confirm: "Trigger",
    read: async () => {
      const body = { payload: form.read() };
      if (at.value) body.scheduled_at = new Date(at.value).toISOString();
      const answer = await api.send(`/v1/jobs/${job.id}/trigger`, { method: "POST", body, headers: key.value ? { "Idempotency-Key": key.value } : {} });
      const told = await answer.json();
      if (!answer.ok) throw Object.assign(new Error(told.error?.message || "it was refused"), { details: told.error?.details });
      return told;
    },
  });
  if (made?.id) go(`runs/${made.id}`);
  else if (made) toast("Gathered with others; it will run later");
}

export async function triggerWorkflow(id, go, payload) {
  const form = await withHistory(`workflow:${id}`, null, payload, () =>
    api.get(`/v1/workflows/${id}/runs`, { limit: REMEMBERED }).then((page) => page.data.map((run) => run.payload)));
  const made = await ask("Run the workflow", form.element, {
    confirm: "Run", read: () => api.post(`/v1/workflows/${id}/trigger`, { payload: form.read() }),
  });
  if (made?.id) go(`workflow-runs/${made.id}`);
}

async function withHistory(name, schema, payload, load) {
  const before = [...new Map((await load().catch(() => [])).filter((each) => each !== undefined && each !== null).map((each) => [JSON.stringify(each), each])).values()];
  let form = schemaForm(schema, payload);
  const place = h("div", {}, form.element);
  const chooser = before.length > 0 && field("Payloads used lately", h("select", {
    onchange: (event) => {
      form = schemaForm(schema, event.target.value === "" ? undefined : before[Number(event.target.value)]);
      place.replaceChildren(form.element);
    },
  }, h("option", { value: "" }, "–"), before.map((each, at) => h("option", { value: String(at) }, JSON.stringify(each).slice(0, 80)))));
  return { element: h("div", {}, chooser, place), read: () => form.read() };
}

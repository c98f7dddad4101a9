// What can be done with a run. Each asks first where something would be lost.

import * as api from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { instant } from "../../lib/format.js";
import * as names from "../../lib/names.js";
import { ask, field, sure } from "../../ui/dialog.js";
import { schemaForm } from "../../ui/form.js";
import { attempt, toast } from "../../ui/toast.js";

const at = (run, rest = "") => `/v1/runs/${encodeURIComponent(run.id)}${rest}`;

export async function replay(run, go) {
  const made = await attempt("", () => api.post(at(run, "/replay")));
  if (!made) return;
  toast("Replayed as a new run");
  go(`runs/${made.id}`);
}

/** Trigger the job again with a payload that may be changed first. */
export async function replayEdited(run, go) {
  const job = names.known("jobs", run.job_id) || (await api.get(`/v1/jobs/${run.job_id}`));
  const form = schemaForm(job.payload_schema, run.payload ?? {});
  const made = await ask(`Replay ${job.slug} with another payload`, form.element, {
    confirm: "Start",
    read: () => api.post(`/v1/jobs/${job.id}/trigger`, { payload: form.read(), tags: run.tags }),
  });
  if (made?.id) go(`runs/${made.id}`);
}

export async function tryAgain(run, refresh) {
  if (await attempt("Queued again", () => api.post(at(run, "/dlq-replay")))) await refresh();
}

export async function restart(run, refresh) {
  if (!(await sure("Restart this run?", "Its handler is called again with the same payload; what an attempt that executes now answers is dropped.", "Restart the run"))) return;
  if (await attempt("Queued again", () => api.post(at(run, "/restart")))) await refresh();
}

export async function reschedule(run, refresh) {
  const when = h("input", { type: "datetime-local", required: true, value: localInput(run.scheduled_at) });
  const made = await ask("Reschedule this run", field("Not before", when, "In the time of this browser"), {
    confirm: "Reschedule",
    read: () => {
      if (!when.value) throw new Error("say when");
      return api.post(at(run, "/reschedule"), { scheduled_at: new Date(when.value).toISOString() });
    },
  });
  if (!made) return;
  toast("Rescheduled");
  await refresh();
}

// What a field for a time shows for an instant, in the zone of the browser.
function localInput(text) {
  const ms = instant(text) ?? Date.now();
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

export async function pause(run, refresh) {
  if (await attempt("Paused", () => api.post(at(run, "/pause")))) await refresh();
}

export async function resume(run, refresh) {
  if (await attempt("Resumed", () => api.post(at(run, "/resume")))) await refresh();
}

export async function cancel(run, refresh) {
  if (!(await sure("Cancel this run?", "Its handler is told to stop; what it has done so far stays done.", "Cancel the run"))) return;
  if (await attempt("Canceled", () => api.remove(at(run)))) await refresh();
}

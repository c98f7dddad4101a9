// What can be done with a run. Each asks first where something would be lost.

import * as api from "../../lib/api.js";
import * as names from "../../lib/names.js";
import { ask, sure } from "../../ui/dialog.js";
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

export async function restart(run, refresh) {
  if (await attempt("Queued again", () => api.post(at(run, "/dlq-replay")))) await refresh();
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

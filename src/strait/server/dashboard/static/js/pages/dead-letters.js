// Runs whose attempts are used up: look, and try again.

import * as api from "../lib/api.js";
import { h, put, soon } from "../lib/dom.js";
import { plural, short } from "../lib/format.js";
import { onActivity } from "../lib/live.js";
import * as names from "../lib/names.js";
import { to } from "../lib/router.js";
import { sure } from "../ui/dialog.js";
import { button, empty, failure, head, since } from "../ui/parts.js";
import { liveTable } from "../ui/table.js";
import { attempt, toast } from "../ui/toast.js";

export async function show(outlet, { signal, who }) {
  const state = { rows: [], cursor: "", isWhole: true, loading: false };
  const bulk = h("div", { class: "bulk", hidden: true });
  const below = h("div", { class: "below" });
  const table = liveTable({
    label: "Dead letters", columns, open: true, more: () => load(false),
    onSelect: (ids) => {
      bulk.hidden = !ids.length;
      put(bulk, h("span", {}, plural(ids.length, "run"), " selected"), button("Try again", () => again(ids), { kind: "small primary" }), button("Clear", () => table.unselect(), { kind: "small quiet-button" }));
    },
  });
  put(outlet, head("Dead letters", {
    about: "Runs that failed for good. “Try again” queues the same run anew.",
    actions: button("Try all again", async () => {
      if (await sure("Try all dead letters again?", "The oldest hundred are queued anew.", "Try again", "primary"))
        await replay([{ project_id: who.project_id, limit: 100 }]);
    }),
  }), h("div", { class: "bar" }, bulk), table.element, below);
  signal.addEventListener("abort", () => table.stop());

  async function load(fresh) {
    if (state.loading || (!fresh && state.isWhole)) return;
    state.loading = true;
    try {
      const page = await api.get("/v1/runs/dlq", { limit: 100, cursor: fresh ? "" : state.cursor }, signal);
      state.rows = fresh ? page.data : [...state.rows, ...page.data];
      Object.assign(state, { cursor: page.next_cursor, isWhole: !page.has_more });
      await names.refreshFor("jobs", page.data.map((row) => row.job_id));
      table.element.hidden = !state.rows.length;
      table.show(state.rows, state.isWhole);
      put(below, state.rows.length ? h("p", { class: "quiet" }, plural(state.rows.length, "run"), state.isWhole ? "" : " loaded, more below") : empty("No dead letters.", "A run comes here when its last attempt has failed."));
    } catch (error) {
      if (error.name !== "AbortError") put(below, failure(error, () => load(true)));
      table.element.hidden = !state.rows.length;
    } finally {
      state.loading = false;
    }
  }

  async function again(ids) {
    const requests = [];
    for (let at = 0; at < ids.length; at += 100) requests.push({ run_ids: ids.slice(at, at + 100) });
    await replay(requests);
    table.unselect();
  }

  async function replay(requests) {
    let count = 0;
    const skipped = [];
    for (const request of requests) {
      const done = await attempt("", () => api.post("/v1/runs/bulk-dlq-replay", request));
      count += done?.count ?? 0;
      skipped.push(...(done?.skipped ?? []));
    }
    if (count) toast(`${plural(count, "run")} queued again`);
    if (skipped.length) toast(`${plural(skipped.length, "run")} left as ${skipped.length === 1 ? "it is" : "they are"}: ${skipped[0].error}`, "bad");
    await load(true);
  }

  await names.load("jobs", { signal }).catch(() => null);
  await load(true);
  const refresh = soon(() => signal.aborted || load(true), 500);
  onActivity((event) => event.type === "run.updated" && (event.to === "dead_letter" || event.from === "dead_letter") && refresh(), signal);
}

const columns = [
  { label: "Job", cell: (row) => h("a", { href: to(`runs/${row.id}`), class: "name cut", title: names.nameOf("jobs", row.job_id) }, names.nameOf("jobs", row.job_id)) },
  { label: "Run", class: "lo", cell: (row) => h("code", { title: row.id }, short(row.id)) },
  { label: "Failed", cell: (row) => since(row.finished_at) },
  { label: "Attempts", class: "right lo", cell: (row) => String(row.attempt) },
  { label: "What went wrong", class: "wide", cell: (row) => h("span", { class: "cut error", title: row.error || "" }, row.error || "") },
];

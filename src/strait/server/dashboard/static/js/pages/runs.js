// Runs of jobs, or of workflows: the newest first, live, filtered by the address.

import * as api from "../lib/api.js";
import { h, put, soon } from "../lib/dom.js";
import { duration, plural, short, took } from "../lib/format.js";
import { onActivity } from "../lib/live.js";
import * as names from "../lib/names.js";
import { query, setQuery, to } from "../lib/router.js";
import { isOver, RUN_STATUSES, WORKFLOW_STATUSES } from "../lib/status.js";
import { sure } from "../ui/dialog.js";
import { button, chip, code, empty, failure, head, link, since } from "../ui/parts.js";
import { liveTable } from "../ui/table.js";
import { attempt } from "../ui/toast.js";

const PAGE = 100;

const KINDS = {
  runs: {
    title: "Runs", names: "jobs", list: "/v1/runs", statuses: RUN_STATUSES, of: "job_id", event: "run.updated", id: "run_id",
    cancel: ["/v1/runs/bulk-cancel", "run_ids"], replay: ["/v1/runs/bulk-replay", "run_ids"],
  },
  "workflow-runs": {
    title: "Workflow runs", names: "workflows", list: "/v1/workflow-runs", statuses: WORKFLOW_STATUSES, of: "workflow_id",
    event: "workflow_run.updated", id: "workflow_run_id",
    cancel: ["/v1/workflow-runs/bulk-cancel", "workflow_run_ids"], replay: ["/v1/workflow-runs/bulk-replay", "workflow_run_ids"],
  },
};

export async function show(outlet, { first, signal }) {
  const kind = KINDS[first];
  const state = { rows: [], cursor: "", isWhole: true, loading: false, generation: 0, fresh: 0 };
  const bulk = h("div", { class: "bulk", hidden: true });
  const note = h("button", { type: "button", class: "button small news", hidden: true, onclick: () => (table.toTop(), load()) });
  const below = h("div", { class: "below" });
  const table = liveTable({
    label: kind.title, columns: columns(kind, first), open: true, more, onSelect: (ids) => selection(ids),
  });
  // What was selected may not be in sight any more, and nobody cancels what is not seen.
  const filters = filterBar(kind, first, () => (table.unselect(), load()));
  put(outlet, head(kind.title, { actions: switcher(first) }), filters, h("div", { class: "bar" }, bulk, note), table.element, below);
  signal.addEventListener("abort", () => table.stop());

  async function load() {
    const generation = ++state.generation;
    state.loading = true;
    try {
      const page = await api.get(kind.list, { ...wanted(kind), limit: PAGE }, signal);
      if (generation !== state.generation) return;
      Object.assign(state, { rows: page.data, cursor: page.next_cursor, isWhole: !page.has_more, fresh: 0 });
      note.hidden = true;
      table.toTop();
      await names.refreshFor(kind.names, page.data.map((row) => row[kind.of]));
      shown();
    } catch (error) {
      if (error.name !== "AbortError") put(below, failure(error, load));
      table.element.hidden = !state.rows.length;
    } finally {
      if (generation === state.generation) state.loading = false;
    }
  }

  async function more() {
    if (state.loading || state.isWhole) return;
    const generation = state.generation;
    state.loading = true;
    try {
      const page = await api.get(kind.list, { ...wanted(kind), limit: PAGE, cursor: state.cursor }, signal);
      if (generation !== state.generation) return;
      const known = new Set(state.rows.map((row) => row.id));
      state.rows = [...state.rows, ...page.data.filter((row) => !known.has(row.id))];
      Object.assign(state, { cursor: page.next_cursor, isWhole: !page.has_more });
    } catch (error) {
      if (error.name !== "AbortError") put(below, failure(error, more));
      return;
    } finally {
      state.loading = false;
    }
    shown();
  }

  function shown() {
    table.show(state.rows, state.isWhole);
    table.element.hidden = !state.rows.length;
    if (!state.rows.length && !state.isWhole) return put(below, h("p", { class: "quiet" }, "Looking…"));
    return put(below, state.rows.length ? h("p", { class: "quiet" }, state.isWhole
      ? plural(state.rows.length, "run") : `${plural(state.rows.length, "run")} loaded, more below`) : nothing(first));
  }

  // New runs are asked for together, a few times a second at most, whatever goes on.
  const newest = soon(async () => {
    if (signal.aborted || state.loading) return;
    if (!table.isAtTop()) {
      note.hidden = false;
      note.textContent = `${plural(state.fresh, "new run")}, show`;
      return;
    }
    const page = await api.get(kind.list, { ...wanted(kind), limit: 50 }, signal).catch(() => null);
    if (!page || signal.aborted) return;
    state.fresh = 0;
    const known = new Set(page.data.map((row) => row.id));
    const flashing = page.data.map((row) => (state.rows.some((each) => each.id === row.id) ? row : { ...row, flash: true }));
    state.rows = [...flashing, ...state.rows.filter((row) => !known.has(row.id))];
    if (await names.refreshFor(kind.names, page.data.map((row) => row[kind.of])).catch(() => false)) state.rows = [...state.rows];
    shown();
  }, 250);
  const redraw = soon(() => !signal.aborted && shown(), 100);

  onActivity((event) => {
    if (event.type !== kind.event) return;
    const at = state.rows.findIndex((row) => row.id === event[kind.id]);
    if (at < 0) {
      if (event.from === "" || !state.rows.length) state.fresh += 1;
      return newest();
    }
    state.rows[at] = moved(state.rows[at], event);
    redraw();
  }, signal);

  function selection(ids) {
    bulk.hidden = !ids.length;
    put(bulk, h("span", {}, plural(ids.length, "run"), " selected"),
      button("Cancel", () => act("Cancel", kind.cancel, ids), { kind: "small danger" }),
      button("Replay", () => act("Replay", kind.replay, ids), { kind: "small" }),
      button("Clear", () => table.unselect(), { kind: "small quiet-button" }));
  }

  async function act(verb, [path, field], ids) {
    const chosen = verb === "Cancel" ? ids.filter((id) => !isOver(state.rows.find((row) => row.id === id)?.status)) : ids;
    if (!chosen.length) return attempt("", () => Promise.reject(new Error("all of them are over already")));
    if (!(await sure(`${verb} ${plural(chosen.length, "run")}?`, verb === "Cancel" ? "What is executing is told to stop." : "Each becomes a new run with the same payload.", verb, verb === "Cancel" ? "danger" : "primary"))) return;
    // The API takes a hundred at a time.
    for (let at = 0; at < chosen.length; at += 100) await attempt("", () => api.post(path, { [field]: chosen.slice(at, at + 100) }));
    await attempt(`${verb}: ${plural(chosen.length, "run")} asked for`, () => load());
    table.unselect();
  }

  await names.load(kind.names, { signal }).catch(() => null);
  filters.named();
  await load();
}

function moved(row, event) {
  const next = { ...row, status: event.to };
  if (["executing", "running"].includes(event.to)) Object.assign(next, { started_at: event.timestamp, finished_at: undefined });
  if (isOver(event.to)) next.finished_at = event.timestamp;
  if (event.error) next.error = event.error;
  return next;
}

function columns(kind, first) {
  const columnsOf = [
    { label: "Status", class: "narrow", cell: (row) => chip(row.status) },
    { label: first === "runs" ? "Job" : "Workflow", cell: (row) => h("a", { href: to(`${first}/${row.id}`), class: "name cut", title: names.nameOf(kind.names, row[kind.of]) }, names.nameOf(kind.names, row[kind.of])) },
    { label: "Run", class: "lo", cell: (row) => h("code", { title: row.id }, short(row.id)) },
    { label: "Created", cell: (row) => since(row.created_at) },
    { label: "Duration", class: "right", cell: (row) => h("span", {}, row.started_at ? duration(took(row.started_at, row.finished_at)) : "–") },
  ];
  if (first === "runs") columnsOf.push({ label: "Attempt", class: "right lo", cell: (row) => String(row.attempt) });
  columnsOf.push({ label: "Started by", class: "lo", cell: (row) => row.triggered_by.replaceAll("_", " ") });
  columnsOf.push({ label: "What went wrong", class: "wide lo", cell: (row) => h("span", { class: "cut error", title: row.error || "" }, isOver(row.status) && row.status !== "completed" ? row.error || "" : "") });
  return columnsOf;
}

function switcher(first) {
  return h("div", { class: "switch", role: "group", "aria-label": "Kind of runs" }, Object.keys(KINDS).map((each) =>
    h("a", { href: to(each), "aria-current": each === first ? "true" : null }, each === "runs" ? "Jobs" : "Workflows")));
}

// What the address says, as the API takes it.
function wanted(kind) {
  const given = query();
  const asked = { triggered_by: given.triggered_by };
  if (kind.list === "/v1/runs") {
    Object.assign(asked, { statuses: (given.status || "").split(","), payload_contains: given.payload, error_class: given.error_class, batch_id: given.batch, job_id: given.job });
  } else {
    Object.assign(asked, { status: given.status });
  }
  // The first colon ends the key; a value, such as an address, may have more.
  const [, tag, value] = /^([^:]*):?(.*)$/s.exec(given.tag || "");
  if (tag) Object.assign(asked, { tag_key: tag, tag_value: value || undefined });
  return asked;
}

function filterBar(kind, first, changed) {
  const given = query();
  const later = soon(changed, 250);
  const set = (name) => (event) => {
    setQuery({ [name]: event.target.value.trim() });
    later();
  };
  const select = (name, label, options) => {
    const element = h("select", { "aria-label": label, onchange: set(name) }, h("option", { value: "" }, label), options.map(([value, text]) => h("option", { value }, text)));
    element.value = given[name] || "";
    return element;
  };
  const text = (name, label, more = {}) => h("input", { type: "search", placeholder: label, "aria-label": label, value: given[name] || "", oninput: set(name), ...more });
  const job = first === "runs" && select("job", "Any job", []);
  const element = h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    select("status", "Any status", [
      ...(first === "runs" ? [["failed,timed_out,crashed,system_failed,dead_letter", "went wrong"], ["queued,delayed,executing,waiting,paused", "not over"]] : []),
      ...kind.statuses.map((status) => [status, status.replaceAll("_", " ")])]),
    job, text("tag", "Tag, as key:value", { "data-filter": "" }),
    first === "runs" && text("payload", "Payload has this JSON", { class: "lo" }),
    first === "runs" && select("triggered_by", "Started by anything", [["manual", "by hand"], ["cron", "schedule"], ["workflow", "workflow"], ["event", "event"], ["spawn", "parent run"]]),
    button("Clear", () => {
      element.reset();
      element.querySelectorAll("input, select").forEach((each) => (each.value = ""));
      setQuery({ status: "", job: "", tag: "", payload: "", triggered_by: "", error_class: "", batch: "" });
      changed();
    }, { kind: "quiet-button" }));
  element.named = () => {
    if (!job) return;
    job.append(...names.list("jobs").sort((a, b) => a.slug.localeCompare(b.slug)).map((each) => h("option", { value: each.id }, each.slug)));
    job.value = query().job || "";
  };
  return element;
}

function nothing(first) {
  if (location.search) return empty("No run matches these filters.", "Clear them to see all runs.");
  if (first === "runs" && !names.list("jobs").length)
    return empty("No jobs yet.", "Write one, and host it:", code("strait dev app.py"), "Its jobs appear here by themselves.");
  return empty("No runs yet.", h("p", {}, "Start one: open a job under ", link(first === "runs" ? "jobs" : "workflows", first === "runs" ? "Jobs" : "Workflows"), " and choose “Trigger”."));
}


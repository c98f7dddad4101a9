// What a run has been through, from the lines of its ledger: when it waited, which attempts it made,
// what happened in them.

import { instant } from "./format.js";
import { isOver } from "./status.js";

/** A frame of the stream of a run as a line of its ledger. */
export function lineOf(frame) {
  if (frame.type !== "status_change")
    return { type: frame.event_type, level: frame.level, message: frame.message, data: frame.data, created_at: frame.timestamp };
  return {
    type: "state_change", level: frame.error ? "warn" : "info", created_at: frame.timestamp,
    message: `${frame.from || "created"} -> ${frame.to}${frame.error ? `: ${frame.error}` : ""}`,
    data: { from: frame.from, to: frame.to, error: frame.error },
  };
}

/**
 * The stretches of a run: `[{from, to, status, attempt, outcome, error}]`; `to: null` goes on.
 * An attempt that ended has its `outcome`: `completed`, `failed`, …
 */
export function stretches(lines) {
  const found = [];
  let attempt = 1;
  for (const line of lines) {
    if (line.type !== "state_change") continue;
    const { to, error, attempt: told } = line.data || {};
    if (!to) continue;
    const at = instant(line.created_at);
    const last = found.at(-1);
    if (last && last.to === null) {
      last.to = at;
      if (last.status === "executing") {
        last.error = error;
        last.outcome = isOver(to) ? to : error ? "failed" : to === "queued" ? "failed" : "waiting";
        if (to === "waiting" || to === "paused") last.outcome = "completed";
      }
    }
    if (last && last.status === "executing" && to === "queued") attempt = told || attempt + 1;
    if (told) attempt = told;
    if (!isOver(to)) found.push({ from: at, to: null, status: to, attempt });
  }
  return found;
}

/** Which attempt was under way at an instant. */
export function attemptAt(all, at) {
  let attempt = 1;
  for (const each of all) if (each.from <= at) attempt = each.attempt;
  return attempt;
}

/** The rows of the picture: the run's waits, its attempts, its steps, its children. */
export function ganttRows(run, lines, { steps = [], children = [], nameOf, linkTo }) {
  const all = stretches(lines);
  const rows = [];
  const waits = all.filter((each) => each.status !== "executing");
  if (waits.length)
    rows.push({ id: "waits", label: "Waiting", bars: waits.map((each) => ({ ...each, kind: "wait", label: each.status })), marks: [] });
  const told = lines.filter((line) => ["checkpoint", "progress"].includes(line.type) || (line.type === "log" && line.level === "error"))
    .map((line) => ({ at: instant(line.created_at), label: line.message, kind: line.type === "log" ? "bad" : "plain" }));
  const byAttempt = new Map();
  for (const each of all) if (each.status === "executing") byAttempt.set(each.attempt, [...(byAttempt.get(each.attempt) || []), each]);
  for (const [attempt, own] of byAttempt) {
    const marks = inside(told, own);
    rows.push({ id: `attempt-${attempt}`, label: `Attempt ${attempt}`, marks, bars: own.map((each) => ({
      ...each, status: each.to === null ? "executing" : each.outcome || run.status, label: each.to === null ? "executing" : each.outcome || run.status })) });
  }
  for (const step of steps) {
    const from = instant(step.started_at);
    if (from !== null) rows.push({ id: `step-${step.name}-${step.occurrence}`, label: step.name, depth: 1, bars: [{ from, to: instant(step.finished_at), status: step.status }] });
  }
  for (const child of children) rows.push(childRow(child, nameOf, linkTo));
  return rows;
}

// Marks that lie in one of several stretches; both are in the order of time.
function inside(marks, stretches) {
  let at = 0;
  return marks.filter((mark) => {
    while (at < stretches.length && (stretches[at].to ?? Infinity) < mark.at) at++;
    return at < stretches.length && mark.at >= stretches[at].from;
  });
}

function childRow(child, nameOf, linkTo) {
  const created = instant(child.created_at), started = instant(child.started_at), finished = instant(child.finished_at);
  const bars = [{ from: created, to: started ?? finished, status: "queued", kind: "wait", label: "queued" }];
  if (started !== null) bars.push({ from: started, to: finished, status: child.status });
  return { id: child.id, label: `↳ ${nameOf(child.job_id)}`, href: linkTo(child.id), depth: 1, bars };
}

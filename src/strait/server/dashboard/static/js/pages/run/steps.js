// Steps with what they gave, and checkpoints with what the last attempt had at the same place.

import * as api from "../../lib/api.js";
import { h, put, soon } from "../../lib/dom.js";
import { duration, instant, plural, time } from "../../lib/format.js";
import { attemptAt, stretches } from "../../lib/history.js";
import { difference } from "../../ui/diff.js";
import { json } from "../../ui/json-view.js";
import { paged } from "../../ui/paged.js";
import { card, chip, details, empty } from "../../ui/parts.js";

export function steps(panel, model, signal) {
  const place = h("div"), points = h("div"), title = h("h2"), by = h("p", { class: "quiet" });
  const wanted = h("input", { type: "search", placeholder: "Name of a step…", "aria-label": "Name of a step", oninput: () => draw(), "data-filter": "" });
  const list = paged({ label: "steps", className: "steps", key: (each) => `${each.occurrence}:${each.name}`, row: (each) => step(each, attemptOf(each)) });
  const whole = h("section", { class: "card", "aria-label": "Steps" }, title, by, wanted, list.element);
  put(panel, place, points);
  let seen = -1;
  let history = [];
  const attemptOf = (each) => attemptAt(history, instant(each.finished_at) ?? 0);
  function draw() {
    const needle = wanted.value.toLowerCase();
    history = stretches(model.lines);
    title.textContent = plural(model.steps.length, "step");
    put(by, perAttempt(model.steps, attemptOf));
    wanted.hidden = model.steps.length < 10;
    list.show(model.steps.filter((each) => each.name.toLowerCase().includes(needle)));
  }
  const load = soon(async () => {
    const all = (await api.all(`/v1/runs/${model.id}/checkpoints`, {}, { signal })).sort((a, b) => a.sequence - b.sequence);
    if (signal.aborted) return;
    put(points, all.length ? checkpoints(all, stretches(model.lines)) : null);
    if (!all.length && !model.steps.length)
      put(place, empty("No steps and no checkpoints.", "A handler that keeps what it has done goes on from there after a failure:",
        h("pre", { class: "code" }, 'charge = await ctx.step("charge", charge_card, order)\nawait ctx.checkpoint({"page": 2})')));
  }, 150);
  model.watch(() => {
    if (model.steps.length) {
      draw();
      if (!whole.isConnected) put(place, whole);
    }
    if (seen !== model.lines.length) load();
    seen = model.lines.length;
  }, signal);
}

// What each attempt did that the one before had not: the rest it found on record.
function perAttempt(all, attemptOf) {
  const counts = new Map();
  for (const each of all) counts.set(attemptOf(each), (counts.get(attemptOf(each)) || 0) + 1);
  if (counts.size < 2) return null;
  let found = 0;
  return [...counts].sort(([a], [b]) => a - b).map(([attempt, done]) => {
    const text = `Attempt ${attempt} carried out ${done}${found ? ` and found ${found} on record` : ""}. `;
    found += done;
    return text;
  });
}

function step(each, attempt) {
  const ms = each.duration_ms ?? (instant(each.finished_at) ?? 0) - (instant(each.started_at) ?? 0);
  return h("li", {}, details(
    [chip(each.status), h("strong", {}, each.name), each.occurrence > 0 && h("span", { class: "quiet" }, `#${each.occurrence + 1}`),
      h("span", { class: "quiet" }, duration(ms)), attempt > 1 && h("span", { class: "tag" }, `in attempt ${attempt}`), each.attempts > 1 && h("span", { class: "tag" }, plural(each.attempts, "try", "tries")),
      each.undone ? h("span", { class: "tag" }, "undone") : each.undo && h("span", { class: "tag" }, "can be undone"),
      each.at && h("code", { class: "lo" }, each.at)],
    () => [each.input && h("div", {}, h("h3", {}, "Input"), json(each.input, { label: "input" })),
    each.error ? h("div", {}, h("h3", {}, "Error"), json(each.error, { label: "error" })) : h("div", {}, h("h3", {}, "Output"), json(each.output, { label: "output", empty: "It gave nothing." })),
    each.idempotency_key && h("p", { class: "quiet" }, "idempotency key ", h("code", {}, each.idempotency_key))]));
}

function checkpoints(all, history) {
  const byAttempt = new Map();
  for (const point of all) {
    const attempt = attemptAt(history, instant(point.created_at));
    byAttempt.set(attempt, [...(byAttempt.get(attempt) || []), point]);
  }
  return [...byAttempt].reverse().map(([attempt, points]) => {
    const before = byAttempt.get(attempt - 1);
    return card(`Checkpoints of attempt ${attempt}`, h("ol", { class: "steps" }, points.map((point, at) =>
      h("li", {}, h("details", { open: at === points.length - 1 },
        h("summary", {}, h("strong", {}, `Checkpoint ${at + 1}`), h("span", { class: "quiet" }, time(point.created_at)), h("span", { class: "quiet" }, point.source)),
        h("div", { class: before ? "columns" : "" }, json(point.state, { label: "checkpoint" }),
          before && h("div", {}, h("h3", {}, `Difference to attempt ${attempt - 1}`),
            before[at] ? difference(before[at].state, point.state, { same: "the same as then" }) : h("p", { class: "quiet" }, "The last attempt did not come this far."))))))));
  });
}

// When what happened: a row for each thing, bars in time, waits hatched, moments as marks.

import { h, put } from "../lib/dom.js";
import { duration, time } from "../lib/format.js";
import { tone } from "../lib/status.js";
import { paged } from "./paged.js";

const ROW = 30;
const TICKS = 6;
const ROWS_A_PAGE = 150;
// More would lie on one another: of those that begin in one of so many parts of the width, one is drawn.
const MOST_IN_A_ROW = 300;

/**
 * Draw rows `[{id, label, depth, href, bars: [{from, to, status, kind, label}], marks: [{at, label, kind}]}]`;
 * times in ms, `to: null` is still going on. `kind: "wait"` is hatched.
 */
export function gantt({ label = "Timeline" } = {}) {
  const element = h("div", { class: "gantt", role: "region", "aria-label": label });
  let data = [];
  let frame = 0;
  let drawRow = () => h("li");
  const axis = h("div", { class: "gantt-axis", "aria-hidden": "true" });
  const rows = paged({ label: "rows of the timeline", size: ROWS_A_PAGE, row: (each) => drawRow(each) });

  function draw() {
    const bars = data.flatMap((row) => [...row.bars, ...(row.marks || []).map((mark) => ({ from: mark.at, to: mark.at }))]);
    if (!bars.length) return put(element, h("p", { class: "quiet" }, "Nothing has happened yet."));
    const now = Date.now();
    const from = bars.reduce((least, bar) => Math.min(least, bar.from), Infinity);
    const isOpen = bars.some((bar) => bar.to === null);
    const until = bars.reduce((most, bar) => Math.max(most, bar.to ?? now), from + 1);
    const share = (at) => ((at - from) / (until - from)) * 100;
    put(axis, h("span"), h("div", {},
      Array.from({ length: TICKS }, (_, n) => h("span", { style: { left: `${(n / TICKS) * 100}%` } },
        n ? `+${duration(((until - from) * n) / TICKS)}` : time(new Date(from).toISOString())))));
    drawRow = (row) => line(row, share, now);
    rows.show(data);
    if (axis.parentNode !== element) put(element, axis, rows.element);
    clearTimeout(frame);
    // What is going on grows while somebody looks.
    if (isOpen) frame = setTimeout(() => element.isConnected && draw(), 1000);
    return element;
  }

  return {
    element,
    show(rows) {
      data = rows;
      draw();
    },
  };
}

function line(row, share, now) {
  const bars = thinned(row.bars, (bar) => share(bar.from)), marks = thinned(row.marks || [], (mark) => share(mark.at));
  const told = bars.length < row.bars.length ? `${row.bars.length} times` : row.bars.map((bar) => `${bar.label || bar.status} ${duration((bar.to ?? now) - bar.from)}`).join(", ");
  return h("li", { class: `gantt-row depth-${Math.min(row.depth || 0, 3)}`, style: { minHeight: `${ROW}px` } },
    h("span", { class: "gantt-name" }, row.href ? h("a", { href: row.href }, row.label) : row.label,
      h("span", { class: "hidden" }, `: ${told}`)),
    h("div", { class: "gantt-lane" }, bars.map((bar) => piece(bar, share, now)),
      marks.map((mark) => h("span", {
        class: `gantt-mark ${mark.kind || ""}`, title: `${mark.label} · ${time(new Date(mark.at).toISOString())}`,
        style: { left: `${share(mark.at)}%` },
      }))));
}

function thinned(all, placeOf) {
  if (all.length <= MOST_IN_A_ROW) return all;
  const first = new Map();
  for (const each of all) {
    const part = Math.floor((placeOf(each) / 100) * (MOST_IN_A_ROW - 1));
    // What went wrong, and what still goes on, is not to be missed.
    if (!first.has(part) || each.kind === "bad" || each.to === null) first.set(part, each);
  }
  return [...first.values()];
}

function piece(bar, share, now) {
  const to = bar.to ?? now;
  const text = `${bar.label || bar.status} · ${duration(to - bar.from)}`;
  return h("span", {
    class: `gantt-bar ${tone(bar.status)} ${bar.kind || ""} ${bar.to === null ? "open" : ""}`,
    title: `${text} · ${time(new Date(bar.from).toISOString())} – ${bar.to === null ? "now" : time(new Date(to).toISOString())}`,
    style: { left: `${share(bar.from)}%`, width: `${Math.max(0, share(to) - share(bar.from))}%` },
  }, h("span", { class: "gantt-text", "aria-hidden": "true" }, share(to) - share(bar.from) > 12 ? text : ""));
}

// When what happened: a row for each thing, bars in time, waits hatched, moments as marks.

import { h, put } from "../lib/dom.js";
import { duration, time } from "../lib/format.js";
import { tone } from "../lib/status.js";

const ROW = 30;
const TICKS = 6;

/**
 * Draw rows `[{id, label, depth, href, bars: [{from, to, status, kind, label}], marks: [{at, label, kind}]}]`;
 * times in ms, `to: null` is still going on. `kind: "wait"` is hatched.
 */
export function gantt({ label = "Timeline" } = {}) {
  const element = h("div", { class: "gantt", role: "region", "aria-label": label });
  let data = [];
  let frame = 0;

  function draw() {
    const bars = data.flatMap((row) => [...row.bars, ...(row.marks || []).map((mark) => ({ from: mark.at, to: mark.at }))]);
    if (!bars.length) return put(element, h("p", { class: "quiet" }, "Nothing has happened yet."));
    const now = Date.now();
    const from = Math.min(...bars.map((bar) => bar.from));
    const isOpen = bars.some((bar) => bar.to === null);
    const until = Math.max(from + 1, ...bars.map((bar) => bar.to ?? now));
    const share = (at) => ((at - from) / (until - from)) * 100;
    put(element,
      h("div", { class: "gantt-axis", "aria-hidden": "true" }, h("span"), h("div", {},
        Array.from({ length: TICKS }, (_, n) => h("span", { style: { left: `${(n / TICKS) * 100}%` } },
          n ? `+${duration(((until - from) * n) / TICKS)}` : time(new Date(from).toISOString()))))),
      h("ol", {}, data.map((row) => line(row, share, now))));
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
  const told = row.bars.map((bar) => `${bar.label || bar.status} ${duration((bar.to ?? now) - bar.from)}`).join(", ");
  return h("li", { class: `gantt-row depth-${Math.min(row.depth || 0, 3)}`, style: { minHeight: `${ROW}px` } },
    h("span", { class: "gantt-name" }, row.href ? h("a", { href: row.href }, row.label) : row.label,
      h("span", { class: "hidden" }, `: ${told}`)),
    h("div", { class: "gantt-lane" }, row.bars.map((bar) => piece(bar, share, now)),
      (row.marks || []).map((mark) => h("span", {
        class: `gantt-mark ${mark.kind || ""}`, title: `${mark.label} · ${time(new Date(mark.at).toISOString())}`,
        style: { left: `${share(mark.at)}%` },
      }))));
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

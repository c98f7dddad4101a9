// Small plots: bars over time, stacked by outcome, and lines.

import { h, s } from "../lib/dom.js";

const WIDTH = 560;
const HEIGHT = 120;

export const HOUR_MS = 36e5;
export const DAY_MS = 864e5;

/**
 * What was found, with `none` for each hour or day (`size`, in ms) of a span until now in which
 * nothing was: the platform tells of no such ones, and time would not go on evenly.
 */
export function evenly(found, span, size, none) {
  const place = (text) => Math.floor(Date.parse(text) / size);
  const known = new Map(found.map((each) => [place(each.period), each]));
  const first = place(span.from);
  const last = Math.floor(Math.min(Date.parse(span.to), Date.now()) / size);
  return Array.from({ length: last - first + 1 }, (_, at) =>
    known.get(first + at) ?? { ...none, period: new Date((first + at) * size).toISOString() });
}

/** Stacked bars: `points` is `[{label, values: {good: 3, bad: 1}}]`. */
export function bars(points, { label, format = String }) {
  const totals = points.map((point) => Object.values(point.values).reduce((a, b) => a + b, 0));
  const most = Math.max(1, ...totals);
  const step = WIDTH / Math.max(1, points.length);
  const shapes = points.flatMap((point, at) => {
    let y = HEIGHT;
    return Object.entries(point.values).filter(([, value]) => value > 0).map(([kind, value]) => {
      const tall = Math.max(1, (value / most) * HEIGHT);
      y -= tall;
      return s("rect", { x: at * step + 1, y, width: Math.max(1, Math.min(28, step - 2)), height: tall, class: `plot-${kind}`, rx: 1.5 },
        s("title", {}, `${point.label}: ${format(value)}${kind === "plain" ? "" : ` ${kind}`}`));
    });
  });
  return frame(shapes, points, format(most), label);
}

/** Lines: `lines` is `[{name, kind, values: [number]}]`, one value, or null, for each of `points`. */
export function lines(points, all, { label, format = String }) {
  const most = Math.max(1, ...all.flatMap((line) => line.values));
  const x = (at) => (points.length < 2 ? WIDTH / 2 : (at / (points.length - 1)) * WIDTH);
  const y = (value) => HEIGHT - (value / most) * (HEIGHT - 6);
  const shapes = all.flatMap(({ name, kind, values }) => {
    const there = values.map((value, at) => ({ value, at })).filter(({ value }) => value !== null);
    return [
      s("polyline", { points: there.map(({ value, at }) => `${x(at)},${y(value)}`).join(" "), class: `plot-line ${kind}` }),
      ...there.map(({ value, at }) => s("circle", { cx: x(at), cy: y(value), r: 2.5, class: `plot-dot ${kind}` },
        s("title", {}, `${points[at].label}: ${name} ${format(value)}`))),
    ];
  });
  return h("div", {}, frame(shapes, points, format(most), label),
    h("p", { class: "legend" }, all.map((line) => h("span", { class: `key ${line.kind}` }, line.name))));
}

function frame(shapes, points, most, label) {
  return h("figure", { class: "plot" },
    h("figcaption", {}, h("span", {}, label), h("span", { class: "quiet" }, `most ${most}`)),
    s("svg", { viewBox: `-2 -4 ${WIDTH + 4} ${HEIGHT + 8}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      s("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "plot-base" }), shapes),
    h("div", { class: "plot-axis quiet", "aria-hidden": "true" }, h("span", {}, points[0]?.label || ""), h("span", {}, points.at(-1)?.label || "")));
}

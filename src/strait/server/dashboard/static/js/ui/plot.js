// Small plots: bars over time, stacked by outcome, and lines.

import { h, s } from "../lib/dom.js";

const WIDTH = 560;
const HEIGHT = 120;

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

/** Lines: `lines` is `[{name, kind, values: [number]}]`, one value for each of `points`. */
export function lines(points, all, { label, format = String }) {
  const most = Math.max(1, ...all.flatMap((line) => line.values));
  const x = (at) => (points.length < 2 ? WIDTH / 2 : (at / (points.length - 1)) * WIDTH);
  const shapes = all.flatMap((line) => [
    s("polyline", {
      points: line.values.map((value, at) => `${x(at)},${HEIGHT - (value / most) * (HEIGHT - 6)}`).join(" "),
      class: `plot-line ${line.kind}`,
    }),
    ...line.values.map((value, at) => s("circle", { cx: x(at), cy: HEIGHT - (value / most) * (HEIGHT - 6), r: 2.5, class: `plot-dot ${line.kind}` },
      s("title", {}, `${points[at].label}: ${line.name} ${format(value)}`))),
  ]);
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

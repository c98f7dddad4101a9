// The difference of two JSON values, line by line.

import { h } from "../lib/dom.js";
import { isKept } from "../lib/json.js";

const MOST_LINES = 1500;
const CONTEXT = 3;

/** The element that shows what has changed from one value to the next. */
export function difference(before, after, { same = "no difference" } = {}) {
  const lines = compare(lines_of(before), lines_of(after));
  if (!lines) return h("p", { class: "quiet" }, "too long to compare here");
  if (lines.every(([mark]) => mark === " ")) return h("p", { class: "quiet" }, same);
  return h("pre", { class: "diff", tabindex: "0", role: "group", "aria-label": "Difference" },
    folded(lines).map(([mark, text]) => h("span", { class: { "+": "added", "-": "removed", "…": "fold" }[mark] || "" },
      `${mark} ${text}\n`)));
}

function lines_of(value) {
  return value === undefined ? [] : JSON.stringify(sorted(value), null, 2).split("\n");
}

// Keys in one order, so that only what differs differs.
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object" || isKept(value)) return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

/** The longest common subsequence of lines, as `[mark, line]`. */
export function compare(a, b) {
  if (a.length > MOST_LINES || b.length > MOST_LINES) return null;
  const width = b.length + 1;
  const length = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      length[i * width + j] = a[i] === b[j]
        ? length[(i + 1) * width + j + 1] + 1
        : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
  const lines = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) lines.push([" ", a[i++]], ), j++;
    else if (j >= b.length || (i < a.length && length[(i + 1) * width + j] >= length[i * width + j + 1]))
      lines.push(["-", a[i++]]);
    else lines.push(["+", b[j++]]);
  }
  return lines;
}

function folded(lines) {
  const near = lines.map((_, at) =>
    lines.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some(([mark]) => mark !== " "));
  const shown = [];
  lines.forEach((line, at) => {
    if (near[at]) shown.push(line);
    else if (shown.at(-1)?.[0] !== "…") shown.push(["…", ""]);
  });
  return shown;
}

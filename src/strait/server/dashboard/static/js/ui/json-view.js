// JSON to look at: coloured, folded where it is long, never more of it than a page can hold.

import { h } from "../lib/dom.js";
import { button } from "./parts.js";
import { copy } from "./copy.js";

const MOST_CHARACTERS = 200000;
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** The element that shows a value. */
export function json(value, { label = "JSON", empty = "nothing" } = {}) {
  if (value === undefined || value === null) return h("p", { class: "quiet" }, empty);
  const text = JSON.stringify(value, null, 2);
  const shown = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}\n… cut here` : text;
  const view = h("pre", { class: "json", tabindex: "0", role: "group", "aria-label": label }, paint(shown));
  const whole = button("Copy", () => copy(text), { kind: "small quiet-button", "aria-label": `Copy ${label}` });
  return h("div", { class: "json-box" }, whole, view);
}

/** JSON text as spans of its kinds. */
export function paint(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(TOKEN)) {
    if (found.index > at) parts.push(text.slice(at, found.index));
    const [whole, string, colon, word] = found;
    if (string && colon) parts.push(h("span", { class: "j-key" }, string), colon);
    else parts.push(h("span", { class: string ? "j-text" : word ? "j-word" : "j-number" }, whole));
    at = found.index + whole.length;
  }
  parts.push(text.slice(at));
  return parts;
}

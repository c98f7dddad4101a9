// A long list a page at a time: only the rows of one page are in the document.

import { h, put } from "../lib/dom.js";
import { count } from "../lib/format.js";

/**
 * Make a list. `row(each, at)` gives the element of a row, `key(each)` its name: details that were
 * opened stay open when the rows come again. `size` rows make a page; `atEnd` begins with the last
 * one, and stays there while rows are added.
 */
export function paged({ label, row, key = (each) => each.id, size = 100, atEnd = false, className = "" }) {
  let data = [];
  let from = 0;
  let follows = atEnd;
  const opened = new Set();
  const list = h("ol", { class: className, "aria-label": label });
  const where = h("span", { class: "quiet", role: "status" });
  const earlier = h("button", { type: "button", class: "button small", onclick: () => turn(from - size) }, "Earlier");
  const later = h("button", { type: "button", class: "button small", onclick: () => turn(from + size) }, "Later");
  const ends = h("nav", { class: "pager", "aria-label": `Pages of ${label}` }, earlier, where, later);
  const element = h("div", { class: "paged" }, ends, list);

  // The `toggle` of a details element does not bubble, but it can be captured.
  list.addEventListener("toggle", (event) => {
    const name = event.target.closest("[data-row]")?.dataset.row;
    if (name === undefined) return;
    if (event.target.open) opened.add(name);
    else opened.delete(name);
  }, true);

  function turn(to) {
    from = Math.max(0, Math.min(to, Math.floor(Math.max(0, data.length - 1) / size) * size));
    follows = atEnd && from + size >= data.length;
    draw();
    list.scrollIntoView({ block: "nearest" });
  }

  function draw() {
    const shown = data.slice(from, from + size);
    put(list, shown.map((each, at) => {
      const element = row(each, from + at);
      element.dataset.row = key(each);
      if (opened.has(key(each))) element.querySelector("details")?.setAttribute("open", "");
      return element;
    }));
    ends.hidden = data.length <= size;
    where.textContent = `${count(from + 1)}–${count(from + shown.length)} of ${count(data.length)}`;
    earlier.disabled = from === 0;
    later.disabled = from + size >= data.length;
  }

  return {
    element,
    // For a page that puts the two somewhere else.
    list,
    ends,
    show(rows) {
      data = rows;
      const last = Math.floor(Math.max(0, data.length - 1) / size) * size;
      from = follows ? last : Math.min(from, last);
      draw();
    },
  };
}

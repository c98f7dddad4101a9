// Small parts that all pages are made of.

import { address } from "../lib/api.js";
import { h, put } from "../lib/dom.js";
import { ago, when } from "../lib/format.js";
import { to } from "../lib/router.js";
import { tone } from "../lib/status.js";
import { copy } from "./copy.js";

/** A status: its colour and its word. */
export function chip(status, text) {
  return h("span", { class: `chip ${tone(status)}` }, h("span", { class: "dot", "aria-hidden": "true" }),
    (text || status || "–").replaceAll("_", " "));
}

/** An instant as `3 m ago`, kept up to date, with the whole of it for who points at it. */
export function since(text) {
  return text ? h("time", { datetime: text, title: when(text), data: { since: text } }, ago(text)) : h("span", {}, "–");
}

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-since]"))
    element.textContent = ago(element.dataset.since);
}, 5000);

export const link = (path, ...children) => h("a", { href: to(path) }, ...children);

/** The button that takes a run away as one HTML file. */
export const reportLink = (path) =>
  h("a", { href: address(path).href, download: "", class: "button", title: "One HTML file with all of it, without scripts" }, "Report");

/** The head of a page: its name, what it is for, what can be done. */
export function head(title, { about, actions = [], above } = {}) {
  return h("header", { class: "head" },
    h("div", {}, above, h("h1", { tabindex: "-1" }, title), about && h("p", { class: "about" }, about)),
    h("div", { class: "actions" }, actions));
}

export function card(title, ...children) {
  return h("section", { class: "card", "aria-label": typeof title === "string" ? title : null },
    title && h("h2", {}, title), ...children);
}

/** Details whose inside is made when they are opened for the first time. */
export function details(summary, inside) {
  const element = h("details", { ontoggle: () => {
    if (element.open && element.children.length === 1) element.append(...[inside()].flat(Infinity).filter(Boolean));
  } }, h("summary", {}, summary));
  return element;
}

/** What stands where nothing is: what this is, and the next step. */
export function empty(title, ...next) {
  return h("div", { class: "empty", role: "status" }, h("p", { class: "title" }, title),
    next.map((each) => (typeof each === "string" ? h("p", {}, each) : each)));
}

export const code = (text) => h("pre", { class: "code", tabindex: "0" }, text);

export function failure(error, retry) {
  const missing = error.status === 403 ? "This key may not see it. Log out, and in again with another one." : "";
  return h("div", { class: "failure", role: "alert" },
    h("p", {}, h("strong", {}, error.status ? `${error.status} ` : ""), error.message),
    missing && h("p", {}, missing),
    error.requestId && h("p", { class: "quiet" }, `request ${error.requestId}`),
    retry && button("Try again", retry));
}

export function button(label, onclick, { kind = "", title, disabled, ...more } = {}) {
  return h("button", { type: "button", class: `button ${kind}`, onclick, title, disabled, ...more }, label);
}

/** Pairs of a name and a value; those without a value are left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  return h("dl", { class: "facts" },
    shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** An id that is copied by a click. */
export function copyable(text, shown = text) {
  return h("button", {
    type: "button", class: "copy", title: "Copy", "aria-label": `Copy ${text}`,
    onclick: () => copy(text),
  }, h("code", {}, shown));
}

/**
 * Tabs, of which the chosen one is in the address. `tabs` is `[{id, label, show(panel, signal)}]`.
 */
export function tabs(all, { chosen, onChoose, signal }) {
  const panel = h("div", { class: "panel", role: "tabpanel", tabindex: "-1" });
  let inner = new AbortController();
  const marks = all.map(({ id, label }) =>
    h("button", { type: "button", role: "tab", id: `tab-${id}`, class: "tab", onclick: () => choose(id) }, label));
  function choose(id, focus = false) {
    const at = Math.max(0, all.findIndex((tab) => tab.id === id));
    marks.forEach((mark, n) => {
      mark.setAttribute("aria-selected", String(n === at));
      mark.tabIndex = n === at ? 0 : -1;
    });
    if (focus) marks[at].focus();
    inner.abort();
    inner = new AbortController();
    panel.setAttribute("aria-labelledby", `tab-${all[at].id}`);
    put(panel);
    fill(all[at], AbortSignal.any([signal, inner.signal]));
    onChoose?.(all[at].id);
  }
  async function fill(tab, until) {
    try {
      await tab.show(panel, until);
    } catch (error) {
      if (!until.aborted && error.name !== "AbortError") put(panel, failure(error, () => choose(tab.id)));
    }
  }
  const list = h("div", {
    class: "tabs", role: "tablist",
    onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const at = marks.indexOf(document.activeElement);
      choose(all[(at + step + all.length) % all.length].id, true);
    },
  }, marks);
  choose(chosen);
  return h("div", {}, list, panel);
}

/** A bar that shows how much of something is used. */
export function meter(share, label, kind = "") {
  const width = `${Math.max(0, Math.min(100, share * 100))}%`;
  return h("div", {
    class: `meter ${kind}`, role: "meter", "aria-label": label,
    "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(share * 100)),
  }, h("span", { style: { width } }));
}

/** A plain table of a few rows. `columns` is `[{label, cell(row), class}]`. */
export function rows(columns, data, label) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, h("table", { class: "rows" },
    h("caption", { class: "hidden" }, label),
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.class }, column.label)))),
    h("tbody", {}, data.map((row) => h("tr", {}, columns.map((column) => h("td", { class: column.class }, column.cell(row))))))));
}

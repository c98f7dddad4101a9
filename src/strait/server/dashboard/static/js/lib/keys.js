// Keys: `g` and a letter goes to a page, `/` to the filter, `?` shows what there is.

import { ask } from "../ui/dialog.js";
import { h } from "./dom.js";
import { go } from "./router.js";

const LEADER_MS = 1200;
let pages = [];
let leader = 0;

/** Begin to listen, once. */
export function begin(all) {
  if (!pages.length) document.addEventListener("keydown", onKey);
  pages = all;
}

export function help() {
  ask("Keys", h("dl", { class: "keys" },
    [...pages.map((page) => [`g ${page.key}`, page.label]), ["/", "Filter"], ["j k", "Down, up in a table"],
      ["Enter", "Open the row"], ["x", "Select the row"], ["← →", "Between tabs"], ["Esc", "Close"]]
      .map(([key, what]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)))), { confirm: "Close", alone: true });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select")) return;
  if (Date.now() - leader < LEADER_MS) {
    leader = 0;
    const page = pages.find((each) => each.key === event.key);
    if (page) {
      event.preventDefault();
      go(page.path);
    }
  } else if (event.key === "g") {
    leader = Date.now();
  } else if (event.key === "?") {
    help();
  } else if (event.key === "/") {
    const filter = document.querySelector("[data-filter]");
    if (filter) {
      event.preventDefault();
      filter.focus();
    }
  }
}

// Copying a text. Browsers lend the clipboard to pages over TLS or from this machine only; elsewhere
// the older way is tried, and nobody is told that something was copied when it was not.

import { h } from "../lib/dom.js";
import { toast } from "./toast.js";

export async function copy(text) {
  if (await copied(text)) toast("Copied");
  else toast("The browser did not let this page copy it: select it, and copy it by hand", "bad");
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedBySelection(text);
  }
}

function copiedBySelection(text) {
  const before = document.activeElement;
  const area = h("textarea", { class: "hidden", readonly: true, "aria-hidden": "true" });
  area.value = text;
  // Beside an open dialog nothing can be selected.
  (document.querySelector("dialog[open]") || document.body).append(area);
  area.select();
  try {
    return document.execCommand("copy");
  } finally {
    area.remove();
    before?.focus?.();
  }
}

// Across the top while the code that was saved last cannot be loaded.

import { h, put } from "../lib/dom.js";
import { onStatus } from "../lib/dev.js";

/** The element; it is empty, and takes no room, while nothing is wrong. */
export function devBanner() {
  const element = h("div", { class: "dev-banner", role: "alert" });
  let shown = "";
  onStatus((status) => {
    const error = status?.state === "failed" ? status.error : null;
    const now = error ? JSON.stringify([error, status.code_version]) : "";
    // Loading takes a moment in which nothing is known yet.
    if (now === shown || (status?.state === "loading" && shown)) return;
    shown = now;
    put(element, error && told(error, status));
  });
  return element;
}

function told(error, status) {
  const goesOn = status.code_version
    ? `Version ${status.code_version}, the last good one, goes on serving.`
    : "No version serves yet; runs wait until it is put right.";
  const text = error.message.includes(error.type) ? error.message : `${error.type}: ${error.message}`;
  return h("div", {},
    h("p", {}, h("strong", {}, "The code that was saved last cannot be loaded"), error.at && [" at ", h("code", {}, error.at)], ": ", text),
    h("p", {}, goesOn),
    error.trace.length > 0 && h("details", {}, h("summary", {}, "Where it happened"), h("pre", { class: "code", tabindex: "0" }, error.trace.join("\n"))));
}

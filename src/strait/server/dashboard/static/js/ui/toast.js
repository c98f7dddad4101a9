// Short messages about what was done, which go by themselves and are read out.

import { h } from "../lib/dom.js";

const STAY_MS = 6000;
let place = null;

export function toast(text, kind = "") {
  place ||= document.body.appendChild(h("div", { class: "toasts", role: "status", "aria-live": "polite" }));
  const message = h("div", { class: `toast ${kind}` }, text);
  place.append(message);
  setTimeout(() => message.remove(), STAY_MS);
}

/** Do something and say how it went; returns its result, or undefined when it was refused. */
export async function attempt(what, work) {
  try {
    const result = await work();
    if (what) toast(what);
    return result;
  } catch (error) {
    const details = (error.details || []).map((each) => (typeof each === "string" ? each : each.message));
    toast([error.message, ...details].filter(Boolean).join(" · "), "bad");
    return undefined;
  }
}

// What `strait dev` has loaded: where definitions are written, and what is wrong with the code that
// was saved last. Elsewhere nothing is asked for a second time.

import * as api from "./api.js";

const LOOK_MS = 1500;
const listeners = new Set();
let status = null;
let timer = 0;
let asked = null;

/** Begin to look. */
export function begin() {
  end();
  asked = look();
}

export function end() {
  clearTimeout(timer);
  timer = 0;
  status = null;
}

/** Call a function with the status now and whenever it changes; null where there is no `strait dev`. */
export function onStatus(fn, signal) {
  listeners.add(fn);
  signal?.addEventListener("abort", () => listeners.delete(fn), { once: true });
  if (status) fn(status);
}

/** Where a job or a workflow is written: `{file, line, target}`, or null. */
export async function placeOf(kind, slug) {
  await asked;
  const kinds = kind === "workflow" ? ["workflow"] : ["job", "agent"];
  return status?.definitions?.find((each) => each.slug === slug && kinds.includes(each.kind)) || null;
}

async function look() {
  clearTimeout(timer);
  try {
    const now = document.hidden && status ? status : await api.get("/v1/dev/status");
    if (now.state === "off") return tell(null);
    if (JSON.stringify(now) !== JSON.stringify(status)) tell(now);
  } catch (error) {
    // A server that is being started anew answers again; one that has no such operation never does.
    if ([401, 403, 404, 405, 501].includes(error.status)) return tell(null);
  }
  timer = setTimeout(look, LOOK_MS);
  return undefined;
}

function tell(now) {
  status = now;
  for (const fn of [...listeners]) fn(now);
}

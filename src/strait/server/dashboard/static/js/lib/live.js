// What goes on in the project: one stream for the whole page, which its parts listen to.

import { follow } from "./stream.js";

const listeners = new Set();
let state = "lost";
let stop = null;

/** Begin to follow a project. */
export function begin(projectId) {
  end();
  state = "lost";
  stop = new AbortController();
  follow(`/v1/projects/${encodeURIComponent(projectId)}/activity/stream`, {
    signal: stop.signal,
    onEvent: (data) => tell(JSON.parse(data)),
    onState: (now) => {
      state = now;
      document.dispatchEvent(new CustomEvent("live-state", { detail: now }));
    },
  });
}

export function end() {
  stop?.abort();
  stop = null;
}

/** How the stream stands: `live`, `lost`, or `over` or `refused` for good. */
export const liveState = () => state;

/** Call a function with each event, until the signal is aborted. */
export function onActivity(fn, signal) {
  listeners.add(fn);
  signal.addEventListener("abort", () => listeners.delete(fn), { once: true });
}

function tell(event) {
  for (const fn of [...listeners]) fn(event);
}

// Server-sent events over fetch: they go on behind the last id, also when the server was restarted,
// and a tab that nobody looks at gives its connection back.

import { send } from "./api.js";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 8000;
const HIDDEN_MS = 30000;

// Answers after which asking again would bring the same.
const ENDS = { 403: "refused", 404: "over", 410: "over" };

/**
 * Follow a stream until the signal is aborted or the stream is over for good.
 *
 * `onEvent(data, type)` gets each event; `onState("live" | "lost" | "over" | "refused")` how it stands.
 */
export function follow(path, { signal, onEvent, onState = () => {}, query, from = "" }) {
  let last = from;
  let wait = FIRST_WAIT_MS;
  let connection = null;
  let hiddenTimer = 0;

  async function once() {
    connection = new AbortController();
    const stop = AbortSignal.any([signal, connection.signal]);
    const headers = { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) };
    const answer = await send(path, { query, signal: stop, headers });
    if (ENDS[answer.status]) return ENDS[answer.status];
    if (!answer.ok || !answer.body) throw new Error(`status ${answer.status}`);
    onState("live");
    wait = FIRST_WAIT_MS;
    for await (const event of events(answer.body)) {
      if (event.id !== undefined) last = event.id;
      if (event.data !== undefined) onEvent(event.data, event.type);
    }
    return "again";
  }

  async function run() {
    while (!signal.aborted) {
      try {
        if (document.hidden && hiddenTimer === -1) await visible(signal);
        const end = await once();
        if (end !== "again") {
          onState(end);
          return;
        }
      } catch {
        if (signal.aborted) return;
      }
      if (!document.hidden) onState("lost");
      await pause(wait, signal);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }

  function onVisibility() {
    clearTimeout(hiddenTimer);
    hiddenTimer = 0;
    if (!document.hidden) return;
    hiddenTimer = setTimeout(() => {
      hiddenTimer = -1;
      connection?.abort();
    }, HIDDEN_MS);
  }

  document.addEventListener("visibilitychange", onVisibility, { signal });
  run();
}

/** Yield the events of a body: `{id, type, data}`. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (event) yield event;
    }
  }
}

function parse(block) {
  const event = { type: "message" };
  const data = [];
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    const field = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (field === "id") event.id = value;
    else if (field === "event") event.type = value;
    else if (field === "data") data.push(value);
  }
  if (data.length) event.data = data.join("\n");
  return event.id !== undefined || event.data !== undefined ? event : null;
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

function visible(signal) {
  return new Promise((resolve) => {
    const look = () => !document.hidden && resolve();
    document.addEventListener("visibilitychange", look, { signal });
    signal.addEventListener("abort", resolve, { once: true });
  });
}

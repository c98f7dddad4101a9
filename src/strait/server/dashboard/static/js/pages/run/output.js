// The pieces that a run streams, for example the words of a model, as they come.

import { h, put } from "../../lib/dom.js";
import { isOver } from "../../lib/status.js";
import { follow } from "../../lib/stream.js";
import { empty } from "../../ui/parts.js";

export function output(panel, model, signal) {
  const text = h("pre", { class: "stream", tabindex: "0", role: "log", "aria-label": "Streamed output" });
  const note = h("p", { class: "quiet", role: "status" });
  put(panel, text, note);
  let got = false;
  const nothing = () => got || put(text, empty("Nothing was streamed.", "In a handler:", h("pre", { class: "code" }, 'await ctx.stream_chunk("words…")'),
    "The latest pieces are kept in memory until the server is restarted."));
  const stop = new AbortController();
  follow(`/v1/runs/${model.id}/stream/chunks`, {
    // A place before all that is in memory.
    signal: AbortSignal.any([signal, stop.signal]), from: "0",
    onEvent: (data) => {
      const piece = JSON.parse(data);
      if (!got) put(text);
      got = true;
      text.append(piece.chunk ?? piece.data ?? piece.text ?? JSON.stringify(piece));
    },
    onState: (now) => {
      note.textContent = { live: isOver(model.run.status) ? "" : "live", lost: "", over: "" }[now];
      if (now !== "live") nothing();
      if (now === "lost" && isOver(model.run.status)) stop.abort();
    },
  });
  if (!isOver(model.run.status)) nothing();
}

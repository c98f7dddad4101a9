// What came in and what came out.

import * as api from "../../lib/api.js";
import { h, put } from "../../lib/dom.js";
import { json } from "../../ui/json-view.js";
import { card } from "../../ui/parts.js";

export async function data(panel, model, signal) {
  const input = h("div"), result = h("div"), kept = h("div"), rest = h("div");
  put(panel, h("div", { class: "columns" }, card("Payload", input), card("Result", result)), kept,
    card("Everything about the run", h("details", {}, h("summary", {}, "As the API answers"), rest)));
  model.watch(() => {
    put(input, json(model.run.payload, { label: "payload", empty: "No payload." }));
    put(result, json(model.run.result, { label: "result", empty: model.run.finished_at ? "No result." : "Not there yet." }));
    put(rest, json(model.run, { label: "run" }));
  }, signal);
  const outputs = await api.all(`/v1/runs/${model.id}/outputs`, {}, { signal });
  if (outputs.length) put(kept, outputs.map((each) => card(`Output “${each.output_key}”`, json(each.value, { label: each.output_key }))));
}

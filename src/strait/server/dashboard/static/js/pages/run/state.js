// What the handler keeps in the state of its run, and what it was made with.

import * as api from "../../lib/api.js";
import { h, put } from "../../lib/dom.js";
import { json } from "../../ui/json-view.js";
import { card, empty, rows, since } from "../../ui/parts.js";

export async function state(panel, model, signal) {
  const kept = (await api.get(`/v1/runs/${model.id}/state`, {}, signal)).filter((each) => !each.state_key.startsWith("strait."));
  put(panel,
    kept.length
      ? card("State", rows([
          { label: "Key", cell: (each) => h("code", {}, each.state_key) },
          { label: "Value", class: "wide", cell: (each) => json(each.value, { label: each.state_key }) },
          { label: "Written", cell: (each) => since(each.updated_at) },
        ], kept, "State of the run"))
      : empty("No state.", "In a handler:", h("pre", { class: "code" }, 'await ctx.state.set("page", 2)'), "It outlives attempts and restarts."),
    model.run.metadata && card("Metadata", json(model.run.metadata, { label: "metadata" })));
}

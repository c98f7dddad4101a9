// What a run has cost, by model, against what it may cost.

import * as api from "../../lib/api.js";
import { h, put, soon } from "../../lib/dom.js";
import { count, duration, money, percent } from "../../lib/format.js";
import { json } from "../../ui/json-view.js";
import { card, empty, facts, meter, rows, since } from "../../ui/parts.js";

export function cost(panel, model, signal) {
  const load = soon(async () => {
    const [usage, tools, budget, state] = await Promise.all([
      api.all(`/v1/runs/${model.id}/usage`, {}, { signal }),
      api.all(`/v1/runs/${model.id}/tool-calls`, {}, { signal }),
      api.get("/v1/project-budget", { project_id: model.run.project_id }, signal).catch(() => null),
      api.get(`/v1/runs/${model.id}/state`, {}, signal).catch(() => []),
    ]);
    if (!signal.aborted) put(panel, draw(usage, tools, budget, state.find((each) => each.state_key === "cost_budget")));
  }, 200);
  let seen = -1;
  model.watch(() => {
    if (seen !== model.lines.length) load();
    seen = model.lines.length;
  }, signal);
}

function draw(usage, tools, budget, ledger) {
  if (!usage.length && !tools.length && !ledger)
    return [empty("No costs were reported.", "In a handler:", h("pre", { class: "code" }, 'await ctx.report_usage("openai", "gpt-5-mini", 1200, 340, cost_microusd=1840)'))];
  const total = usage.reduce((sum, each) => sum + each.cost_microusd, 0);
  const tokens = usage.reduce((sum, each) => sum + each.total_tokens, 0);
  return [
    card("Cost", facts([["This run", h("strong", {}, money(total))], ["Tokens", count(tokens)], ["Calls of models", count(usage.length)]]),
      budget?.monthly_budget_microusd > 0 && against(total, budget)),
    ledger && card("Budget of this run", json(ledger.value, { label: "budget" })),
    usage.length > 0 && card("By model", rows([
      { label: "Model", cell: ([name]) => name },
      { label: "Calls", class: "right", cell: ([, sum]) => count(sum.calls) },
      { label: "In", class: "right", cell: ([, sum]) => count(sum.prompt) },
      { label: "Out", class: "right", cell: ([, sum]) => count(sum.completion) },
      { label: "Cost", class: "right", cell: ([, sum]) => money(sum.cost) },
      { label: "Share", cell: ([name, sum]) => meter(total ? sum.cost / total : 0, `Share of ${name}`) },
    ], [...byModel(usage)], "Cost by model")),
    tools.length > 0 && card("Calls of tools", rows([
      { label: "Tool", cell: (each) => each.tool_name },
      { label: "Status", cell: (each) => each.status },
      { label: "Took", class: "right", cell: (each) => duration(each.duration_ms) },
      { label: "When", cell: (each) => since(each.created_at) },
      { label: "Input and output", class: "wide", cell: (each) => h("details", {}, h("summary", {}, "show"), json({ input: each.input, output: each.output }, { label: each.tool_name })) },
    ], tools, "Calls of tools")),
  ];
}

function against(total, budget) {
  const share = budget.current_spend_microusd / budget.monthly_budget_microusd;
  return h("div", {}, h("p", {}, `The project has spent ${money(budget.current_spend_microusd)} of ${money(budget.monthly_budget_microusd)} this month (${percent(share * 100)}); this run is ${percent((total / budget.monthly_budget_microusd) * 100)} of it.`),
    meter(share, "Spent of the budget of this month", share > 0.9 ? "bad" : ""));
}

function byModel(usage) {
  const sums = new Map();
  for (const each of usage) {
    const name = `${each.provider} ${each.model}`;
    const sum = sums.get(name) || { calls: 0, prompt: 0, completion: 0, cost: 0 };
    sums.set(name, { calls: sum.calls + 1, prompt: sum.prompt + each.prompt_tokens, completion: sum.completion + each.completion_tokens, cost: sum.cost + each.cost_microusd });
  }
  return [...sums].sort((a, b) => b[1].cost - a[1].cost);
}

// What runs have cost: by day, by job, against the budget.

import * as api from "../lib/api.js";
import { h, put } from "../lib/dom.js";
import { count, money, percent } from "../lib/format.js";
import { query, setQuery } from "../lib/router.js";
import { DAY_MS, bars, evenly } from "../ui/plot.js";
import { card, code, empty, head, link, meter, rows } from "../ui/parts.js";

const DAYS = { 7: "7 days", 30: "30 days", 90: "90 days" };

export async function show(outlet, { who, signal }) {
  const days = Number(query().days) || 30;
  const span = { from: new Date(Date.now() - days * DAY_MS).toISOString(), to: new Date(Date.now() + 60000).toISOString() };
  const choice = h("select", { "aria-label": "Span", onchange: () => (setQuery({ days: choice.value === "30" ? "" : choice.value }), show(outlet, { who, signal })) },
    Object.entries(DAYS).map(([value, text]) => h("option", { value }, text)));
  choice.value = String(days);
  const [sum, trend, budget] = await Promise.all([
    api.get("/v1/analytics/costs", span, signal), api.get("/v1/analytics/costs/trends", span, signal),
    api.get("/v1/project-budget", { project_id: who.project_id }, signal).catch(() => null),
  ]);
  put(outlet, head("Costs", { actions: choice }),
    !sum.total_spend_microusd
      ? empty("No costs were reported in this time.", "Handlers report what calls of models cost:", code('await ctx.report_usage("openai", "gpt-5-mini", 1200, 340, cost_microusd=1840)'))
      : [h("div", { class: "figures" }, [["Spent", money(sum.total_spend_microusd)], ["Runs", count(sum.run_count)], ["A run", money(sum.total_spend_microusd / Math.max(1, sum.run_count))]]
          .map(([name, value]) => h("div", { class: "figure" }, h("span", { class: "quiet" }, name), h("strong", {}, value)))),
        card("By day", bars(evenly(trend, span, DAY_MS, { spend_microusd: 0 }).map((each) => ({ label: each.period.slice(0, 10), values: { plain: each.spend_microusd } })), { label: "Spent a day", format: money })),
        card("By job", rows([
          { label: "Job", cell: (each) => link(`jobs/${each.job_id}`, each.job_slug) },
          { label: "Runs", class: "right", cell: (each) => count(each.run_count) },
          { label: "Cost", class: "right", cell: (each) => money(each.cost_microusd) },
          { label: "Share", cell: (each) => meter(each.cost_microusd / sum.total_spend_microusd, `Share of ${each.job_slug}`) },
        ], sum.by_job, "Costs by job"))],
    budget?.monthly_budget_microusd > 0 && card("Budget of this month",
      h("p", {}, `${money(budget.current_spend_microusd)} of ${money(budget.monthly_budget_microusd)}, ${percent(budget.percent_used)}; when it is used up: ${budget.budget_action}`),
      meter(budget.percent_used / 100, "Used of the budget", budget.percent_used > 90 ? "bad" : "")));
}

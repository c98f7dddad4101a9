// When what happened: waits, attempts, steps and children as bars, and the ledger below.

import { h, put } from "../../lib/dom.js";
import { duration, instant, time } from "../../lib/format.js";
import { ganttRows } from "../../lib/history.js";
import * as names from "../../lib/names.js";
import { to } from "../../lib/router.js";
import { dag } from "../../ui/dag.js";
import { gantt } from "../../ui/gantt.js";
import { paged } from "../../ui/paged.js";
import { card, empty } from "../../ui/parts.js";
import { go } from "../../lib/router.js";

export function timeline(panel, model, signal) {
  const picture = gantt({ label: "Timeline of the run" });
  const family = h("div");
  const ledger = h("div");
  let first = 0;
  const told = paged({ label: "lines of the ledger", className: "ledger", size: 200, atEnd: true, key: (line) => line.id || "", row: (line) => ledgerLine(line, first) });
  put(panel, family, card("Timeline", picture.element), card("What happened", ledger));
  let drawn = null;
  model.watch(() => {
    picture.show(ganttRows(model.run, model.lines, {
      steps: model.steps, children: model.children,
      nameOf: (id) => names.nameOf("jobs", id), linkTo: (id) => to(`runs/${id}`),
    }));
    drawn = drawFamily(family, drawn, model);
    first = instant(model.lines[0]?.created_at) ?? 0;
    told.show(model.lines);
    const now = model.lines.length ? told.element : empty("Nothing has happened yet.", "The run waits for its turn.");
    if (ledger.firstChild !== now) put(ledger, now);
  }, signal);
}

// A run with children is a small picture of its own; live, as they go on.
function drawFamily(place, drawn, model) {
  if (!model.children.length) return null;
  const node = (run, depends) => ({
    id: run.id, label: names.nameOf("jobs", run.job_id), status: run.status, depends,
    ms: run.started_at && run.finished_at ? instant(run.finished_at) - instant(run.started_at) : 0,
  });
  const nodes = [node(model.run, []), ...model.children.slice(0, 200).map((child) => node(child, [model.run.id]))];
  if (drawn && drawn.count === nodes.length) {
    drawn.picture.update(nodes);
    return drawn;
  }
  const picture = dag(nodes, { label: "This run and its children", onChoose: (id) => id !== model.id && go(`runs/${id}`) });
  put(place, card("Children", picture.element));
  return { picture, count: nodes.length };
}

function ledgerLine(line, first) {
  return h("li", { class: `level-${line.level || "info"}` },
    h("time", { datetime: line.created_at, title: time(line.created_at) }, `+${duration(instant(line.created_at) - first)}`),
    h("span", { class: "kind" }, line.type.replaceAll("_", " ")), h("span", { class: "text" }, line.message));
}

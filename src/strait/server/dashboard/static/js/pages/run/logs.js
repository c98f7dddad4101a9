// The lines that the handler has written, live, with a filter.

import { h, put } from "../../lib/dom.js";
import { time } from "../../lib/format.js";
import { attemptAt, stretches } from "../../lib/history.js";
import { instant } from "../../lib/format.js";
import { paged } from "../../ui/paged.js";
import { empty } from "../../ui/parts.js";

const LEVELS = ["debug", "info", "warn", "error"];

export function logs(panel, model, signal) {
  const level = h("select", { "aria-label": "Least level", onchange: draw }, LEVELS.map((each) => h("option", { value: each }, each === "debug" ? "all levels" : `${each} and above`)));
  const text = h("input", { type: "search", placeholder: "Contains…", "aria-label": "Contains", oninput: draw, "data-filter": "" });
  let all = [];
  const lines = paged({ label: "log lines", size: 500, atEnd: true, key: (line) => line.id || line.created_at, row: (line) => row(line, attemptAt(all, instant(line.created_at))) });
  const list = h("div", { class: "log", tabindex: "0", role: "log", "aria-label": "Log lines" }, lines.list);
  const none = h("div");
  put(panel, h("div", { class: "filters" }, level, text), lines.ends, list, none);

  function draw() {
    const least = LEVELS.indexOf(level.value);
    const needle = text.value.toLowerCase();
    const written = model.lines.filter((line) => line.type === "log");
    const shown = written.filter((line) => LEVELS.indexOf(named(line.level)) >= least && line.message.toLowerCase().includes(needle));
    all = stretches(model.lines);
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    lines.show(shown);
    list.hidden = !shown.length;
    put(none, shown.length ? null : written.length ? empty("No line fits the filter.") : empty("No log lines.", "In a handler:", h("pre", { class: "code" }, 'ctx.logger.info("charged %s", order_id)')));
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }
  model.watch(draw, signal);
}

const named = (level) => ({ warning: "warn", critical: "error" })[level] || level || "info";

function row(line, attempt) {
  const more = line.data && Object.keys(line.data).length ? line.data : null;
  const trace = more?.traceback;
  return h("li", { class: `log-line level-${named(line.level)}` },
    h("time", { datetime: line.created_at }, time(line.created_at)),
    h("span", { class: "quiet lo" }, `#${attempt}`),
    h("span", { class: "level" }, named(line.level)),
    more
      ? h("details", {}, h("summary", {}, line.message), h("pre", { class: "code" }, trace || JSON.stringify(more, null, 2)))
      : h("span", { class: "text" }, line.message));
}

// A table of any length: only the rows in sight are in the document.

import { h, put } from "../lib/dom.js";

const SPARE = 8;

/**
 * Make a table.
 *
 * `columns`: `[{label, cell(row), class}]`; `open(row)`: the address of a row; `more()`: called near
 * the end; `onSelect(ids)`: called when the selection changes, without it nothing can be selected.
 */
export function liveTable({ label, columns, open, more, onSelect, rowHeight = 44 }) {
  let data = [];
  let ended = true;
  let active = -1;
  const selected = new Set();
  const made = new Map();
  const body = h("tbody");
  const top = h("tr", { class: "gap", "aria-hidden": "true" }, h("td", {}));
  const bottom = h("tr", { class: "gap", "aria-hidden": "true" }, h("td", {}));
  const everything = onSelect && h("input", {
    type: "checkbox", "aria-label": "Select all rows that are loaded",
    onchange: () => {
      if (everything.checked) data.forEach((row) => selected.add(row.id));
      else selected.clear();
      changed();
    },
  });
  const table = h("table", { class: "rows windowed" },
    h("caption", { class: "hidden" }, label),
    h("thead", {}, h("tr", {}, onSelect && h("th", { class: "pick" }, everything),
      columns.map((column) => h("th", { scope: "col", class: column.class }, column.label)))),
    body);
  const box = h("div", {
    class: "scroll tall", tabindex: "0", role: "region", "aria-label": label, onscroll: soonDraw,
    onkeydown: onKey,
  }, table);
  const resized = new ResizeObserver(soonDraw);
  resized.observe(box);

  let waiting = false;
  function soonDraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  }

  function draw() {
    const height = box.clientHeight || 600;
    const from = Math.max(0, Math.floor(box.scrollTop / rowHeight) - SPARE);
    const until = Math.min(data.length, Math.ceil((box.scrollTop + height) / rowHeight) + SPARE);
    const wanted = data.slice(from, until).map((row, n) => element(row, from + n));
    const present = new Set(data.slice(from, until).map((row) => row.id));
    for (const id of made.keys()) if (!present.has(id)) made.delete(id);
    // A gap of nothing keeps the stripes of even and odd rows where they are.
    top.firstChild.style.height = `${from * rowHeight}px`;
    bottom.firstChild.style.height = `${(data.length - until) * rowHeight}px`;
    top.firstChild.colSpan = bottom.firstChild.colSpan = columns.length + (onSelect ? 1 : 0);
    sync([top, ...wanted, bottom]);
    table.setAttribute("aria-rowcount", ended ? String(data.length + 1) : "-1");
    if (!ended && until > data.length - SPARE * 2) more?.();
  }

  // Rows that stay are not touched, so that the focus stays in them.
  function sync(wanted) {
    const keep = new Set(wanted);
    for (const child of [...body.children]) if (!keep.has(child)) child.remove();
    wanted.forEach((child, at) => {
      if (body.children[at] !== child) body.insertBefore(child, body.children[at] || null);
    });
  }

  function element(row, at) {
    const known = made.get(row.id);
    if (known && known.row === row) {
      known.tr.setAttribute("aria-rowindex", String(at + 2));
      known.tr.classList.toggle("active", at === active);
      return known.tr;
    }
    const tr = known?.tr || h("tr", { onclick: (event) => onRowClick(event, row.id) });
    tr.setAttribute("aria-rowindex", String(at + 2));
    tr.dataset.id = row.id;
    tr.className = [row.flash ? "flash" : "", at === active ? "active" : ""].join(" ").trim();
    put(tr, onSelect && h("td", { class: "pick" }, picker(row)),
      columns.map((column) => h("td", { class: column.class }, column.cell(row))));
    made.set(row.id, { row, tr });
    return tr;
  }

  function picker(row) {
    const box = h("input", {
      type: "checkbox", "aria-label": `Select ${row.id}`,
      onchange: () => {
        if (box.checked) selected.add(row.id);
        else selected.delete(row.id);
        onSelect([...selected]);
      },
    });
    box.checked = selected.has(row.id);
    return box;
  }

  function onRowClick(event, id) {
    if (event.target.closest("a, button, input, label") || getSelection().toString()) return;
    const row = data.find((each) => each.id === id);
    if (row && open) body.querySelector(`tr[data-id="${CSS.escape(id)}"] a`)?.click();
  }

  function onKey(event) {
    if (event.target.closest("input, select, textarea") && event.target.type !== "checkbox") return;
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (step && data.length) {
      event.preventDefault();
      move(Math.max(0, Math.min(data.length - 1, active + step)));
    } else if (event.key === "Enter" && event.target === box && data[active]) {
      body.querySelector("tr.active a")?.click();
    } else if (event.key === "x" && onSelect && data[active]) {
      const id = data[active].id;
      if (!selected.delete(id)) selected.add(id);
      changed();
    }
  }

  function move(at) {
    active = at;
    const head = table.tHead.offsetHeight;
    const y = at * rowHeight;
    if (y < box.scrollTop) box.scrollTop = y;
    else if (y + rowHeight + head > box.scrollTop + box.clientHeight)
      box.scrollTop = y + rowHeight + head - box.clientHeight;
    draw();
  }

  function changed() {
    made.clear();
    draw();
    onSelect([...selected]);
  }

  return {
    element: box,
    /** Show these rows; `isWhole` says that there are no more behind them. */
    show(rows, isWhole) {
      data = rows;
      ended = isWhole;
      draw();
    },
    unselect() {
      selected.clear();
      if (everything) everything.checked = false;
      changed();
    },
    focus: () => box.focus(),
    isAtTop: () => box.scrollTop < rowHeight,
    toTop: () => (box.scrollTop = 0),
    stop: () => resized.disconnect(),
  };
}

// A picture of steps and what they depend on: layers from left to right, or downward where it is
// narrow, with the colours of their statuses.

import { h, s } from "../lib/dom.js";
import { duration } from "../lib/format.js";
import { tone } from "../lib/status.js";

const BOX = { width: 172, height: 50 };
const GAP = { along: 56, across: 18 };
const SWEEPS = 4;
const NARROW_PX = 760;

/**
 * Draw nodes `[{id, label, kind, status, ms, depends}]`; `onChoose(id)` when one is clicked.
 * The element has `update(nodes)`: the same nodes with other statuses keep their places.
 */
export function dag(nodes, { onChoose, label = "Steps and what they depend on" } = {}) {
  const isDown = innerWidth < NARROW_PX;
  const places = layout(nodes, isDown);
  const width = Math.max(...places.map((each) => each.x)) + BOX.width + 2;
  const height = Math.max(...places.map((each) => each.y)) + BOX.height + 2;
  const byId = new Map(places.map((each) => [each.id, each]));
  const edges = places.flatMap((to) => to.depends.map((id) => ({ from: byId.get(id), to })))
    .filter(({ from }) => from)
    .map((edge) => ({ ...edge, path: s("path", { d: curve(edge.from, edge.to, isDown), class: "edge" }) }));
  const boxes = new Map(places.map((node) => [node.id, box(node, onChoose)]));
  const picture = s("svg", {
    viewBox: `-1 -1 ${width} ${height}`, width, height, class: "dag", role: "group", "aria-label": label,
  }, edges.map(({ path }) => path), [...boxes.values()].map(({ group }) => group));
  const element = h("div", { class: "scroll picture", tabindex: "0", role: "region", "aria-label": label }, picture);

  function update(now) {
    for (const node of now) {
      boxes.get(node.id)?.paint(node);
      Object.assign(byId.get(node.id) || {}, { status: node.status });
    }
    for (const { from, to, path } of edges)
      path.setAttribute("class", `edge ${tone(from.status) === "good" ? "done" : ""} ${tone(to.status) === "busy" ? "flow" : ""}`);
  }
  update(nodes);
  return { element, update };
}

function box(node, onChoose) {
  const status = s("text", { x: 32, y: 37, class: "node-status" });
  const bar = s("rect", { width: 4, height: BOX.height - 16, x: 8, y: 8, rx: 2, class: "node-bar" });
  const title = s("title");
  const group = s("g", {
    transform: `translate(${node.x} ${node.y})`, class: "node", tabindex: "0", role: "button",
    data: { step: node.id },
    onclick: () => onChoose?.(node.id),
    onkeydown: (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        onChoose?.(node.id);
      }
    },
  }, title, s("rect", { width: BOX.width, height: BOX.height, rx: 8, class: "node-box" }), bar,
  s("text", { x: 20, y: 21, class: "node-name" }, cut(node.label || node.id, 19)), status,
  s("text", { x: 20, y: 37, class: "node-dot" }, "●"));

  function paint(now) {
    const words = [now.status.replaceAll("_", " "), now.ms ? duration(now.ms) : "", now.kind && now.kind !== "job" ? now.kind.replaceAll("_", " ") : ""];
    const text = words.filter(Boolean).join(" · ");
    status.textContent = cut(text, 26);
    title.textContent = `${now.label || now.id}: ${text}`;
    group.setAttribute("aria-label", `${now.label || now.id}, ${text}`);
    group.setAttribute("class", `node ${tone(now.status)}`);
    group.dataset.status = now.status;
  }
  return { group, paint };
}

/** Give every node a layer (behind all that it depends on) and a place in it. */
export function layout(nodes, isDown = false) {
  const byId = new Map(nodes.map((node) => [node.id, { ...node, depends: node.depends || [] }]));
  const depth = new Map();
  const under = new Set();
  const layerOf = (id) => {
    if (depth.has(id)) return depth.get(id);
    if (under.has(id)) return 0; // a cycle; the platform refuses those
    under.add(id);
    const parents = byId.get(id).depends.filter((each) => byId.has(each)).map(layerOf);
    depth.set(id, parents.length ? Math.max(...parents) + 1 : 0);
    return depth.get(id);
  };
  const layers = [];
  for (const node of byId.values()) (layers[layerOf(node.id)] ||= []).push(node);
  untangle(layers, byId);
  const tallest = Math.max(...layers.map((layer) => layer.length));
  layers.forEach((layer, along) => layer.forEach((node, at) => {
    const across = at + (tallest - layer.length) / 2;
    node.x = isDown ? across * (BOX.width + GAP.across) : along * (BOX.width + GAP.along);
    node.y = isDown ? along * (BOX.height + GAP.along) : across * (BOX.height + GAP.across);
  }));
  return layers.flat();
}

// Each node goes to the middle of its neighbours, forth and back, which takes most crossings away.
function untangle(layers, byId) {
  const children = new Map();
  for (const node of byId.values())
    for (const id of node.depends) children.set(id, [...(children.get(id) || []), node.id]);
  const order = new Map();
  const note = (layer) => layer.forEach((node, at) => order.set(node.id, at / layer.length));
  layers.forEach(note);
  const middle = (ids, own) => {
    const found = ids.filter((id) => order.has(id)).map((id) => order.get(id));
    return found.length ? found.reduce((a, b) => a + b, 0) / found.length : own;
  };
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forth = sweep % 2 === 0;
    for (const layer of forth ? layers : [...layers].reverse()) {
      const weight = new Map(layer.map((node) => [node.id,
        middle(forth ? node.depends : children.get(node.id) || [], order.get(node.id))]));
      layer.sort((a, b) => weight.get(a.id) - weight.get(b.id));
      note(layer);
    }
  }
}

function curve(from, to, isDown) {
  if (isDown) {
    const x1 = from.x + BOX.width / 2, y1 = from.y + BOX.height, x2 = to.x + BOX.width / 2, y2 = to.y;
    const bend = Math.max(16, (y2 - y1) / 2);
    return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
  }
  const x1 = from.x + BOX.width, y1 = from.y + BOX.height / 2, x2 = to.x, y2 = to.y + BOX.height / 2;
  const bend = Math.max(24, (x2 - x1) / 2);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

// Building elements without a framework, and without ever writing HTML from data.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: `h("a", {href: "/", class: "x", onclick}, "text", child, [children])`. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Put children in place of all that an element has. */
export function put(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** Return a debounced function: called once, `ms` after the first of several calls. */
export function soon(fn, ms = 120) {
  let timer = 0;
  return () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      fn();
    }, ms);
  };
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) set(element, name, value);
  element.append(...nodes(children));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "data") Object.assign(element.dataset, value);
  else if (name === "style") Object.assign(element.style, value);
  else if (name === "value") element.value = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false && child !== "");
}

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

/** Put children in place of all that an element has; the focus stays on what reads the same. */
export function put(element, ...children) {
  const back = element.contains(document.activeElement) ? focusIn(element) : null;
  element.replaceChildren(...nodes(children));
  back?.();
  return element;
}

/**
 * Return a function that gives the focus back to what has it now, or to what reads the same once it
 * was drawn anew, or to the head of the page: who uses keys alone does not begin at the top again.
 */
export function focusIn(element) {
  const active = document.activeElement;
  const twins = () => [...element.querySelectorAll(active.localName)].filter((each) => reading(each) === reading(active));
  const at = active === document.body || active === element ? -1 : twins().indexOf(active);
  return () => {
    if (at < 0 || (document.activeElement && document.activeElement !== document.body)) return;
    const found = active.isConnected ? active : twins()[at] || document.querySelector("#main h1");
    found?.focus({ preventScroll: true });
  };
}

const reading = (element) => element.getAttribute("aria-label") || element.id || element.textContent;

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

// From the address to a page. Addresses are below the base of the document, so that a path prefix
// of a proxy changes nothing here.

const base = new URL(".", document.baseURI);
let shown = null;
let render = () => {};

/** Say how a page is shown, and begin. */
export function start(fn) {
  render = fn;
  addEventListener("popstate", () => show());
  document.addEventListener("click", onClick);
  show();
}

/** Go to an address of this page. */
export function go(path, { replace = false } = {}) {
  const url = new URL(path.replace(/^\//, ""), base);
  if (replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  show();
}

/** The link to a page. */
export const to = (path) => new URL(path.replace(/^\//, ""), base).pathname + queryOf(path);

/** The segments of the address below the base; one that is no text stays as it is written. */
export const here = () => location.pathname.slice(base.pathname.length).replace(/\/$/, "").split("/").map(decoded);

function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export const query = () => Object.fromEntries(new URLSearchParams(location.search));

/** Change the query of the address without showing the page anew. */
export function setQuery(values) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  }
  history.replaceState(null, "", url);
}

function queryOf(path) {
  const at = path.indexOf("?");
  return at < 0 ? "" : path.slice(at);
}

function show() {
  shown?.abort();
  shown = new AbortController();
  render(here(), shown.signal);
}

function onClick(event) {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || link.target || link.hasAttribute("download"))
    return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(base.pathname)) return;
  if (url.pathname === location.pathname && url.hash) return;
  event.preventDefault();
  go(url.pathname.slice(base.pathname.length) + url.search);
}

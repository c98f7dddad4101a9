// The page as a whole: who is there, what leads where, and what is shown.

import { login, logout, onLoggedOut, session } from "./lib/api.js";
import * as dev from "./lib/dev.js";
import { h, put } from "./lib/dom.js";
import * as keys from "./lib/keys.js";
import * as live from "./lib/live.js";
import { go, start, to } from "./lib/router.js";
import { cycle as cycleTheme, theme } from "./lib/theme.js";
import { devBanner } from "./ui/dev-banner.js";
import { empty, failure } from "./ui/parts.js";

const PAGES = [
  { path: "runs", label: "Runs", module: "runs", key: "r", icon: "M4 6h16M4 12h16M4 18h10", also: ["workflow-runs", ""] },
  { path: "approvals", label: "Approvals", module: "approvals", key: "a", icon: "M5 13l4 4L19 7" },
  { path: "dead-letters", label: "Dead letters", module: "dead-letters", key: "d", icon: "M12 4l9 16H3zM12 10v4M12 17v.5" },
  { path: "jobs", label: "Jobs", module: "jobs", key: "j", icon: "M4 7h16v12H4zM9 7V4h6v3" },
  { path: "workflows", label: "Workflows", module: "workflows", key: "w", icon: "M6 6h4v4H6zM14 14h4v4h-4zM8 10v6h6" },
  { path: "events", label: "Events", module: "events", key: "e", icon: "M13 3L5 14h6l-1 7 8-11h-6z" },
  { path: "schedules", label: "Schedules", module: "schedules", key: "s", icon: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 7v5l3 3" },
  { path: "costs", label: "Costs", module: "costs", key: "c", icon: "M12 3v18M16 7c-1-2-8-2-8 1s8 3 8 7-7 4-8 1" },
  { path: "webhooks", label: "Webhooks", module: "webhooks", key: "h", icon: "M5 12h9M11 8l4 4-4 4M19 5v14" },
  { path: "settings", label: "Settings", module: "settings", key: "t", icon: "M4 8h10M18 8h2M4 16h2M10 16h10M14 6v4M6 14v4" },
  { path: "system", label: "System", module: "system", key: "y", icon: "M4 5h16v6H4zM4 13h16v6H4zM7 8h.5M7 16h.5" },
];
// Addresses with something behind them: their modules, by the first segment.
const DETAILS = { runs: "run", "workflow-runs": "workflow-run", jobs: "job", workflows: "workflow" };

const app = document.getElementById("app");
let who = null;
let main = null;
let nav = null;
const banner = devBanner();
// All tabs share one session: one that shows another project than it acts in would mislead.
const tabs = new BroadcastChannel("strait-session");
tabs.onmessage = ({ data }) => who && data !== identity(who) && location.reload();
const identity = (of) => `${of.project_id} ${of.environment_id} ${of.scopes.join()}`;

async function begin() {
  who = await session().catch(() => null);
  who ||= await login("").catch(() => null);
  onLoggedOut(() => {
    if (!who) return;
    who = null;
    live.end();
    dev.end();
    go(`login?to=${encodeURIComponent(location.pathname + location.search)}`);
  });
  start(render);
}

async function render(segments, signal) {
  const [first, ...rest] = segments;
  if (!who || first === "login") return showLogin();
  if (!main) frame();
  const page = PAGES.find((each) => each.path === first || each.also?.includes(first));
  const module = rest.length && DETAILS[first] ? DETAILS[first] : page?.module;
  mark(page);
  openMenu(false);
  const outlet = h("div", { class: "page" });
  put(main, outlet);
  if (!module) return put(outlet, empty("There is no such page.", "Choose one on the left."));
  try {
    const { show } = await import(`./pages/${module}.js`);
    if (signal.aborted) return undefined;
    await show(outlet, { first: first || "runs", id: rest.join("/"), who, signal });
  } catch (error) {
    if (!signal.aborted && error.name !== "AbortError") put(outlet, failure(error, () => render(segments, signal)));
  }
  if (!signal.aborted) titleFrom(outlet);
  return undefined;
}

function titleFrom(outlet) {
  const heading = outlet.querySelector("h1");
  document.title = heading?.textContent ? `${heading.textContent} · strait` : "strait";
  // Who reads with a screen reader hears where they are now.
  if (document.activeElement === document.body || document.activeElement?.closest("nav"))
    heading?.focus({ preventScroll: true });
}

// ---------------------------------------------------------------------------------------- frame

function frame() {
  main = h("main", { id: "main", tabindex: "-1" });
  nav = h("nav", { "aria-label": "Pages", id: "nav" }, PAGES.map((page) =>
    h("a", { href: to(page.path), data: { page: page.path }, title: `g ${page.key}` }, icon(page.icon), h("span", {}, page.label))));
  const menu = h("button", {
    type: "button", class: "menu", "aria-label": "Menu", "aria-controls": "nav", "aria-expanded": "false",
    onclick: () => openMenu(!document.body.classList.contains("menu-open")),
  }, icon("M4 7h16M4 12h16M4 17h16"));
  const shade = h("button", { type: "button", class: "round", onclick: () => shade.title = `Colours: ${cycleTheme()}`, title: `Colours: ${theme()}`, "aria-label": "Change colours" },
    icon("M12 4a8 8 0 108 8 6 6 0 01-8-8z"));
  const help = h("button", { type: "button", class: "round", onclick: keys.help, title: "Keys (?)", "aria-label": "Keys" }, "?");
  const out = h("button", { type: "button", class: "round", onclick: leave }, "Log out");
  put(app,
    h("header", { class: "top" }, menu, h("a", { href: to(""), class: "brand" }, h("img", { src: iconAddress(), alt: "", width: "22", height: "22" }), "strait"),
      liveMark(), h("span", { class: "project", title: "The project of this session" }, who.project_id),
      h("span", { class: "grow" }), help, shade, out),
    nav, h("div", { class: "stage" }, banner, main));
  keys.begin(PAGES);
  live.begin(who.project_id);
  dev.begin();
}

function openMenu(isOpen) {
  document.body.classList.toggle("menu-open", isOpen);
  app.querySelector(".menu")?.setAttribute("aria-expanded", String(isOpen));
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !document.body.classList.contains("menu-open")) return;
  openMenu(false);
  app.querySelector(".menu")?.focus();
});

function liveMark() {
  const element = h("span", { class: "live", role: "status" });
  const show = () => {
    const state = live.liveState();
    element.className = `live ${state === "live" ? "on" : "off"}`;
    element.textContent = { live: "live", lost: "connecting…" }[state] ?? "not live";
    element.title = state === "refused" ? "This key may not follow what goes on in the whole project: load the page anew to see it." : "";
  };
  document.addEventListener("live-state", show);
  show();
  return element;
}

function mark(page) {
  for (const link of nav.children)
    if (link.dataset.page === page?.path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
}

function icon(path) {
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  picture.append(line);
  return picture;
}

const iconAddress = () => document.querySelector("link[rel=icon]").href;

// ---------------------------------------------------------------------------------------- login

function showLogin() {
  main = null;
  document.title = "Log in · strait";
  const key = h("input", { type: "password", name: "key", autocomplete: "off", required: true, placeholder: "strait_…", id: "key", "aria-describedby": "key-hint" });
  const problem = h("p", { class: "problem", role: "alert" });
  const enter = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      who = await login(key.value.trim());
      tabs.postMessage(identity(who));
      // Who was sent here from a page, or came with its address, goes there.
      const here = location.pathname + location.search;
      const back = new URLSearchParams(location.search).get("to") || here;
      const base = new URL(".", document.baseURI).pathname;
      const path = back.startsWith(base) && !back.startsWith("//") ? back.slice(base.length) : "";
      go(path && !path.startsWith("login") ? path : "runs", { replace: true });
    } catch (error) {
      problem.textContent = error.message;
      key.select();
    }
  };
  put(app, h("main", { id: "main", class: "login" }, h("form", { onsubmit: enter, class: "card" },
    h("h1", {}, h("img", { src: iconAddress(), alt: "", width: "28", height: "28" }), " strait"),
    h("p", {}, "This platform is not on your own machine, or somebody else runs it: log in with an API key."),
    h("label", { for: "key" }, "API key"), key,
    h("p", { class: "quiet", id: "key-hint" }, "The key is sent once and not kept; a session lasts 12 hours."), problem,
    h("button", { type: "submit", class: "button primary" }, "Log in"))));
  key.focus();
}

async function leave() {
  await logout();
  who = null;
  live.end();
  dev.end();
  go("login");
}

begin();

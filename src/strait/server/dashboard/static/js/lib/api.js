// Calls of the public API. The session is a cookie that this code cannot see.

import { parse } from "./json.js";

const base = new URL(".", document.baseURI);

/** What the server refused, in its own words. */
export class ApiError extends Error {
  constructor(status, message, details, requestId) {
    super(message);
    this.status = status;
    this.details = details || [];
    this.requestId = requestId || "";
  }
}

let loggedOut = () => {};
let opening = null;

/** Say what to do when there is no session any more. */
export function onLoggedOut(fn) {
  loggedOut = fn;
}

/** The address of something on this server, below its path prefix. */
export function address(path, query) {
  const url = new URL(path.replace(/^\//, ""), base);
  for (const [name, value] of Object.entries(query || {})) {
    for (const each of Array.isArray(value) ? value : [value])
      if (each !== undefined && each !== null && each !== "") url.searchParams.append(name, each);
  }
  return url;
}

/** Send a request; a session that is over is opened again where that needs no key. */
export async function send(path, options = {}) {
  let answer = await fetch(address(path, options.query), init(options));
  if (answer.status === 401 && (await reopen())) {
    answer = await fetch(address(path, options.query), init(options));
  }
  if (answer.status === 401) loggedOut();
  return answer;
}

async function call(method, path, options = {}) {
  const answer = await send(path, { ...options, method });
  const text = await answer.text();
  const body = parsed(text);
  if (answer.ok) return body;
  const error = (body && body.error) || {};
  const message = error.message || (typeof error === "string" && error) || text || answer.statusText;
  throw new ApiError(answer.status, message, error.details, body && body.request_id);
}

export const get = (path, query, signal) => call("GET", path, { query, signal });
export const post = (path, body, query) => call("POST", path, { body: body ?? {}, query });
export const put = (path, body, query) => call("PUT", path, { body, query });
export const patch = (path, body) => call("PATCH", path, { body });
export const remove = (path, query) => call("DELETE", path, { query });

/** Read all pages of a list, up to `most` rows. */
export async function all(path, query, { signal, most = 1000 } = {}) {
  const rows = [];
  let cursor = "";
  do {
    const page = await get(path, { limit: 100, ...query, cursor }, signal);
    rows.push(...page.data);
    cursor = page.has_more ? page.next_cursor : "";
  } while (cursor && rows.length < most);
  return rows;
}

// ------------------------------------------------------------------------------------- sessions

/** Tell whose session it is, or null. */
export async function session() {
  const answer = await fetch(address("dashboard/session"), { credentials: "same-origin" });
  return answer.status === 200 ? answer.json() : null;
}

/** Begin a session, with a key or, on one's own machine, without. */
export async function login(key) {
  const answer = await fetch(
    address("dashboard/session"),
    init({ method: "POST", body: key ? { api_key: key } : {} }),
  );
  const body = parsed(await answer.text());
  if (answer.ok) return body;
  throw new ApiError(answer.status, (body && body.error && body.error.message) || "cannot log in");
}

export async function logout() {
  await fetch(address("dashboard/session"), init({ method: "DELETE" }));
}

function reopen() {
  opening ||= login("")
    .then(() => true, () => false)
    .finally(() => {
      opening = null;
    });
  return opening;
}

function init({ method = "GET", body, signal, headers }) {
  return {
    method,
    signal,
    credentials: "same-origin",
    headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  };
}

function parsed(text) {
  try {
    return text ? parse(text) : null;
  } catch {
    return null;
  }
}

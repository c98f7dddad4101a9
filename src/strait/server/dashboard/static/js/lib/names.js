// Names of jobs and workflows by id: rows of runs have ids only.

import { all } from "./api.js";

const kinds = {
  jobs: { path: "/v1/jobs", known: new Map(), asked: null },
  workflows: { path: "/v1/workflows", known: new Map(), asked: null },
};

/** Return all jobs or workflows by id, from memory where they are known. */
export async function load(kind, { anew = false, signal } = {}) {
  const of = kinds[kind];
  if (anew || !of.asked) {
    of.asked = all(of.path, {}, { signal }).then(
      (rows) => {
        of.known = new Map(rows.map((row) => [row.id, row]));
        return of.known;
      },
      (error) => {
        of.asked = null;
        throw error;
      },
    );
  }
  return of.asked;
}

/** The name of a job or workflow, or the end of its id while it is unknown. */
export function nameOf(kind, id) {
  return kinds[kind].known.get(id)?.slug || (id ? `…${id.slice(-6)}` : "–");
}

export const known = (kind, id) => kinds[kind].known.get(id);
export const list = (kind) => [...kinds[kind].known.values()];

/** Read names again when a row has an id that is none of them. */
export async function refreshFor(kind, ids) {
  const of = kinds[kind];
  const missing = ids.filter((id) => id && !of.known.has(id) && !of.missed?.has(id));
  if (!missing.length) return false;
  of.missed ||= new Set();
  missing.forEach((id) => of.missed.add(id));
  await load(kind, { anew: true });
  return true;
}

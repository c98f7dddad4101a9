// The recorded steps of a run, of which there may be thousands: what was read is not read again.

import * as api from "./api.js";

const MOST = 10000;
const NOT_TOLD = [404, 405, 501];

/** Return a function that reads the steps of a run, each time only what is new. */
export function stepReader(id, signal) {
  let rows = [];
  // Where the last page begins: what lies before it does not change any more.
  let cursor = "";
  let before = 0;
  let going = null;
  async function read() {
    const found = rows.slice(0, before);
    for (;;) {
      const page = await api.get(`/v1/runs/${encodeURIComponent(id)}/steps`, { limit: 100, cursor }, signal);
      found.push(...page.data);
      if (!page.has_more || found.length >= MOST) break;
      before = found.length;
      cursor = page.next_cursor;
    }
    rows = found;
    return rows;
  }
  /** `anew` forgets what was read: steps are marked as undone afterwards. */
  return async ({ anew = false } = {}) => {
    await going?.catch(() => null);
    if (anew) [rows, cursor, before] = [[], "", 0];
    going = read();
    return going.catch((error) => {
      if (NOT_TOLD.includes(error.status)) return [];
      throw error;
    });
  };
}

/** All recorded steps of a run. */
export const allSteps = (id, signal) => stepReader(id, signal)();

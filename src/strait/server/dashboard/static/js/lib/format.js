// How figures and times are written.

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});

export const count = (value) => number.format(value ?? 0);

/** `850 ms`, `4.2 s`, `3 m 12 s`, `2 h 5 m`, `4 d 3 h`. */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const secs = ms / 1000;
  if (secs < 60) return `${secs.toFixed(secs < 10 ? 2 : 1)} s`;
  const minutes = Math.floor(secs / 60);
  if (minutes < 60) return `${minutes} m ${Math.floor(secs % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `12 s ago`, `in 3 m`. */
export function ago(text, now = Date.now()) {
  const at = instant(text);
  if (at === null) return "–";
  const secs = Math.round((now - at) / 1000);
  const size = Math.abs(secs);
  const words =
    size < 2 ? "" :
    size < 60 ? `${size} s` :
    size < 3600 ? `${Math.floor(size / 60)} m` :
    size < 86400 ? `${Math.floor(size / 3600)} h` :
    `${Math.floor(size / 86400)} d`;
  if (!words) return "now";
  return secs < 0 ? `in ${words}` : `${words} ago`;
}

export const when = (text) => (instant(text) === null ? "–" : day.format(instant(text)));
export const hour = (text) => time(text).slice(0, 5);
export const time = (text) => (instant(text) === null ? "–" : clock.format(instant(text)));

/** Milliseconds since 1970 of an RFC 3339 text, or null; "for ever" is null too. */
export function instant(text) {
  if (!text || text.startsWith("9999")) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : at;
}

/** How long something took or has been taking. */
export function took(from, until, now = Date.now()) {
  const start = instant(from);
  return start === null ? null : (instant(until) ?? now) - start;
}

/** Micro-dollars as dollars. */
export function money(micro) {
  const dollars = (micro || 0) / 1e6;
  if (!dollars) return "$0";
  return `$${dollars.toFixed(dollars < 0.01 ? 5 : dollars < 1 ? 4 : 2)}`;
}

export const percent = (share) => `${number.format(share)} %`;

/** The part of an id that tells it from others: they begin with the time. */
export const short = (id) => (id && id.length > 12 ? id.slice(-8) : id || "–");

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const words = (text) => String(text || "").replaceAll("_", " ");

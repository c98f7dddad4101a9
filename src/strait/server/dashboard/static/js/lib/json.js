// JSON that keeps whole numbers as they are: a script holds them exactly up to 2^53 only, and an id of
// 64 bits that was shown, edited and sent back would be another one.

const IS_EXACT = typeof JSON.rawJSON === "function";
const MANY_DIGITS = /\d{16}/;
const WHOLE = /^-?\d+$/;

/** Read a text; numbers that a script would round stay as they are written, where a browser can. */
export function parse(text) {
  return JSON.parse(text, IS_EXACT && MANY_DIGITS.test(text) ? kept : undefined);
}

function kept(key, value, context) {
  const isRounded = typeof value === "number" && !Number.isSafeInteger(value) && WHOLE.test(context?.source ?? "");
  return isRounded ? JSON.rawJSON(context.source) : value;
}

/** A number that was kept as it was written, as what a field of a form shows. */
export const written = (value) => (isKept(value) ? value.rawJSON : value);

export const isKept = (value) => IS_EXACT && JSON.isRawJSON(value);

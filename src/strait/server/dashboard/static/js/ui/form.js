// A form from a JSON schema. What a form cannot show well is asked for as JSON, and the server has
// the last word about everything.

import { h, put } from "../lib/dom.js";
import * as exact from "../lib/json.js";
import { field } from "./dialog.js";

/**
 * Make a form for a schema, filled with a value. `read()` gives what was entered, or throws.
 */
export function schemaForm(schema, value) {
  const simple = isSimple(schema);
  const raw = h("textarea", { rows: "10", spellcheck: "false", class: "mono", "aria-label": "Payload as JSON" });
  raw.value = JSON.stringify(value ?? example(schema), null, 2) ?? "";
  let fields = simple ? inputs(schema, value ?? {}) : null;
  let asJson = !simple;
  const place = h("div", { class: "form-fields" });
  const toggle = h("button", {
    type: "button", class: "button small",
    onclick: () => {
      if (asJson) fields = inputs(schema, parse(raw.value) ?? {});
      else raw.value = JSON.stringify(collect(fields), null, 2);
      asJson = !asJson;
      show();
    },
  });

  function show() {
    toggle.textContent = asJson ? "Edit as a form" : "Edit as JSON";
    put(place, asJson ? h("div", { class: "field" }, h("span", {}, "Payload"), raw) : fields.map((each) => each.element));
  }
  show();
  return {
    element: h("div", { class: "schema-form" }, place, simple && toggle),
    read() {
      if (!asJson) return collect(fields);
      const text = raw.value.trim();
      if (!text) return undefined;
      const found = parse(text);
      if (found === undefined) throw new Error("the payload is not valid JSON");
      return found;
    },
  };
}

function parse(text) {
  try {
    return exact.parse(text);
  } catch {
    return undefined;
  }
}

function isSimple(schema) {
  const properties = Object.values(schema?.properties || {});
  return schema?.type === "object" && properties.length > 0 && properties.length <= 30 && schema.additionalProperties !== true;
}

/** A value to begin with: defaults, and what has to be there. */
export function example(schema) {
  if (!schema || typeof schema !== "object") return {};
  if (schema.default !== undefined) return schema.default;
  if (schema.examples?.length) return schema.examples[0];
  if (schema.enum) return schema.enum[0];
  const kind = kindOf(schema);
  if (kind === "object")
    return Object.fromEntries(Object.entries(schema.properties || {})
      .filter(([name, each]) => schema.required?.includes(name) || each.default !== undefined)
      .map(([name, each]) => [name, example(each)]));
  return { string: "", integer: 0, number: 0, boolean: false, array: [] }[kind] ?? {};
}

function kindOf(schema) {
  const types = [schema.type].flat();
  return types.find((type) => type && type !== "null") || (schema.anyOf || []).map(kindOf).find((type) => type !== "null") || "any";
}

function inputs(schema, value) {
  return Object.entries(schema.properties).map(([name, each]) =>
    input(name, each, value[name], (schema.required || []).includes(name)));
}

function input(name, schema, value, required) {
  const given = value ?? schema.default;
  const kind = schema.enum ? "enum" : kindOf(schema);
  const hint = [schema.description, required ? "" : "optional"].filter(Boolean).join(" · ");
  const label = schema.title && schema.title.toLowerCase() !== name.replaceAll("_", " ") ? `${schema.title} (${name})` : name;
  const common = { name, required, "aria-required": String(required) };
  let control, read;
  if (kind === "enum") {
    control = h("select", common, !required && h("option", { value: "" }, "–"),
      schema.enum.map((each) => h("option", { value: JSON.stringify(each) }, String(each))));
    control.value = given === undefined ? (required ? JSON.stringify(schema.enum[0]) : "") : JSON.stringify(given);
    read = () => (control.value ? parse(control.value) : undefined);
  } else if (kind === "boolean") {
    control = h("input", { ...common, type: "checkbox", required: false });
    control.checked = Boolean(given);
    read = () => (control.checked || required || given !== undefined ? control.checked : undefined);
  } else if (kind === "integer" || kind === "number") {
    control = h("input", { ...common, type: "number", step: kind === "integer" ? "1" : "any", min: schema.minimum, max: schema.maximum });
    control.value = exact.written(given) ?? "";
    read = () => number(name, control, required);
  } else if (kind === "string") {
    control = (schema.maxLength || 0) > 200 ? h("textarea", { ...common, rows: "3" }) : h("input", { ...common, type: "text", autocomplete: "off" });
    control.value = given ?? "";
    read = () => (control.value || required ? control.value : undefined);
  } else {
    control = h("textarea", { ...common, rows: "4", class: "mono", spellcheck: "false" });
    control.value = given === undefined ? "" : JSON.stringify(given, null, 2);
    read = () => {
      if (!control.value.trim()) return undefined;
      const found = parse(control.value);
      if (found === undefined) throw new Error(`\`${name}\` is not valid JSON`);
      return found;
    };
  }
  return { name, element: field(label, control, hint), read };
}

function number(name, control, required) {
  if (control.value === "") {
    if (required) throw new Error(`\`${name}\` is needed`);
    return undefined;
  }
  // As it is written, unless only a field of a form takes it for a number, as in `007`.
  return parse(control.value) ?? Number(control.value);
}

function collect(fields) {
  const value = {};
  for (const each of fields) {
    const found = each.read();
    if (found !== undefined) value[each.name] = found;
  }
  return value;
}

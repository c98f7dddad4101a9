// Questions: the browser's own modal dialog, which keeps the focus and closes with Escape.

import { focusIn, h } from "../lib/dom.js";

/**
 * Ask something. `body` is an element or several; `read()` gives the answer and may throw to keep
 * the dialog open with the message; `alone` leaves out the button that dismisses it. Resolves to the
 * answer, or undefined when it was dismissed.
 */
export function ask(title, body, { confirm = "OK", kind = "primary", alone = false, read = () => true } = {}) {
  return new Promise((resolve) => {
    let answer;
    const problem = h("p", { class: "problem", role: "alert" });
    const submit = async (event) => {
      event.preventDefault();
      problem.textContent = "";
      yes.disabled = true;
      try {
        answer = await read();
        dialog.close();
      } catch (error) {
        const details = (error.details || []).map((each) => (typeof each === "string" ? each : each.message));
        problem.textContent = [error.message, ...details].filter(Boolean).join(" · ");
      } finally {
        yes.disabled = false;
      }
    };
    const yes = h("button", { type: "submit", class: `button ${kind}` }, confirm);
    const no = !alone && h("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Cancel");
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" },
      h("form", { onsubmit: submit, novalidate: true },
        h("h2", { id: "dialog-title" }, title), h("div", { class: "dialog-body" }, body), problem,
        h("div", { class: "dialog-actions" }, no, yes)));
    // What asked may have been drawn anew meanwhile; the browser knows the old one only.
    const back = focusIn(document.getElementById("main") ?? document.body);
    dialog.addEventListener("close", () => {
      dialog.remove();
      back();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Ask whether something should be done. */
export const sure = (title, text, confirm, kind = "danger") =>
  ask(title, h("p", {}, text), { confirm, kind });

/** A text that is asked for. */
export function field(label, input, hint) {
  return h("label", { class: "field" }, h("span", {}, label), input, hint && h("small", {}, hint));
}

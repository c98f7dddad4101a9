// Approving and rejecting a step, in the name of a person.

import * as api from "../lib/api.js";
import { h } from "../lib/dom.js";
import { ask, field } from "../ui/dialog.js";
import { toast } from "../ui/toast.js";

const NAME = "strait-name";

function nameField() {
  const input = h("input", { type: "text", autocomplete: "name", required: true, maxlength: "200", value: remembered() });
  return {
    element: field("Your name", input, "It is kept with the decision."),
    read() {
      const name = input.value.trim();
      if (!name) throw new Error("say who you are");
      try {
        localStorage.setItem(NAME, name);
      } catch {
        // It is asked for again then.
      }
      return name;
    },
  };
}

function remembered() {
  try {
    return localStorage.getItem(NAME) || "";
  } catch {
    return "";
  }
}

const at = (runId, ref) => `/v1/workflow-runs/${encodeURIComponent(runId)}/steps/${encodeURIComponent(ref)}`;

export async function approve(runId, ref) {
  const name = nameField();
  const done = await ask(`Approve “${ref}”`, name.element, {
    confirm: "Approve", read: () => api.post(`${at(runId, ref)}/approve`, { approver: name.read() }),
  });
  if (done) toast("Approved");
  return done;
}

export async function reject(runId, ref) {
  const name = nameField();
  const reason = h("textarea", { rows: "3", required: true, maxlength: "2000" });
  const done = await ask(`Reject “${ref}”`, [name.element, field("Reason", reason, "The step fails with it.")], {
    confirm: "Reject", kind: "danger",
    read: () => {
      if (!reason.value.trim()) throw new Error("say why");
      return api.post(`${at(runId, ref)}/reject`, { approver: name.read(), reason: reason.value.trim() });
    },
  });
  if (done) toast("Rejected");
  return done;
}

// One small dialog that asks for a few words: the token, or who acknowledges an incident.

import { h, put } from "./dom.js";
import { t } from "./i18n.js";

/**
 * Ask; the answers by field name, or null when the person cancelled.
 * fields: {name, label, value, required, multiline, secret, maxlength}. send(answers): may throw, then the dialog stays.
 */
export function ask(dialog, { title, why, action, fields, send = async () => {}, cancel = true, error = "" }) {
  return new Promise((resolve) => {
    const message = h("p.ask-error", { role: "alert" }, error);
    const inputs = fields.map((field) => {
      const common = { id: `ask-${field.name}`, name: field.name, required: field.required, maxlength: field.maxlength, autocomplete: field.secret ? "off" : "name" };
      const input = field.multiline ? h("textarea", { ...common, rows: 3, autocomplete: "off" }) : h("input", { ...common, type: field.secret ? "password" : "text" });
      input.value = field.value ?? "";
      return [h("label", { for: common.id }, field.label), input];
    });
    let answers = null;
    const submit = h("button.main", { type: "submit" }, action);
    const form = h("form", {
      onsubmit: async (event) => {
        event.preventDefault();
        const given = Object.fromEntries(fields.map((field) => [field.name, form.elements[field.name].value.trim()]));
        submit.disabled = true;
        try {
          await send(given);
          answers = given;
          dialog.close();
        } catch (problem) {
          message.textContent = t("failed", problem.message);
        }
        submit.disabled = false;
      },
    }, h("h2", {}, title), h("p.quiet", {}, why), inputs, message,
    h("div.ask-buttons", {}, cancel ? h("button.ghost", { type: "button", onclick: () => dialog.close() }, t("cancel")) : null, submit));
    put(dialog, form);
    dialog.addEventListener("close", () => resolve(answers), { once: true });
    dialog.showModal();
    form.elements[fields[0].name].focus();
  });
}

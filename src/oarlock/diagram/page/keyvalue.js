/** Puts and gets by hand, and what they took. */

import { make } from "oarlock/dom.js";
import { order } from "oarlock/orders.js";

/** Answers that stay on the page. */
const KEPT = 50;

export class KeyValue {
  /** @param {HTMLElement} element @param {Extras} extras */
  constructor(element, extras) {
    this.extras = extras;
    const field = (/** @type {string} */ name, /** @type {string} */ value) => /** @type {HTMLInputElement} */ (make("input", { name, value, "aria-label": name, spellcheck: "false", autocomplete: "off", maxlength: 1000 }));
    this.key = field("key", "hello");
    this.value = field("value", "world");
    this.by = /** @type {HTMLSelectElement} */ (make("select", { "aria-label": "By server" }, make("option", { value: "" }, "any server"),
      ...(extras.live?.servers ?? []).map((server) => make("option", { value: server.name }, server.name))));
    this.answers = make("ol", { class: "answers", "aria-live": "polite" });
    const form = make("form", { onsubmit: (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      void this.#call(/** @type {HTMLButtonElement} */ (event.submitter)?.value ?? "put");
    } }, this.key, this.value, this.by, make("button", { value: "put" }, "Put"), make("button", { value: "get" }, "Get"));
    element.classList.add("keyvalue");
    element.append(make("p", { class: "hint" }, "Any server takes a call; what it cannot do itself goes to the leader."), form, this.answers);
  }

  /** @param {string} op */
  async #call(op) {
    const call = { op, key: this.key.value, value: op === "put" ? this.value.value : "", server: this.by.value };
    const row = make("li", {}, make("code", {}, op === "put" ? `put ${call.key} ${call.value}` : `get ${call.key}`), make("span", {}, "…"));
    this.answers.prepend(row);
    if (this.answers.children.length > KEPT) this.answers.lastElementChild?.remove();
    const answer = await order(this.extras, this.extras.live?.kv ?? "", call);
    row.classList.toggle("bad", Boolean(answer.error));
    row.replaceChildren(/** @type {Node} */ (row.firstChild), make("span", {}, told(op, answer)));
  }
}

/** @param {string} op @param {Record<string, any>} answer */
function told(op, answer) {
  const by = answer.server ? ` by ${answer.server}` : "";
  const took = answer.ms === undefined ? "" : `, ${answer.ms} ms`;
  if (answer.error) return `${answer.error}${by}${took}`;
  if (op === "put") return `revision ${answer.revision}${by}${took}`;
  return `${answer.value === null ? "no such key" : answer.value}${by}${took}`;
}

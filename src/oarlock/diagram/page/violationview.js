/** The banner of a run in which a property fell: what, where it began, who shows it, and what that teaches. */

import { make } from "oarlock/dom.js";
import { violations } from "oarlock/violation.js";

export class ViolationBanner {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.element = element;
    this.store = store;
    this.extras = extras;
    this.found = violations(store.run, extras);
    element.hidden = !this.found.length;
    if (this.found[0]?.asked) store.set({ why: this.found[0].asked });
    element.append(...this.found.slice(0, 3).map((each) => this.#banner(each)));
    if (this.found.length > 3) element.append(make("p", { class: "hint" }, `${this.found.length - 3} more violations follow; key v goes to each.`));
  }

  /** @param {import("oarlock/violation.js").Violated} found */
  #banner(found) {
    const first = found.firstDivergence;
    const parted = found.parted;
    const isWhereTheyPart = Boolean(first && parted?.one === first.id);
    const rule = this.extras.rules[found.rule];
    return make("details", { class: "violated", open: true },
      make("summary", {}, make("strong", {}, found.figure3 || found.property), " does not hold",
        found.figure3 && found.figure3.toLowerCase() !== found.property ? make("span", { class: "by" }, ` · seen by “${found.property}”`) : undefined),
      make("p", { class: "what" }, ...this.#linked(found.sentence)),
      make("p", { class: "places" },
        ...(first ? [make("span", {}, `${rule ? "First wrong step" : "First sign"}${isWhereTheyPart ? ", where the repaired run parts" : ""} `), this.#event(first.id, first.sentence)] : []),
        ...(parted?.one && !isWhereTheyPart ? [make("span", {}, " Parts from the repaired run "), this.#event(parted.one, parted.told_one)] : []),
        ...(found.witnesses.length ? [make("span", {}, " Witnesses "), ...found.witnesses.map((each) => this.#event(each.id, each.sentence))] : []),
        found.asked ? make("button", { class: "ask", onclick: () => this.#ask(found.asked) }, "Why? Show the chain") : undefined),
      ...(found.missing?.missing.length ? [make("ul", {}, ...found.missing.missing.map((each) =>
        make("li", {}, each.sentence, each.id ? " · since " : "", each.id ? this.#event(each.id, each.sentence) : "")))] : []),
      rule ? make("p", { class: "what" }, make("code", {}, found.rule), " ", rule.sentence, rule.reason ? make("span", { class: "hint" }, ` ${rule.reason}`) : undefined) : undefined,
      make("p", { class: "lesson" }, found.means ? make("em", {}, `${found.means} `) : undefined, found.lesson));
  }

  /** @param {string} id @param {string} title */
  #event(id, title) {
    return make("button", { class: "event", title, onclick: () => this.#go(id) }, id);
  }

  /** @param {string} id */
  #go(id) {
    this.store.goTo(this.store.run.position(id), { select: true });
  }

  /** @param {string} asked */
  #ask(asked) {
    this.#go(asked.split(":")[0]);
    this.store.set({ why: asked, view: "why" });
  }

  /** A sentence in which ids of events lead there. @param {string} text @returns {(Node | string)[]} */
  #linked(text) {
    return text.split(/(n[0-9a-f]+\.\d+\.\d+)/).map((part, at) => (at % 2 ? this.#event(part, "Go there") : part));
  }
}

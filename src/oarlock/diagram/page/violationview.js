/** The banner of a run in which a property fell: what, where it began, who shows it, and what that teaches.
 * Of a run that goes on it comes when a step breaks a rule. */

import { make } from "oarlock/dom.js";
import { violations } from "oarlock/violation.js";
import { labelOf, named } from "oarlock/words.js";

/** Further wrong steps that are shown. */
const MOST_LATER = 6;

export class ViolationBanner {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.element = element;
    this.store = store;
    this.extras = extras;
    this.forgotten = store.run.forgotten;
    const { watch } = store;
    /** @type {import("oarlock/violation.js").Violated[]} */
    this.found = [];
    if (!watch) {
      this.#show(violations(store.run, extras));
      return;
    }
    // Whoever does not see it is told as well.
    element.setAttribute("role", "alert");
    store.subscribe((_, changed) => {
      if (changed.has("judged") && watch.explained !== this.found) this.#show(watch.explained);
      if (changed.has("run") && store.run.forgotten !== this.forgotten) this.#forget();
    });
  }

  /** @param {import("oarlock/violation.js").Violated[]} found */
  #show(found) {
    const { element, store } = this;
    const isFirst = !this.found.length;
    const open = [...element.querySelectorAll("details")].map((each) => each.open);
    this.found = found;
    element.hidden = !found.length;
    if (isFirst && found[0]?.asked && !store.shared.why) store.set({ why: found[0].asked });
    element.replaceChildren(...found.slice(0, 3).map((each, at) => this.#banner(each, open[at] ?? true)));
    if (found.length > 3) element.append(make("p", { class: "hint" }, `${found.length - 3} more violations follow; key v goes to each.`));
    const later = found[0]?.isStep ? this.#later() : undefined;
    if (later) element.append(later);
  }

  /** Steps after the first that the rules do not allow either. */
  #later() {
    const { judge } = this.store.watch ?? {};
    const steps = judge?.wrongSteps.slice(1) ?? [];
    if (!judge || !steps.length) return undefined;
    const rest = steps.length - MOST_LATER;
    const sentenceOf = (/** @type {string} */ id) => judge.audit.found.find((each) => each.id === id)?.sentence ?? "";
    return make("div", { class: "violated" }, make("p", { class: "places" }, steps.length === 1 ? "One more wrong step " : `${steps.length} more wrong steps `,
      ...steps.slice(0, MOST_LATER).map((id) => this.#event(id, sentenceOf(id))), rest > 0 ? ` and ${rest} more` : undefined));
  }

  /** Events that were let go cannot be gone to. */
  #forget() {
    const { run } = this.store;
    this.forgotten = run.forgotten;
    for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (this.element.querySelectorAll("button[data-event]"))) {
      button.disabled = run.position(button.dataset.event ?? "") < 0;
      if (button.disabled) button.title = `${button.dataset.told} (This event was let go to make room.)`;
    }
  }

  /** @param {import("oarlock/violation.js").Violated} found @param {boolean} open */
  #banner(found, open) {
    const first = found.firstDivergence;
    const parted = found.parted;
    const isWhereTheyPart = Boolean(first && parted?.one === first.id);
    const rule = this.extras.rules[found.rule];
    return make("details", { class: "violated", open }, this.#heading(found, rule),
      make("p", { class: "what" }, ...this.#linked(found.sentence)),
      make("p", { class: "places" },
        ...(first ? [make("span", {}, `${rule ? "First wrong step" : "First sign"}${isWhereTheyPart ? ", where the repaired run parts" : ""} `), this.#event(first.id, first.sentence)] : []),
        ...(parted?.one && !isWhereTheyPart ? [make("span", {}, " Parts from the repaired run "), this.#event(parted.one, parted.told_one)] : []),
        ...(found.witnesses.length ? [make("span", {}, " Witnesses "), ...found.witnesses.map((each) => this.#event(each.id, each.sentence))] : []),
        found.asked ? make("button", { class: "ask", "data-event": found.asked.split(":")[0], "data-told": "", onclick: () => this.#ask(found.asked) }, "Why? Show the chain") : undefined),
      ...(found.missing?.missing.length ? [make("ul", {}, ...found.missing.missing.map((each) =>
        make("li", {}, this.#named(each.sentence), each.id ? " · since " : "", each.id ? this.#event(each.id, each.sentence) : "")))] : []),
      rule ? make("p", { class: "what" }, make("code", {}, found.rule), " ", rule.sentence, rule.reason ? make("span", { class: "hint" }, ` ${rule.reason}`) : undefined) : undefined,
      make("p", { class: "lesson" }, found.means ? make("em", {}, `${found.means} `) : undefined, found.lesson));
  }

  /** What is known: that a property does not hold, or only that a step is wrong, from which it can come to fall.
   * @param {import("oarlock/violation.js").Violated} found @param {RuleText | undefined} rule */
  #heading(found, rule) {
    const name = found.figure3 || found.property;
    if (found.isStep) {
      return make("summary", {}, make("strong", {}, rule ? `A step breaks rule ${found.rule}` : "Something has gone wrong"),
        make("span", { class: "by" }, ` · at stake: ${name}`));
    }
    return make("summary", {}, make("strong", {}, name), " does not hold",
      found.figure3 && found.figure3.toLowerCase() !== found.property ? make("span", { class: "by" }, ` · seen by “${found.property}”`) : undefined);
  }

  /** @param {string} text */
  #named(text) {
    return named(text, this.store.run.header.nodes ?? {});
  }

  /** @param {string} id @param {string} title */
  #event(id, title) {
    const { header } = this.store.run;
    const told = this.#named(title);
    return make("button", { class: "event", title: told, "data-event": id, "data-told": told, onclick: () => this.#go(id) }, labelOf(header, id));
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
    // Brackets and full stops stay with their id at the end of a line.
    return text.split(/(\(?n[0-9a-f]+\.\d+\.\d+\)?[.:]?)/).map((part, at) => {
      if (at % 2 === 0) return this.#named(part);
      const id = /** @type {RegExpExecArray} */ (/n[0-9a-f]+\.\d+\.\d+/.exec(part))[0];
      const [before, after] = part.split(id);
      return make("span", { class: "whole" }, before, this.#event(id, "Go there"), after);
    });
  }
}

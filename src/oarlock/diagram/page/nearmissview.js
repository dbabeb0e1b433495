/** The panel of near-misses: by rule, those that were close first, each with what would have come of it. */

import { follow, make } from "oarlock/dom.js";
import { nearMisses } from "oarlock/nearmiss.js";

/** Of one rule, before the rest is asked for. */
const SHOWN = 6;

export class NearMissView {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.element = element;
    this.store = store;
    this.extras = extras;
    this.length = -1;
    element.classList.add("nearmisses");
    follow(element, store, ["run", "view"], () => this.draw());
  }

  draw() {
    const { run } = this.store;
    if (run.length === this.length) return;
    this.length = run.length;
    /** @type {Map<string, import("oarlock/nearmiss.js").NearMiss[]>} */
    const byRule = new Map();
    for (const found of nearMisses(run, this.extras)) byRule.set(found.rule, [...(byRule.get(found.rule) ?? []), found]);
    const closeOf = (/** @type {string} */ rule) => (byRule.get(rule) ?? []).filter((each) => each.isClose).length;
    const rules = [...byRule.keys()].sort((a, b) => closeOf(b) - closeOf(a) || (a < b ? -1 : 1));
    this.element.replaceChildren(
      make("p", { class: "hint" }, rules.length
        ? "Guards that said no. Where a mark ● stands, everything else for the harm was there: the guard was needed."
        : "No guard had to refuse anything."),
      ...rules.map((rule) => this.#rule(rule, byRule.get(rule) ?? [])));
  }

  /** @param {string} rule @param {import("oarlock/nearmiss.js").NearMiss[]} found */
  #rule(rule, found) {
    const close = found.filter((each) => each.isClose);
    const rows = [...close, ...found.filter((each) => !each.isClose)];
    const list = make("ul", {}, ...rows.slice(0, SHOWN).map((each) => this.#row(each)));
    const more = rows.length > SHOWN ? make("button", {
      onclick: (/** @type {Event} */ click) => {
        list.append(...rows.slice(SHOWN, SHOWN + 500).map((each) => this.#row(each)));
        /** @type {HTMLElement} */ (click.currentTarget).remove();
      },
    }, `${rows.length - SHOWN} more`) : undefined;
    return make("details", { open: close.length > 0 },
      make("summary", {}, make("code", {}, rule), " ", this.extras.rules[rule]?.sentence ?? "",
        make("span", { class: "count" }, ` ×${found.length}${close.length ? `, ${close.length} close` : ""}`)),
      list, more);
  }

  /** @param {import("oarlock/nearmiss.js").NearMiss} found */
  #row(found) {
    const known = this.extras.properties[found.property]?.figure3 || found.property;
    return make("li", { class: found.isClose ? "close" : "" },
      make("button", { class: "event", title: "Go there", onclick: () => this.store.goTo(this.store.run.position(found.id), { select: true }) }, found.id),
      " ", found.sentence, make("span", { class: "harm" }, ` Else ${found.harm}: ${known}.`));
  }
}

/** Two runs: what the comparison is to answer, where they part, the second one's diagram, and all that differs. */

import { make } from "oarlock/dom.js";
import { readRun } from "oarlock/load.js";
import { lowerBound } from "oarlock/run.js";
import { SpaceTime } from "oarlock/spacetime.js";
import { Store } from "oarlock/store.js";

export class DiffView {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.element = element;
    this.store = store;
    this.extras = extras;
    /** Whether the page was opened at an event: then it stays there. */
    this.isSentTo = new URLSearchParams(location.hash.slice(1)).has("e");
    this.compared = /** @type {Compared} */ (extras.compared);
    /** Of the second run, once it is read. @type {Store | undefined} */
    this.other = undefined;
    this.scene = make("section", { class: "other", "aria-label": `Space-time diagram of the second run: ${this.compared.names[1]}` });
    this.follows = /** @type {HTMLInputElement} */ (make("input", { type: "checkbox", checked: true, onchange: () => this.#follow() }));
    element.classList.add("parting");
    element.append(this.#head(), this.scene, ...this.compared.comparison.parts.map((part) => this.#part(part)));
    store.set({ view: "diff" });
    store.subscribe((_, changed) => {
      if (changed.has("window") || changed.has("cursor") || changed.has("axis")) this.#follow();
    });
    /** Settled once the second run is there. */
    this.ready = this.#load();
  }

  async #load() {
    const run = await readRun(this.compared.trace, () => {});
    this.other = new Store(run);
    this.view = new SpaceTime(this.scene, this.other, this.extras);
    const { first } = this.compared.comparison;
    this.#go(this.isSentTo ? "" : (first?.one ?? ""), this.isSentTo ? "" : (first?.other ?? ""));
    this.#follow();
  }

  #head() {
    const { names, question, comparison } = this.compared;
    const { first } = comparison;
    return make("div", { class: "head" },
      question ? make("p", { class: "question" }, question) : undefined,
      first ? make("dl", { class: "parted" }, ...[[names[0], first.one, first.told_one], [names[1], first.other, first.told_other]].flatMap(([name, id, told], at) => [
        make("dt", {}, name), make("dd", {}, id ? this.#link(id, at ? "" : id, at ? id : "") : undefined, " ", told)]))
        : make("p", {}, "The servers do the same in both runs."),
      make("label", { class: "hint" }, this.follows, ` Left: ${names[0]}. Below: ${names[1]}, at the same time`));
  }

  /** @param {ComparedPart} part */
  #part(part) {
    const count = part.rows.length + part.left_out;
    return make("details", { open: part.rows.length <= 8 },
      make("summary", {}, make("strong", {}, part.title), make("span", { class: "count" }, ` ${count}`)),
      make("ul", {}, ...part.rows.map((row) => make("li", {}, row.sentence, " ",
        row.one ? this.#link(row.one, row.one, row.other) : undefined, row.one && row.other ? " " : undefined,
        row.other ? this.#link(row.other, row.one, row.other) : undefined))),
      part.left_out ? make("p", { class: "hint" }, `${part.left_out} more are left out.`) : undefined);
  }

  /** @param {string} text @param {string} one Where to go in the first run. @param {string} other And in the second. */
  #link(text, one, other) {
    return make("button", { class: "event", title: other ? (one ? "Go there in both runs" : "Go there in the second run") : "Go there", onclick: () => this.#go(one, other) }, text);
  }

  /** Both runs to where they are to be looked at. @param {string} one @param {string} other */
  #go(one, other) {
    if (one) this.store.goTo(this.store.run.position(one), { select: true });
    if (!this.other || !other) return;
    const position = this.other.run.position(other);
    this.other.goTo(position, { select: true });
    if (one || position < 0) return;
    // What only the second run has: the first goes to that time.
    const { run } = this.store;
    this.store.goTo(Math.min(run.length - 1, lowerBound(run.t.data, run.length, this.other.run.t.data[position])));
  }

  /** Show the second run at the time at which the first is. */
  #follow() {
    const { other, store } = this;
    if (!other || !this.follows.checked) return;
    const at = (/** @type {number} */ position) => {
      const whole = Math.min(store.run.length - 1, Math.max(0, Math.round(position)));
      return lowerBound(other.run.t.data, other.run.length, store.run.t.data[whole]);
    };
    const [from, to] = store.shared.window.map(at);
    other.set({ window: other.clampWindow(from, Math.max(to, from + 8)), axis: store.shared.axis, showsHeartbeats: store.shared.showsHeartbeats });
  }
}

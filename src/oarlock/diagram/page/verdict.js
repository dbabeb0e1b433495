/** In a few words, how a run that goes on has kept the rules so far; and the way to what is unresolved. */

import { MOST_FOUND } from "oarlock/audit.js";
import { make } from "oarlock/dom.js";

export class Verdict {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {import("oarlock/watch.js").Watch} watch */
  constructor(element, store, watch) {
    this.watch = watch;
    this.store = store;
    this.said = "";
    this.words = /** @type {HTMLButtonElement} */ (make("button", {
      class: "words", disabled: true, title: "Go to what is wrong", onclick: () => document.getElementById("violations")?.scrollIntoView({ block: "nearest" }),
    }));
    this.unresolved = make("button", { class: "unresolved", hidden: true, title: "What cannot be judged, since earlier events are not here", onclick: () => this.#show() });
    if (element.textContent) element.append(" · ");
    element.append(make("span", { class: "judged" }, this.words, " ", this.unresolved));
    store.subscribe((_, changed) => changed.has("judged") && this.draw());
  }

  draw() {
    const { judge, behind } = this.watch;
    const steps = judge.wrongSteps.length;
    const open = judge.gaps.length + judge.gapsUntold + judge.doubts.length + judge.audit.doubtsUntold;
    const wrong = !steps ? "none against the rules" : `${judge.audit.found.length >= MOST_FOUND ? "at least " : ""}${steps} against the rules`;
    const said = `${judge.known.count.toLocaleString("en")} steps judged, ${wrong}${behind > 1000 ? `; ${behind.toLocaleString("en")} wait` : ""}`;
    if (said !== this.said) this.words.textContent = this.said = said;
    this.words.classList.toggle("bad", steps > 0);
    this.words.disabled = !steps;
    this.unresolved.hidden = !open;
    const text = `${open.toLocaleString("en")} unresolved`;
    if (this.unresolved.textContent !== text) this.unresolved.textContent = text;
  }

  #show() {
    this.store.set({ view: "nearmiss" });
    const details = /** @type {HTMLDetailsElement | null} */ (document.querySelector(".nearmisses details.open"));
    if (details) details.open = true;
  }
}

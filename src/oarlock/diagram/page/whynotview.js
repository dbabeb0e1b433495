/** The panel that asks why something has not happened, at the cursor. */

import { follow, make } from "oarlock/dom.js";
import { lastIndex } from "oarlock/state.js";
import { whyNot } from "oarlock/whynot.js";

export class WhyNotView {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.store = store;
    this.extras = extras;
    element.classList.add("why");
    this.input = /** @type {HTMLInputElement} */ (make("input", { "aria-label": "What has not happened", placeholder: "index 17 committed", oninput: () => this.draw() }));
    this.answer = make("div", { "aria-live": "polite" });
    element.append(
      make("div", { class: "whyhead" }, make("h3", {}, "Why not"), this.input,
        make("button", { onclick: () => this.ask("leader") }, "a leader?"),
        make("button", { onclick: () => this.ask(`index ${this.nextIndex()} committed`) }, "the next index committed?")),
      this.answer,
    );
    follow(element, store, ["cursor", "run", "view"], () => this.draw());
  }

  /** The first index that no server knows to be committed. */
  nextIndex() {
    const states = [...this.store.run.track.at(this.store.shared.cursor).servers.values()];
    const commit = Math.max(0, ...states.map((state) => state.commit));
    return Math.max(1, Math.min(commit + 1, Math.max(...states.map(lastIndex), commit + 1)));
  }

  /** @param {string} question */
  ask(question) {
    this.input.value = question;
    this.draw();
  }

  draw() {
    const { run, shared } = this.store;
    if (!this.input.value || !run.length) {
      return this.answer.replaceChildren(make("p", { class: "hint" }, "Ask about the moment at the cursor: \"leader\", or \"index 17 committed\"."));
    }
    try {
      const { sentence, missing } = whyNot(run, this.extras, this.input.value, shared.cursor);
      this.answer.replaceChildren(
        make("p", { class: "verdict" }, sentence),
        make("ul", {}, ...missing.map((each) => make("li", {}, each.sentence, each.id ? " · since " : "", each.id ? make("button", {
          class: "event", onclick: () => this.store.goTo(run.position(each.id), { select: true }),
        }, each.id) : ""))),
      );
    } catch (error) {
      this.answer.replaceChildren(make("p", { class: "hint" }, error instanceof Error ? error.message : String(error)));
    }
  }
}

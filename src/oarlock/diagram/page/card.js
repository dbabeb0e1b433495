/** The card of Figure 2: rules light up as they act, with how often they did; a click filters. */

import { follow, make } from "oarlock/dom.js";
import { shown } from "oarlock/words.js";

const ORDER = ["State", "AppendEntries RPC", "RequestVote RPC", "All servers", "Followers", "Candidates", "Leaders", "InstallSnapshot RPC", "Beyond Figure 2"];

export class Card {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.store = store;
    this.extras = extras;
    element.classList.add("card");
    this.hint = make("p", { class: "hint" });
    /** @type {Map<string, {row: HTMLElement, count: HTMLElement, operands: HTMLElement}>} */
    this.rows = new Map();
    const boxes = ORDER.map((box) => this.#box(box)).filter((each) => each !== undefined);
    element.append(this.hint, make("div", { class: "boxes" }, ...boxes));
    follow(element, store, ["cursor", "run", "view", "query"], () => this.draw());
  }

  /** @param {string} box */
  #box(box) {
    const ids = Object.keys(this.extras.rules).filter((id) => this.extras.rules[id].box === box);
    if (!ids.length) return undefined;
    return make("section", {}, make("h3", {}, box), make("ul", {}, ...ids.map((id) => this.#row(id))));
  }

  /** @param {string} id */
  #row(id) {
    const count = make("span", { class: "count" });
    const operands = make("span", { class: "operands" });
    const row = make("button", {
      class: "rule", title: `${this.extras.rules[id].source}. Click to see only where it acted.`,
      onclick: () => this.#toggle(id),
    }, make("code", {}, id), make("span", {}, this.extras.rules[id].sentence), count, operands);
    this.rows.set(id, { row, count, operands });
    return make("li", {}, row);
  }

  /** @param {string} id */
  #toggle(id) {
    const query = `rule:${id}`;
    this.store.set({ query: this.store.shared.query === query ? "" : query });
  }

  draw() {
    const { run, shared } = this.store;
    const event = run.events[shared.cursor];
    const acted = new Map((event?.r ?? []).map((rule, at) => [rule, event.g?.[at] ?? []]));
    this.hint.textContent = acted.size ? `At ${event.id}: ${[...acted.keys()].join(", ")}.` : "No rule acted in the event at the cursor.";
    for (const [id, { row, count, operands }] of this.rows) {
      const times = run.ruleCounts.get(id) ?? 0;
      count.textContent = times ? `×${times.toLocaleString("en")}` : "";
      row.classList.toggle("never", !times);
      row.classList.toggle("acted", acted.has(id));
      row.setAttribute("aria-pressed", String(shared.query === `rule:${id}`));
      operands.textContent = this.#operands(id, acted.get(id));
    }
  }

  /** @param {string} id @param {any[] | undefined} values */
  #operands(id, values) {
    if (!values) return "";
    const names = this.extras.rules[id].operands;
    return values.map((value, at) => `${(names[at] ?? `#${at}`).replaceAll("_", " ")} ${shown(value)}`).join(", ");
  }
}

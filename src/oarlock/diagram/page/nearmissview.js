/** The panel of near-misses: by rule, those that were close first, each with what would have come of it.
 * Of a run that goes on the list grows, newest first, and says what cannot be judged. */

import { follow, make } from "oarlock/dom.js";
import { nearMisses } from "oarlock/nearmiss.js";
import { labelOf, named } from "oarlock/words.js";

/** Of one rule, before the rest is asked for, and then. */
const SHOWN = 6;
const SHOWN_THEN = 500;

/** @typedef {import("oarlock/nearmiss.js").NearMiss} NearMiss */
/** @typedef {{details: HTMLDetailsElement, count: HTMLElement, list: HTMLElement, more: HTMLElement, most: number, shown: string}} Group
 * `shown` tells what stands in the list. */

export class NearMissView {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.element = element;
    this.store = store;
    this.extras = extras;
    this.drawn = "";
    /** By rule. @type {Map<string, Group>} */
    this.groups = new Map();
    this.head = make("p", { class: "hint" });
    this.open = make("details", { class: "open" });
    this.rules = make("div");
    this.isRevealed = false;
    element.classList.add("nearmisses");
    element.append(this.head, this.open, this.rules);
    follow(element, store, ["run", "judged", "view"], () => this.draw());
    store.subscribe((_, changed) => changed.has("judged") && this.#tell());
  }

  draw() {
    const { run, watch } = this.store;
    const judge = watch?.judge;
    const drawn = `${judge ? judge.search.version : run.length} ${run.forgotten} ${judge?.gaps.length} ${judge?.doubts.length}`;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    /** @type {Map<string, NearMiss[]>} */
    const byRule = new Map();
    for (const found of judge ? [...judge.search.found].reverse() : nearMisses(run, this.extras)) {
      if (!byRule.has(found.rule)) byRule.set(found.rule, []);
      byRule.get(found.rule)?.push(found);
    }
    const closeOf = (/** @type {string} */ rule) => (byRule.get(rule) ?? []).filter((each) => each.isClose).length;
    const rules = [...byRule.keys()].sort((a, b) => Math.sign(closeOf(b)) - Math.sign(closeOf(a)) || (judge ? 0 : closeOf(b) - closeOf(a)) || (a < b ? -1 : 1));
    this.head.textContent = rules.length
      ? "Guards that said no. Where a mark ● stands, everything else for the harm was there: the guard was needed."
      : `No guard had to refuse anything${judge ? " so far" : ""}.`;
    this.#drawOpen();
    rules.forEach((rule, at) => {
      const { details } = this.#group(rule, byRule.get(rule) ?? []);
      if (this.rules.children[at] !== details) this.rules.insertBefore(details, this.rules.children[at] ?? null);
    });
    for (const [rule, { details }] of this.groups) {
      if (byRule.has(rule)) continue;
      details.remove();
      this.groups.delete(rule);
    }
    // Something is to be seen, though nothing was close.
    const [first] = this.rules.querySelectorAll("details");
    if (first && !this.isRevealed) first.open = this.isRevealed = true;
  }

  /** Every list goes on where it was: what is unfolded stays so. @param {string} rule @param {NearMiss[]} found */
  #group(rule, found) {
    let group = this.groups.get(rule);
    if (!group) this.groups.set(rule, (group = this.#make(rule)));
    const close = found.filter((each) => each.isClose);
    const rows = [...close, ...found.filter((each) => !each.isClose)];
    const [count, closeCount] = this.store.watch?.judge.search.counts.get(rule) ?? [found.length, close.length];
    group.count.textContent = ` ×${count.toLocaleString("en")}${closeCount ? `, ${closeCount.toLocaleString("en")} close` : ""}`;
    if (close.length && group.shown === "") group.details.open = true;
    const seen = rows.slice(0, group.most);
    const shown = `${this.store.run.forgotten} ${seen.map((each) => `${each.id}${each.isClose}${each.doubt}`).join()}`;
    if (shown !== group.shown) group.list.replaceChildren(...seen.map((each) => this.#row(each)));
    group.shown = shown;
    group.more.hidden = rows.length <= group.most;
    group.more.textContent = `${(rows.length - group.most).toLocaleString("en")} more`;
    return group;
  }

  /** @param {string} rule @returns {Group} */
  #make(rule) {
    const count = make("span", { class: "count" });
    const list = make("ul");
    const more = make("button", { onclick: () => {
      const group = this.groups.get(rule);
      if (!group) return;
      group.most += SHOWN_THEN;
      this.drawn = "";
      this.draw();
    } });
    const details = /** @type {HTMLDetailsElement} */ (make("details", {},
      make("summary", {}, make("code", {}, rule), " ", this.extras.rules[rule]?.sentence ?? "", count), list, more));
    return { details, count, list, more, most: SHOWN, shown: "" };
  }

  /** What cannot be judged, since what was before is not here. */
  #drawOpen() {
    const judge = this.store.watch?.judge;
    const open = judge ? [...judge.gaps, ...judge.doubts] : [];
    this.open.hidden = !judge || !open.length;
    if (!judge || !open.length) return;
    const untold = judge.gapsUntold + judge.audit.doubtsUntold;
    const { gaps, doubts } = judge;
    const asked = doubts.length + judge.audit.doubtsUntold;
    this.open.replaceChildren(
      make("summary", {}, "Unresolved", make("span", { class: "count" }, ` · ${asked ? `${plural(asked, "question")} that the events here do not answer` : "not everything was seen from its begin"}`)),
      make("p", { class: "hint" }, "What rests on events that are not here is not judged: it may have been right or wrong."),
      make("ul", {}, ...[...gaps, ...doubts].map((each) => make("li", {}, this.#event(each.id), ` ${this.#named(each.sentence)}.`)),
        untold ? make("li", {}, `And ${untold.toLocaleString("en")} more.`) : undefined));
  }

  /** How many there are, on the tab. */
  #tell() {
    const search = this.store.watch?.judge.search;
    const tab = document.getElementById("tab-nearmiss");
    if (!search || !tab) return;
    const counts = [...search.counts.values()];
    const all = counts.reduce((sum, [count]) => sum + count, 0);
    const close = counts.reduce((sum, [, count]) => sum + count, 0);
    const text = all ? `${all.toLocaleString("en")}${close ? ` ●${close.toLocaleString("en")}` : ""}` : "";
    let badge = tab.querySelector(".badge");
    if (!badge) tab.append((badge = make("span", { class: "badge" })));
    if (badge.textContent !== text) badge.textContent = text;
  }

  /** @param {NearMiss} found */
  #row(found) {
    const known = this.extras.properties[found.property]?.figure3 || found.property;
    return make("li", { class: found.isClose ? "close" : "" }, this.#event(found.id), " ", this.#named(found.sentence),
      make("span", { class: "harm" }, ` Else ${this.#named(found.harm)}: ${known}.`,
        found.doubt ? ` Whether it was close is unresolved: ${this.#named(found.doubt)}.` : undefined));
  }

  /** @param {string} text */
  #named(text) {
    return named(text, this.store.run.header.nodes ?? {});
  }

  /** @param {string} id */
  #event(id) {
    const { store } = this;
    const isGone = store.run.forgotten > 0 && store.run.position(id) < 0;
    return make("button", {
      class: "event", title: isGone ? `${id} was let go to make room` : `Go to ${id}`, disabled: isGone,
      onclick: () => store.goTo(store.run.position(id), { select: true }),
    }, labelOf(store.run.header, id));
  }
}

/** @param {number} count @param {string} what */
function plural(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

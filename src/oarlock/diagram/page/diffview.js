/** Two runs: what the comparison is to answer, where they part, the second one's diagram, and all that differs. The
 * second came with the page, or is opened in it. */

import { compare } from "oarlock/comparison.js";
import { make } from "oarlock/dom.js";
import { MAX_EVENTS, readFile, readRun } from "oarlock/load.js";
import { Opening } from "oarlock/opening.js";
import { lowerBound } from "oarlock/run.js";
import { SpaceTime } from "oarlock/spacetime.js";
import { Store } from "oarlock/store.js";
import { sentence } from "oarlock/words.js";

/** @typedef {{names: [string, string], question?: string, comparison: Comparison}} Shown What is told of two runs. */

export class DiffView {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.store = store;
    this.extras = extras;
    /** Of the second run, once it is read. @type {Store | undefined} */
    this.other = undefined;
    this.follows = /** @type {HTMLInputElement} */ (make("input", { type: "checkbox", checked: true, onchange: () => this.#follow() }));
    this.scene = make("section", { class: "other" });
    this.content = make("div", { class: "both" });
    this.opening = new Opening((file, say) => this.#open(file, say));
    element.classList.add("parting");
    if (extras.compared) {
      element.append(this.content, this.opening.element);
      /** Settled once the second run is there. */
      this.ready = this.#unpack(extras.compared);
    } else {
      element.append(this.opening.element, this.content);
      this.content.append(make("p", { class: "hint" }, "Both runs are drawn then, with the place where servers first do something else, and all that differs: who led, what was committed, what clients were told, which rules acted."));
    }
    store.subscribe((_, changed) => {
      if (changed.has("window") || changed.has("cursor") || changed.has("axis")) this.#follow();
    });
  }

  /** The second run that came with the page. @param {Compared} compared */
  async #unpack(compared) {
    // Whether the page was opened at an event: then it stays there.
    const isSentTo = new URLSearchParams(location.hash.slice(1)).has("e");
    this.#tell(compared);
    this.#draw(await readRun(compared.trace, () => {}), compared.names[1]);
    if (!isSentTo) this.#goApart(compared.comparison);
    this.#follow();
  }

  /** A second run that somebody opens. @param {File} file @param {(sentence: string) => void} say */
  async #open(file, say) {
    this.store.set({ view: "diff" });
    say(`Reading ${file.name}`);
    const run = await readFile(file, (events) => say(`Reading ${file.name}: ${events.toLocaleString("en")} events`));
    const comparison = compare(this.store.run, run, this.extras);
    say(run.truncated ? `Only the first ${MAX_EVENTS.toLocaleString("en")} events of ${file.name} are compared; it has ${run.truncated.toLocaleString("en")} more.` : "");
    this.#tell({ names: [this.extras.title, file.name], comparison });
    this.#draw(run, file.name);
    this.#goApart(comparison);
    this.#follow();
  }

  /** @param {import("oarlock/run.js").Run} run @param {string} name */
  #draw(run, name) {
    const store = new Store(run);
    this.other = store;
    this.scene.setAttribute("aria-label", `Space-time diagram of the second run: ${name}`);
    this.scene.replaceChildren();
    this.view = new SpaceTime(this.scene, store, this.extras);
    store.subscribe((shared, changed) => {
      if (changed.has("cursor") || changed.has("selected")) this.#say(run.events[shared.selected]);
    });
  }

  /** What was selected in the second run. @param {TraceEvent | undefined} event */
  #say(event) {
    const { other, told } = this;
    if (other && told) told.textContent = event ? `${event.id} · ${sentence(this.extras, event, other.run.header.nodes)}` : "";
  }

  /** @param {Shown} shown */
  #tell({ names, question, comparison }) {
    const { note, first, parts } = comparison;
    this.told = make("p", { class: "selected", "aria-live": "polite" });
    const sides = first ? [[names[0], first.one, first.told_one], [names[1], first.other, first.told_other]] : [];
    this.content.replaceChildren(
      ...(question ? [make("p", { class: "question" }, question)] : []),
      ...(note ? [make("p", { class: "note" }, note)] : []),
      ...(first ? [make("dl", { class: "parted" }, ...sides.flatMap(([name, id, told], at) => [
        make("dt", {}, make("span", { class: "which" }, at ? "second" : "first"), name),
        make("dd", {}, id ? this.#link(id, at ? "" : id, at ? id : "") : undefined, " ", told)]))] : []),
      ...(!first && !note ? [make("p", {}, "The servers do the same in both runs.")] : []),
      make("label", { class: "hint" }, this.follows, ` Left: ${names[0]}. Below: ${names[1]}, at the same time`),
      this.scene, this.told, ...parts.map((part) => this.#part(part)));
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

  /** @param {Comparison} comparison */
  #goApart({ first }) {
    this.#go(first?.one ?? "", first?.other ?? "");
  }

  /** Both runs to where they are to be looked at. @param {string} one @param {string} other */
  #go(one, other) {
    if (one) this.store.goTo(this.store.run.position(one), { select: true });
    if (!this.other || !other) return;
    const position = this.other.run.position(other);
    this.other.goTo(position, { select: true });
    if (one || position < 0) return;
    // What only the second run has: the first goes to that time.
    this.store.goTo(Math.min(this.store.run.length - 1, sameTime(this.other.run, position, this.store.run)));
  }

  /** Show the second run at the time at which the first is. */
  #follow() {
    const { other, store } = this;
    if (!other || !this.follows.checked) return;
    const [from, to] = store.shared.window.map((each) => sameTime(store.run, each, other.run));
    other.set({ window: other.clampWindow(from, Math.max(to, from + 8)), axis: store.shared.axis, showsHeartbeats: store.shared.showsHeartbeats });
  }
}

/** Where in a run as much time has gone by as at a position of another. @param {import("oarlock/run.js").Run} run
 * @param {number} position @param {import("oarlock/run.js").Run} other */
function sameTime(run, position, other) {
  const whole = Math.min(run.length - 1, Math.max(0, Math.round(position)));
  return lowerBound(other.t.data, other.length, other.t.data[0] + run.t.data[whole] - run.t.data[0]);
}

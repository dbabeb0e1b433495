/** The events as a table: whatever is drawn can be read here too. Only the rows that are seen exist. */

import { make, termClass } from "oarlock/dom.js";
import { seconds } from "oarlock/spacetime.js";
import { sentence } from "oarlock/words.js";

const ROW_HEIGHT = 28;
/** Browsers cannot scroll further than some millions of pixels. */
const MAX_HEIGHT = 8_000_000;

export class EventTable {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.element = element;
    this.store = store;
    this.extras = extras;
    element.classList.add("events");
    this.hint = make("p", { class: "hint" });
    this.rows = make("div", { class: "rows", role: "table", "aria-label": "Events" });
    this.scroller = make("div", { class: "scroller", tabindex: 0, onscroll: () => this.draw() }, this.rows);
    element.append(this.hint, this.scroller);
    /** Positions that the filter lets through; null for all. @type {number[] | null} */
    this.shown = null;
    new ResizeObserver(() => this.draw()).observe(element);
    store.subscribe((shared, changed) => {
      if (changed.has("matches") || changed.has("run")) this.shown = shared.matches ? positionsOf(shared.matches) : null;
      if (element.hidden) return;
      if (changed.has("cursor") || changed.has("view")) this.reveal();
      if (["cursor", "run", "view", "matches", "marked"].some((name) => changed.has(name))) this.draw();
    });
  }

  get count() {
    return this.shown ? this.shown.length : this.store.run.length;
  }

  /** Scroll so that the cursor's row is seen. */
  reveal() {
    this.#fit();  // before it is drawn: what has no height does not scroll
    const { cursor } = this.store.shared;
    const at = this.shown ? this.shown.findIndex((position) => position >= cursor) : cursor;
    const top = at * ROW_HEIGHT * this.#squeeze();
    const { scrollTop, clientHeight } = this.scroller;
    if (at >= 0 && (top < scrollTop || top > scrollTop + clientHeight - 2 * ROW_HEIGHT)) this.scroller.scrollTop = top - clientHeight / 2;
  }

  /** How much less than a row's height the scrollbar moves for a row, in very long tables. */
  #squeeze() {
    return Math.min(1, MAX_HEIGHT / Math.max(1, this.count * ROW_HEIGHT));
  }

  #fit() {
    this.rows.style.height = `${this.count * ROW_HEIGHT * this.#squeeze()}px`;
  }

  draw() {
    if (this.element.hidden) return;
    const { run } = this.store;
    const squeeze = this.#squeeze();
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / squeeze / ROW_HEIGHT) - 4);
    const last = Math.min(this.count, first + Math.ceil(this.scroller.clientHeight / ROW_HEIGHT) + 8);
    this.hint.textContent = `${this.count.toLocaleString("en")} of ${run.length.toLocaleString("en")} events`;
    this.#fit();
    this.rows.setAttribute("aria-rowcount", String(this.count));
    const offset = first * ROW_HEIGHT * squeeze;
    this.rows.replaceChildren(...Array.from({ length: Math.max(0, last - first) }, (_, at) =>
      this.#row(this.shown ? this.shown[first + at] : first + at, first + at, offset + at * ROW_HEIGHT)));
  }

  /** @param {number} position @param {number} number @param {number} top */
  #row(position, number, top) {
    const { run, shared } = this.store;
    const event = run.events[position];
    const state = run.track.latest.servers.get(run.lanes[run.lane.data[position]]);
    const told = sentence(this.extras, event, run.header.nodes ?? {});
    return make("div", {
      role: "row", class: `row ${position === shared.cursor ? "current" : ""} ${event.k === "viol" ? "violation" : ""} ${event.k === "drop" ? "dropped" : ""}`,
      style: `top:${top}px`, "aria-rowindex": number + 1, "aria-current": position === shared.cursor ? "true" : undefined,
      onclick: () => this.store.goTo(position, { select: true }), title: told,
    },
    make("span", { role: "cell", class: "time" }, seconds(event.t - run.t.data[0])),
    make("span", { role: "cell", class: "id" }, `${shared.marked.includes(position) ? "★ " : ""}${event.id}`),
    make("span", { role: "cell", class: `kind ${state ? termClass(state.term) : ""}` }, event.k),
    make("span", { role: "cell", class: "told" }, told),
    make("span", { role: "cell", class: "rules" }, [...new Set(event.r ?? [])].join(" ")));
  }
}

/** @param {Uint8Array} matches */
function positionsOf(matches) {
  const found = [];
  for (let position = 0; position < matches.length; position++) if (matches[position]) found.push(position);
  return found;
}

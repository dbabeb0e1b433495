/** What all views share: the cursor, the window of time that is shown, the selection and the filter. */

import { Axis } from "oarlock/axis.js";

/** @typedef {object} Shared
 * @property {number} cursor The position of the event that all views stand at.
 * @property {number} selected The position of the event that was clicked; -1 for none.
 * @property {number} hovered The position under the pointer; -1 for none.
 * @property {[number, number]} window First and last position shown, in event numbers, fractions included.
 * @property {string} axis "logical", "time" or "gaps": what the length of the space-time diagram means.
 * @property {string} query The filter as text.
 * @property {Uint8Array | null} matches For each position whether the filter lets it through; null without a filter.
 * @property {string} view The view that is in front.
 * @property {string} why The question that is open: an event's id, and after a colon a variable.
 * @property {boolean} showsHeartbeats Whether heartbeats are drawn singly.
 * @property {number[]} marked Bookmarked positions.
 * @property {[number, number] | null} range Two positions that are looked at together, and all between them.
 * @property {string[]} folded Names of lanes that are drawn as a mere line.
 * @property {boolean} isPlaying
 * @property {boolean} follows Whether the cursor stays at the newest event of a live run.
 */

/** @typedef {(shared: Shared, changed: Set<string>) => void} Listener */

/** How many events a page shows at first: as many as can be read. */
const FIRST_WINDOW = 260;

export class Store {
  /** @param {import("oarlock/run.js").Run} run */
  constructor(run) {
    this.run = run;
    /** Where events stand, alike in all views. */
    this.axis = new Axis(run);
    const cursor = run.violations.length ? run.violations.data[0] : run.elections.length ? run.elections.data[0] : 0;
    /** @type {Shared} */
    this.shared = {
      cursor, selected: -1, hovered: -1, window: [0, Math.max(1, run.length)],
      axis: "logical", query: "", matches: null, view: "spacetime", why: "", showsHeartbeats: false,
      marked: [], range: null, folded: [], isPlaying: false, follows: false,
    };
    if (run.length > FIRST_WINDOW * 1.5) this.shared.window = this.clampWindow(cursor - FIRST_WINDOW * 0.3, cursor + FIRST_WINDOW * 0.7);
    /** Has the run judged while it goes on; undefined if it was whole from the begin. @type {import("oarlock/watch.js").Watch | undefined} */
    this.watch = undefined;
    /** @type {Listener[]} */
    this.listeners = [];
    /** @type {Set<string>} */
    this.changed = new Set();
    this.isScheduled = false;
  }

  /** Be told, once in a frame, of what changed; "run" if events came. @param {Listener} listener */
  subscribe(listener) {
    this.listeners.push(listener);
  }

  /** Change some of it. @param {Partial<Shared>} changes */
  set(changes) {
    for (const [name, value] of Object.entries(changes)) {
      const held = /** @type {any} */ (this.shared);
      if (held[name] === value) continue;
      held[name] = value;
      this.changed.add(name);
    }
    if (this.changed.size) this.#schedule();
  }

  /** The run has more events. */
  grew() {
    this.changed.add("run");
    this.#schedule();
  }

  /** More of the run is judged. */
  judged() {
    this.changed.add("judged");
    this.#schedule();
  }

  /** Put the cursor at an event, kept inside the run and, if asked, inside the window.
   * @param {number} position @param {{reveal?: boolean, select?: boolean}} options */
  goTo(position, { reveal = true, select = false } = {}) {
    if (position < 0 || !this.run.length) return;
    const cursor = Math.min(Math.round(position), this.run.length - 1);
    /** @type {Partial<Shared>} */
    const changes = { cursor, follows: false };
    if (select) changes.selected = cursor;
    const [from, to] = this.shared.window;
    if (reveal && (cursor < from || cursor > to)) {
      const half = (to - from) / 2;
      changes.window = this.clampWindow(cursor - half, cursor + half);
    }
    this.set(changes);
  }

  /** Fold a lane to a line, or open it again. @param {string} name */
  fold(name) {
    const { folded } = this.shared;
    this.set({ folded: folded.includes(name) ? folded.filter((each) => each !== name) : [...folded, name] });
  }

  /** A window of the same width that lies within the run. @param {number} from @param {number} to @returns {[number, number]} */
  clampWindow(from, to) {
    const length = Math.max(1, this.run.length);
    const width = Math.min(Math.max(to - from, 4), length);
    const begin = Math.min(Math.max(0, from), length - width);
    return [begin, begin + width];
  }

  #schedule() {
    if (this.isScheduled) return;
    this.isScheduled = true;
    requestAnimationFrame(() => {
      this.isScheduled = false;
      const changed = this.changed;
      this.changed = new Set();
      for (const listener of this.listeners) listener(this.shared, changed);
    });
  }
}

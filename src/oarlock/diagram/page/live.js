/** A running cluster: takes its events as they come, keeps the newest in view, and lets the oldest go. */

import { Pulse } from "oarlock/pulse.js";
import { Strip } from "oarlock/strip.js";

/** Beyond this many events the older half is let go. */
export const MAX_LIVE_EVENTS = 100_000;
/** Events are taken in together, so often at most. */
const FLUSH_MS = 100;
const TICK_MS = 500;

export class Live {
  /** @param {import("oarlock/store.js").Store} store @param {Extras} extras @param {(sentence: string) => void} say */
  constructor(store, extras, say) {
    this.store = store;
    this.extras = extras;
    this.say = say;
    this.pulse = new Pulse(store.run);
    this.strip = new Strip(store, extras, this.pulse);
    /** @type {TraceEvent[]} */
    this.waiting = [];
    this.timer = 0;
    this.limit = MAX_LIVE_EVENTS;
    /** Events that did not reach this page. */
    this.lost = 0;
    setInterval(() => this.strip.draw(), TICK_MS);
    store.subscribe((shared, changed) => {
      if (changed.has("follows")) this.#tellFollowing(shared.follows);
    });
    store.set({ follows: !new URLSearchParams(location.hash.slice(1)).has("e") });
  }

  /** Open the stream; the browser opens it again by itself when it breaks. */
  connect() {
    const source = new EventSource(/** @type {LivePlaces} */ (this.extras.live).events);
    source.addEventListener("header", (message) => this.#begin(JSON.parse(message.data)));
    source.addEventListener("servers", (message) => this.strip.setProcesses(JSON.parse(message.data)));
    source.addEventListener("gap", (message) => this.#gap(JSON.parse(message.data).lost));
    source.addEventListener("message", (message) => this.#take(message.data));
    source.addEventListener("open", () => this.strip.setConnection(true));
    source.addEventListener("error", () => {
      this.strip.setConnection(false);
      // Refused for good, as when the server was started anew with another token: the browser has given up.
      if (source.readyState === EventSource.CLOSED) this.say("The stream has ended. Open the address again that the server printed when it started.");
    });
  }

  /** @param {TraceHeader} header */
  #begin(header) {
    Object.assign(this.store.run.header, header);
  }

  /** @param {string} lines */
  #take(lines) {
    for (const line of lines.split("\n")) this.waiting.push(JSON.parse(line));
    if (!this.timer) this.timer = window.setTimeout(() => this.#flush(), FLUSH_MS);
  }

  #flush() {
    this.timer = 0;
    const { store, waiting } = this;
    this.waiting = [];
    for (const event of waiting) {
      store.run.append(event);
      this.pulse.take(event);
    }
    store.watch?.take(waiting);
    if (store.run.length > this.limit) this.#forget(store.run.length - this.limit / 2);
    store.grew();
  }

  /** Make room. @param {number} count */
  #forget(count) {
    const { run, shared } = this.store;
    run.forget(count);
    const [from, to] = shared.window;
    this.store.set({
      cursor: Math.max(0, shared.cursor - count), selected: shared.selected >= count ? shared.selected - count : -1, hovered: -1,
      window: this.store.clampWindow(Math.max(0, from - count), Math.max(1, to - count)),
      marked: shared.marked.filter((each) => each >= count).map((each) => each - count),
      range: shared.range && shared.range[0] >= count ? [shared.range[0] - count, shared.range[1] - count] : null,
    });
    this.#announce();
  }

  /** @param {number} lost */
  #gap(lost) {
    this.lost += lost;
    this.#announce();
  }

  /** What is not here is said. */
  #announce() {
    const { run } = this.store;
    const parts = [];
    if (run.forgotten) parts.push(`${run.forgotten.toLocaleString("en")} older events were let go: the page keeps the last ${(this.limit / 2).toLocaleString("en")} to ${this.limit.toLocaleString("en")}.`);
    if (this.lost) parts.push(`${this.lost.toLocaleString("en")} events came too fast for this page and are missing; what became of their messages is unresolved.`);
    this.say(parts.join(" "));
  }

  /** @param {boolean} follows */
  #tellFollowing(follows) {
    if (follows) /** @type {HTMLElement} */ (document.getElementById("sentence")).textContent = "Following the newest event. Press f, or move the cursor, to hold still.";
  }
}

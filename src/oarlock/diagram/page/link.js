/** The state of the page in its address, so that a link shows what somebody saw. */

import { make } from "oarlock/dom.js";
import { AXES } from "oarlock/axis.js";
import { readSubject } from "oarlock/subject.js";
import { viewsInTabs } from "oarlock/tabs.js";

/** @typedef {import("oarlock/store.js").Shared} Shared */

/** What the address holds. @type {(keyof Shared)[]} */
const KEPT = ["cursor", "window", "view", "query", "why", "axis", "range", "folded", "marked", "showsHeartbeats"];

/** Follow and keep the address. @param {import("oarlock/store.js").Store} store @param {Extras} extras */
export function keepLink(store, extras) {
  const reader = new LinkReader(store, Boolean(extras.live));
  let known = "";
  const read = () => {
    known = location.hash;
    reader.read();
  };
  read();
  addEventListener("hashchange", read);
  // A frame that was given its text, as in a notebook, has no address of its own.
  if (location.protocol === "about:") return;
  let timer = 0;
  store.subscribe((shared, changed) => {
    if (!KEPT.some((name) => changed.has(name)) || shared.isPlaying) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (location.hash !== known) return; // somebody's, and not read yet
      history.replaceState(null, "", `#${linkOf(store)}`);
      known = location.hash;
    }, 250);
  });
}

/** What stands after the `#`. @param {import("oarlock/store.js").Store} store */
export function linkOf(store) {
  const { run, shared } = store;
  const parts = new URLSearchParams();
  parts.set("run", run.header.run);
  if (run.header.seed !== undefined) parts.set("seed", String(run.header.seed));
  const event = run.events[shared.cursor];
  if (event) parts.set("e", event.id);
  parts.set("w", shared.window.map((each) => Math.round(each)).join(".."));
  parts.set("view", shared.view);
  if (shared.axis !== "logical") parts.set("axis", shared.axis);
  if (shared.query) parts.set("q", shared.query);
  if (shared.why) parts.set("why", shared.why);
  if (shared.range) parts.set("range", idsOf(run, shared.range).join(".."));
  if (shared.folded.length) parts.set("fold", shared.folded.join(","));
  if (shared.marked.length) parts.set("marks", idsOf(run, shared.marked).join(","));
  if (shared.showsHeartbeats) parts.set("hb", "1");
  return parts.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
}

/** Brings the page to what the address says: what a link leaves out is as the page begins, what does not fit stays as it is
 * and is said. */
class LinkReader {
  /** @param {import("oarlock/store.js").Store} store @param {boolean} isLive */
  constructor(store, isLive) {
    this.store = store;
    this.isLive = isLive;
    this.home = { ...store.shared };
    /** What the address said, while a running cluster may still bring its events. @type {URLSearchParams | undefined} */
    this.awaited = undefined;
    /** @type {string[]} */
    this.wrong = [];
    this.notice = make("p", { id: "linknotice", role: "status", hidden: true });
    document.getElementById("notice")?.after(this.notice);
    /** Whether nothing of what is awaited has been followed yet. */
    this.isWhole = false;
    store.subscribe((_, changed) => this.#await(changed));
  }

  read() {
    const parts = new URLSearchParams(location.hash.slice(1));
    // Before its first events a running cluster's page knows nothing that a link could name.
    this.isWhole = this.isLive && !this.store.run.length && parts.has("e");
    if (this.isWhole) this.awaited = parts;
    else this.#apply(parts);
  }

  /** Go to the event that has come at last, unless somebody has gone elsewhere. @param {Set<string>} changed */
  #await(changed) {
    const { awaited, store } = this;
    if (!awaited || !changed.has("run")) {
      if (changed.has("cursor")) this.awaited = undefined;
    } else if (this.isWhole) {
      this.isWhole = false;
      this.#apply(awaited);
    } else if (store.run.position(awaited.get("e") ?? "") >= 0) {
      this.wrong = [];
      this.awaited = undefined;
      store.set(this.#places(awaited));
      this.#tell();
    }
  }

  /** @param {URLSearchParams} parts */
  #apply(parts) {
    this.wrong = [];
    this.awaited = undefined;
    const { run } = this.store;
    const named = parts.get("run");
    if (named && run.header.run && named !== run.header.run) this.wrong.push(`It is of another run, ${named}; this one is ${run.header.run}.`);
    const changes = { ...this.#places(parts), ...this.#choices(parts) };
    if (this.isLive && parts.has("e") && run.position(parts.get("e") ?? "") < 0) this.awaited = parts;
    this.store.set({ ...changes, isPlaying: false });
    this.#tell();
  }

  /** Cursor, window, and what is marked. @param {URLSearchParams} parts @returns {Partial<Shared>} */
  #places(parts) {
    const { store, home } = this;
    /** @type {Partial<Shared>} */
    const changes = { selected: -1, range: null, marked: [] };
    const position = this.#positions(parts, "e", undefined, "event")?.[0];
    if (position !== undefined) Object.assign(changes, { cursor: position, selected: position, follows: false });
    // In a running cluster the place at which the page began is long gone.
    else if (!parts.has("e") && !this.isLive) changes.cursor = home.cursor;
    const shown = parts.has("w") ? this.#window(parts.get("w") ?? "") : undefined;
    if (shown) changes.window = shown;
    else if (position !== undefined) changes.window = store.clampWindow(position - 100, position + 100);
    else if (!parts.has("w") && !parts.has("e") && !this.isLive) changes.window = home.window;
    if (parts.has("range")) {
      const found = this.#positions(parts, "range", "..", "range", 2);
      if (found) changes.range = found[0] <= found[1] ? [found[0], found[1]] : [found[1], found[0]];
      else delete changes.range;
    }
    if (parts.has("marks")) changes.marked = this.#positions(parts, "marks", ",", "bookmark")?.sort((a, b) => a - b) ?? store.shared.marked;
    return changes;
  }

  /** View, axis, filter, question, and how lanes are drawn. @param {URLSearchParams} parts @returns {Partial<Shared>} */
  #choices(parts) {
    const { shared, run } = this.store;
    const { home } = this;
    /** @type {Partial<Shared>} */
    const changes = {
      view: this.#oneOf(parts, "view", viewsInTabs(), shared.view, home.view), axis: this.#oneOf(parts, "axis", AXES, shared.axis, home.axis),
      query: parts.get("q") ?? "", why: location.hash.length > 1 ? "" : home.why, folded: [],
      showsHeartbeats: this.#oneOf(parts, "hb", ["0", "1"], shared.showsHeartbeats ? "1" : "0", "0") === "1",
    };
    if (parts.get("why")) {
      const { asked, wrong } = readSubject(run, parts.get("why") ?? "");
      if (wrong) this.wrong.push(wrong);
      changes.why = asked ?? shared.why;
    }
    const folded = (parts.get("fold") ?? "").split(",").filter(Boolean);
    changes.folded = folded.filter((name) => run.laneOf.has(name));
    for (const name of folded) if (!run.laneOf.has(name)) this.wrong.push(`It folds a lane that this run does not have, ${name}.`);
    return changes;
  }

  /** A value that has to be one of some. @param {URLSearchParams} parts @param {string} key @param {string[]} known
   * @param {string} now What it stays if the link is wrong. @param {string} otherwise What it is without the key. */
  #oneOf(parts, key, known, now, otherwise) {
    const value = parts.get(key);
    if (!value) return otherwise;
    if (known.includes(value)) return value;
    this.wrong.push(`Its ${key}=${value} is nothing that this page knows; it knows ${known.join(", ")}.`);
    return now;
  }

  /** @param {string} text @returns {[number, number] | undefined} */
  #window(text) {
    const [from, to] = (/^(\d+)\.\.(\d+)$/.exec(text) ?? []).slice(1).map(Number);
    if (from === undefined || from > to) this.wrong.push(`Its window, w=${text}, is not two numbers of events such as 120..480.`);
    else if (from >= Math.max(1, this.store.run.length)) this.wrong.push(`Its window, w=${text}, begins after the ${this.store.run.length.toLocaleString("en")} events of this run.`);
    else return this.store.clampWindow(from, to);
    return undefined;
  }

  /** Where named events stand; those that the run does not hold are said.
   * @param {URLSearchParams} parts @param {string} key @param {string | undefined} between @param {string} what @param {number} needed */
  #positions(parts, key, between, what, needed = 1) {
    const value = parts.get(key) ?? "";
    const ids = (between ? value.split(between) : [value]).filter(Boolean);
    const gone = ids.filter((id) => this.store.run.position(id) < 0);
    for (const id of gone) this.wrong.push(`Its ${what} names ${id}, which this run does not hold${this.isLive ? " yet, or no more" : ""}.`);
    const found = ids.filter((id) => !gone.includes(id)).map((id) => this.store.run.position(id));
    if (found.length >= needed && (needed === 1 || ids.length === needed)) return found;
    if (!gone.length && value) this.wrong.push(`Its ${what}, ${key}=${value}, is not two events such as n1.1.2..n1.1.9.`);
    return undefined;
  }

  #tell() {
    this.notice.hidden = !this.wrong.length;
    this.notice.replaceChildren(...(this.wrong.length ? [
      `Not all of this link fits this page. ${this.wrong.join(" ")}`,
      make("button", { "aria-label": "Close", title: "Close", onclick: () => (this.notice.hidden = true) }, "×"),
    ] : []));
  }
}

/** @param {import("oarlock/run.js").Run} run @param {number[]} positions */
function idsOf(run, positions) {
  return positions.map((position) => run.events[position]?.id).filter((id) => id !== undefined);
}

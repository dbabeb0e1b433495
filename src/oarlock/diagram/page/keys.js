/** Everything by keyboard. */

import { sentId } from "oarlock/ids.js";
import { linkOf } from "oarlock/link.js";
import { askWhy, go, showHelp } from "oarlock/toolbar.js";
import { viewsInTabs } from "oarlock/tabs.js";

/** @param {import("oarlock/store.js").Store} store */
export function listenToKeys(store) {
  const { run } = store;
  const lane = () => run.lane.data[store.shared.cursor];
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const keys = {
    " ": () => store.set({ isPlaying: !store.shared.isPlaying }),
    ArrowLeft: (event) => store.goTo(event.shiftKey ? run.alongLane(lane(), store.shared.cursor, -1) : store.shared.cursor - 1),
    ArrowRight: (event) => store.goTo(event.shiftKey ? run.alongLane(lane(), store.shared.cursor, 1) : Math.min(run.length - 1, store.shared.cursor + 1)),
    ArrowUp: () => otherLane(store, -1),
    ArrowDown: () => otherLane(store, 1),
    Home: () => store.goTo(0),
    End: () => store.goTo(run.length - 1),
    m: () => otherEnd(store),
    e: () => go(store, run.elections, 1), E: () => go(store, run.elections, -1),
    c: () => go(store, run.commits, 1), C: () => go(store, run.commits, -1),
    v: () => go(store, run.faults, 1), V: () => go(store, run.faults, -1),
    w: () => askWhy(store),
    n: () => store.set({ view: "whynot" }),
    d: () => viewsInTabs().includes("diff") && store.set({ view: "diff" }),
    f: () => store.set({ follows: run.header.kind === "live" && !store.shared.follows }),
    ".": () => store.set({ showsHeartbeats: !store.shared.showsHeartbeats }),
    "/": () => document.getElementById("query")?.focus(),
    b: () => bookmark(store),
    B: () => store.goTo(nextMark(store)),
    l: () => store.fold(run.lanes[lane()]),
    s: () => mark(store),
    z: () => store.shared.range && store.set({ window: store.clampWindow(...store.shared.range) }),
    y: () => void navigator.clipboard?.writeText(`${location.href.split("#")[0]}#${linkOf(store)}`).catch(() => undefined),
    "+": () => zoom(store, 0.5), "=": () => zoom(store, 0.5), "-": () => zoom(store, 2),
    0: () => store.set({ window: [0, Math.max(1, run.length)] }),
    "?": () => showHelp(),
    Escape: () => store.set({ selected: -1, query: "", why: "", range: null }),
  };
  viewsInTabs().slice(0, 9).forEach((view, at) => (keys[String(at + 1)] = () => store.set({ view })));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    if (target.matches("input, select, textarea")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (target.matches("button, summary, a") && (event.key === " " || event.key === "Enter")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}

/** The nearest event of the server beside. @param {import("oarlock/store.js").Store} store @param {number} direction */
function otherLane(store, direction) {
  const { run, shared } = store;
  const order = run.lanes.map((_, at) => at).filter((at) => run.positions[at].length);
  const next = order[order.indexOf(run.lane.data[shared.cursor]) + direction];
  if (next === undefined) return;
  const after = run.alongLane(next, shared.cursor, 1);
  store.goTo(after >= 0 ? after : run.alongLane(next, shared.cursor, -1), { select: true });
}

/** From one end of a message to the other. @param {import("oarlock/store.js").Store} store */
function otherEnd(store) {
  const { run, shared } = store;
  const event = run.events[shared.cursor];
  if (!event) return;
  if (event.k === "send") store.goTo(run.endsOf(event.id)[0] ?? -1, { select: true });
  else if (event.m) store.goTo(run.position(sentId(event.m)), { select: true });
}

/** @param {import("oarlock/store.js").Store} store */
function bookmark(store) {
  const { cursor, marked } = store.shared;
  store.set({ marked: marked.includes(cursor) ? marked.filter((each) => each !== cursor) : [...marked, cursor].sort((a, b) => a - b) });
}

/** One end of a range, and at the second time the other. @param {import("oarlock/store.js").Store} store */
function mark(store) {
  const { cursor, range } = store.shared;
  // A range of one event is one that was begun.
  if (!range || range[0] !== range[1]) return store.set({ range: [cursor, cursor] });
  store.set({ range: cursor < range[0] ? [cursor, range[0]] : [range[0], cursor], view: "between" });
}

/** @param {import("oarlock/store.js").Store} store */
function nextMark(store) {
  const { cursor, marked } = store.shared;
  return marked.find((each) => each > cursor) ?? marked[0] ?? -1;
}

/** @param {import("oarlock/store.js").Store} store @param {number} factor */
function zoom(store, factor) {
  const [from, to] = store.shared.window;
  const half = ((to - from) * factor) / 2;
  const middle = store.shared.cursor >= from && store.shared.cursor <= to ? store.shared.cursor : (from + to) / 2;
  store.set({ window: store.clampWindow(middle - half, middle + half) });
}

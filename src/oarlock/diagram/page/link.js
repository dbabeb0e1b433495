/** The state of the page in its address, so that a link shows what somebody saw. */

/** What the address holds. @type {(keyof import("oarlock/store.js").Shared)[]} */
const KEPT = ["cursor", "window", "view", "query", "why", "axis", "range", "folded", "marked", "showsHeartbeats"];

/** Follow and keep the address. @param {import("oarlock/store.js").Store} store */
export function keepLink(store) {
  restore(store);
  addEventListener("hashchange", () => restore(store));
  // A frame that was given its text, as in a notebook, has no address of its own.
  if (location.protocol === "about:") return;
  let timer = 0;
  store.subscribe((shared, changed) => {
    if (!KEPT.some((name) => changed.has(name)) || shared.isPlaying) return;
    clearTimeout(timer);
    timer = setTimeout(() => history.replaceState(null, "", `#${linkOf(store)}`), 250);
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

/** @param {import("oarlock/store.js").Store} store */
function restore(store) {
  const parts = new URLSearchParams(location.hash.slice(1));
  /** @type {Partial<import("oarlock/store.js").Shared>} */
  const changes = {};
  const named = parts.get("e");
  const position = named ? store.run.position(named) : -1;
  if (position >= 0) {
    changes.cursor = position;
    changes.selected = position;
  }
  const shown = /^(\d+)\.\.(\d+)$/.exec(parts.get("w") ?? "");
  if (shown) changes.window = store.clampWindow(Number(shown[1]), Number(shown[2]));
  else if (position >= 0) changes.window = store.clampWindow(position - 100, position + 100);
  for (const [key, name] of /** @type {const} */ ([["view", "view"], ["axis", "axis"], ["q", "query"], ["why", "why"]])) {
    const value = parts.get(key);
    if (value) changes[name] = value;
  }
  const [from, to] = positionsOf(store.run, parts.get("range"), "..");
  if (from !== undefined && to !== undefined) changes.range = [from, to];
  if (parts.has("fold")) changes.folded = (parts.get("fold") ?? "").split(",").filter((name) => store.run.laneOf.has(name));
  if (parts.has("marks")) changes.marked = positionsOf(store.run, parts.get("marks"), ",");
  if (parts.has("hb")) changes.showsHeartbeats = parts.get("hb") === "1";
  store.set(changes);
}

/** @param {import("oarlock/run.js").Run} run @param {number[]} positions */
function idsOf(run, positions) {
  return positions.map((position) => run.events[position]?.id).filter((id) => id !== undefined);
}

/** Where named events stand, in the order of the run; those that it does not hold are left out.
 * @param {import("oarlock/run.js").Run} run @param {string | null} ids @param {string} between */
function positionsOf(run, ids, between) {
  return (ids ?? "").split(between).filter(Boolean).map((id) => run.position(id)).filter((position) => position >= 0).sort((a, b) => a - b);
}

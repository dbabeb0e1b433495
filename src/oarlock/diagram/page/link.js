/** The state of the page in its address, so that a link shows what somebody saw. */

/** Follow and keep the address. @param {import("oarlock/store.js").Store} store */
export function keepLink(store) {
  restore(store);
  addEventListener("hashchange", () => restore(store));
  let timer = 0;
  store.subscribe((shared, changed) => {
    if (!["cursor", "window", "view", "query", "why", "axis"].some((name) => changed.has(name)) || shared.isPlaying) return;
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
  return parts.toString().replaceAll("%3A", ":");
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
  store.set(changes);
}

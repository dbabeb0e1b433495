/** What lies between two events: how much of what happened, and what changed on each server from one to the other. */

import { follow, make } from "oarlock/dom.js";
import { nameOf, seconds } from "oarlock/spacetime.js";
import { lastIndex } from "oarlock/state.js";

/** What is compared, with the words for it. @type {[keyof ServerState, string][]} */
const SCALARS = [
  ["role", "role"], ["term", "term"], ["vote", "vote"], ["leader", "leader"], ["commit", "commit index"], ["applied", "applied"],
  ["durable", "durable"], ["snapshot", "snapshot"], ["transfer", "transfer to"],
];
/** @type {["next" | "match" | "votes" | "mode", string][]} */
const BY_SERVER = [["next", "next index of"], ["match", "match index of"], ["votes", "vote of"], ["mode", "mode of"]];

/** One difference. @typedef {{what: string, before: string, after: string}} Change */

export class Between {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store */
  constructor(element, store) {
    this.element = element;
    this.store = store;
    element.classList.add("between");
    follow(element, store, ["range", "run", "view"], () => this.draw());
  }

  draw() {
    const { run, shared } = this.store;
    if (!shared.range) {
      return this.element.replaceChildren(make("p", { class: "hint" },
        "Drag along the times on the left, or drag with Shift anywhere; or click one event and then, with Shift, another; or press s at both."));
    }
    const [from, to] = shared.range;
    const [first, last] = [run.events[from], run.events[to]];
    if (!first || !last) return;
    this.element.replaceChildren(
      make("div", { class: "whyhead" }, make("h3", {}, `${first.id} to ${last.id}`),
        make("button", { onclick: () => this.store.set({ window: this.store.clampWindow(from, to) }), title: "Show just this (z)" }, "Zoom in"),
        make("button", { onclick: () => this.store.set({ range: null }), title: "Let go (Escape)" }, "Clear")),
      make("p", { class: "hint" }, `${(to - from + 1).toLocaleString("en")} events in ${seconds(last.t - first.t)}.`),
      counts(countsOf(run, from, to)),
      make("h4", {}, "What changed"),
      ...this.#servers(from, to));
  }

  /** @param {number} from @param {number} to */
  #servers(from, to) {
    const { run } = this.store;
    const found = changesBetween(run, from, to);
    const rows = found.flatMap(({ name, changes }) => changes.map((change, at) => make("tr", {},
      at ? undefined : make("th", { scope: "row", rowspan: changes.length }, nameOf(run, name)),
      make("td", {}, change.what), make("td", { class: "old" }, change.before), make("td", {}, "→"), make("td", { class: "new" }, change.after))));
    const still = found.filter((each) => !each.changes.length).map((each) => nameOf(run, each.name));
    return [
      make("table", { "aria-label": "Changes of state" }, ...rows),
      make("p", { class: "hint" }, still.length ? `Unchanged: ${still.join(", ")}.` : ""),
    ];
  }
}

/** @param {[string, number][]} rows */
function counts(rows) {
  return make("dl", { class: "counts" }, ...rows.map(([name, count]) => make("div", {}, make("dt", {}, name), make("dd", {}, count.toLocaleString("en")))));
}

/** How much of what happened between two positions, both included; what did not happen is left out.
 * @param {import("oarlock/run.js").Run} run @param {number} from @param {number} to @returns {[string, number][]} */
export function countsOf(run, from, to) {
  /** @type {Map<string, number>} */
  const found = new Map();
  const add = (/** @type {string} */ name) => found.set(name, (found.get(name) ?? 0) + 1);
  for (const event of run.events.slice(from, to + 1)) {
    if (event.k === "send") add(`${event.x?.type ?? "message"} sent`);
    else if (event.k === "drop") add("messages lost");
    else if (event.k === "viol") add("violations");
    else if (event.k === "crash") add("crashes");
    else if (event.k === "restart") add("restarts");
    else if (event.k === "client" && event.x?.op === "call") add("calls of clients");
    else if (event.k === "fsync") add("writes on disk");
    if (event.w?.role?.[1] === "leader") add("elections won");
    if (event.w?.term) add("changes of term");
    if (event.w?.commit) add("advances of a commit index");
  }
  return [...found].sort((a, b) => b[1] - a[1]);
}

/** For each server what differs between its states after two events.
 * @param {import("oarlock/run.js").Run} run @param {number} from @param {number} to @returns {{name: string, changes: Change[]}[]} */
export function changesBetween(run, from, to) {
  // Twice the same cluster moved on would be compared with itself.
  const before = run.track.copyAt(from);
  const after = run.track.at(to);
  const names = run.servers.filter((name) => before.servers.has(name) || after.servers.has(name)).sort((a, b) => run.compare(a, b));
  return names.map((name) => {
    const changes = changesOf(run, before.servers.get(name), after.servers.get(name));
    if (before.down.has(name) !== after.down.has(name)) changes.unshift({ what: "process", ...told(before.down.has(name) ? "down" : "up", after.down.has(name) ? "down" : "up") });
    return { name, changes };
  });
}

/** @param {import("oarlock/run.js").Run} run
 * @param {ServerState | undefined} before @param {ServerState | undefined} after @returns {Change[]} */
function changesOf(run, before, after) {
  const named = (/** @type {unknown} */ value) => (typeof value === "string" && run.laneOf.has(value) ? nameOf(run, value) : value);
  if (!before || !after) return before === after ? [] : [{ what: "state", ...told(before ? "known" : "unknown", after ? "known" : "unknown") }];
  const changes = SCALARS.filter(([name]) => before[name] !== after[name]).map(([name, what]) => ({ what, ...told(named(before[name]), named(after[name])) }));
  if (logOf(before) !== logOf(after)) changes.push({ what: "log", before: logOf(before), after: logOf(after) });
  for (const [name, what] of BY_SERVER) {
    for (const server of new Set([...Object.keys(before[name]), ...Object.keys(after[name])])) {
      if (before[name][server] !== after[name][server]) changes.push({ what: `${what} ${named(server)}`, ...told(before[name][server], after[name][server]) });
    }
  }
  if (JSON.stringify(before.conf) !== JSON.stringify(after.conf)) changes.push({ what: "configuration", ...told(votersOf(before), votersOf(after)) });
  return changes;
}

/** @param {unknown} before @param {unknown} after */
function told(before, after) {
  const words = (/** @type {unknown} */ value) => (value === undefined || value === null ? "none" : value === true ? "yes" : value === false ? "no" : String(value));
  return { before: words(before), after: words(after) };
}

/** A log as stretches of one term each. @param {ServerState} state */
function logOf(state) {
  const runs = state.log.slice(-4).map(([first, last, term]) => `${first === last ? first : `${first}–${last}`} of term ${term}`);
  return `${state.log.length > 4 ? "… " : ""}${runs.join(", ")}` || (lastIndex(state) ? `empty after ${lastIndex(state)}` : "empty");
}

/** @param {ServerState} state */
function votersOf(state) {
  const { voters = [], outgoing = [], learners = [] } = state.conf;
  return [voters.join(" "), outgoing.length ? `leaving: ${outgoing.join(" ")}` : "", learners.length ? `learners: ${learners.join(" ")}` : ""].filter(Boolean).join("; ");
}

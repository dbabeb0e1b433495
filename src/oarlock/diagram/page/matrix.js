/** The logs of all servers at the cursor, entry below entry, so that a divergence is seen at once. */

import { follow, make, termClass } from "oarlock/dom.js";
import { glyph, nameOf } from "oarlock/spacetime.js";
import { lastIndex, termAt } from "oarlock/state.js";

const CELL = 34;

export class LogMatrix {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store */
  constructor(element, store) {
    this.element = element;
    this.store = store;
    element.classList.add("matrix");
    follow(element, store, ["cursor", "run", "view"], () => this.draw());
    new ResizeObserver(() => this.draw()).observe(element);
  }

  draw() {
    const { run, shared } = this.store;
    const cluster = run.track.at(shared.cursor);
    const names = run.servers.filter((name) => cluster.servers.has(name)).sort((a, b) => run.compare(a, b));
    const states = names.map((name) => /** @type {ServerState} */ (cluster.servers.get(name)));
    const last = Math.max(0, ...states.map(lastIndex));
    const room = Math.max(4, Math.floor((this.element.clientWidth - 120) / CELL));
    const first = Math.max(1, Math.min(last - room + 2, Math.min(...states.map((state) => state.commit)) - 2));
    const indices = Array.from({ length: Math.max(0, Math.min(last + 1, first + room - 1) - first + 1) }, (_, at) => first + at);
    const leader = leaderAmong(cluster, names);
    const table = make("table", { "aria-label": "Logs at the cursor" },
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "index"), ...indices.map((index) => make("th", { scope: "col" }, String(index))))),
      make("tbody", {}, ...names.flatMap((name, at) => this.rows(name, states[at], indices, cluster, leader))),
    );
    this.element.replaceChildren(this.facts(names, states, first), table, legend());
  }

  /** @param {string[]} names @param {ServerState[]} states @param {number} first */
  facts(names, states, first) {
    const commit = Math.max(0, ...states.map((state) => state.commit));
    const hidden = first > 1 ? ` Entries below ${first} are not shown.` : "";
    return make("p", { class: "hint" }, names.length ? `Committed up to ${commit}.${hidden}` : "No server has begun yet.");
  }

  /** A server's entries, and below them where its marks stand.
   * @param {string} name @param {ServerState} state @param {number[]} indices
   * @param {import("oarlock/state.js").Cluster} cluster @param {string | undefined} leader */
  rows(name, state, indices, cluster, leader) {
    const isDown = cluster.down.has(name);
    const leading = leader === undefined ? undefined : cluster.servers.get(leader);
    const shown = nameOf(this.store.run, name);
    const entries = make("tr", { class: isDown ? "down" : "" },
      make("th", { scope: "row", rowspan: 2, class: termClass(state.term) },
        make("b", {}, shown), make("span", {}, isDown ? "× down" : `${glyph(state.role)} term ${state.term}`)),
      ...indices.map((index) => cell(state, index)),
    );
    const marks = make("tr", { class: "marks" }, ...indices.map((index) => make("td", {},
      index === state.commit ? make("span", { class: "mark", title: "commit index" }, "C") : undefined,
      index === state.applied ? make("span", { class: "mark", title: "applied" }, "A") : undefined,
      index === state.durable ? make("span", { class: "mark", title: "durable: synced to disk" }, "D") : undefined,
      leading && leader !== name && index === leading.match[name] ? make("span", { class: "mark", title: `match index, as ${leader} knows it` }, "●") : undefined,
      leading && leader !== name && index === leading.next[name] ? make("span", { class: "mark", title: `next index, as ${leader} knows it` }, "▲") : undefined,
    )));
    return [entries, marks];
  }
}

/** @param {ServerState} state @param {number} index */
function cell(state, index) {
  const term = termAt(state, index);
  if (index <= state.base[0]) return make("td", { class: "compacted", title: `entry ${index} is in the snapshot` }, "▒");
  if (term === undefined) return make("td", { class: "none", "aria-label": "no entry" });
  const isCommitted = index <= state.commit;
  const isApplied = index <= state.applied;
  const words = `entry ${index} of term ${term}, ${isApplied ? "applied" : isCommitted ? "committed" : "not known to be committed"}${index <= state.durable ? "" : ", not yet on disk"}`;
  return make("td", { class: `entry ${termClass(term)} ${isCommitted ? "committed" : "open"} ${index > state.durable ? "volatile" : ""}`, title: words, "aria-label": words }, String(term));
}

/** The leader of the highest term that is up. @param {import("oarlock/state.js").Cluster} cluster @param {string[]} names */
export function leaderAmong(cluster, names) {
  let found;
  for (const name of names) {
    const state = cluster.servers.get(name);
    if (!state || state.role !== "leader" || cluster.down.has(name)) continue;
    if (found === undefined || state.term > (cluster.servers.get(found)?.term ?? 0)) found = name;
  }
  return found;
}

function legend() {
  return make("p", { class: "hint" }, "Numbers are terms. Filled: committed there; dashed: not known to be; slanted: not on disk yet. "
    + "C commit, A applied, D durable; ● match and ▲ next index, as the leader knows them.");
}

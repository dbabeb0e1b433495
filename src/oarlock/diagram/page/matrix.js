/** The logs of all servers at the cursor, entry below entry, so that a divergence is seen at once. */

import { follow, make, termClass } from "oarlock/dom.js";
import { glyph, nameOf } from "oarlock/spacetime.js";
import { lastIndex, termAt } from "oarlock/state.js";

const CELL = 34;
/** The column of names. */
const HEAD = 110;

/** What one cell of the table is to be. @typedef {{text: string, class?: string, title?: string}} Cell */

export class LogMatrix {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store */
  constructor(element, store) {
    this.element = element;
    this.store = store;
    element.classList.add("matrix");
    this.facts = make("p", { class: "hint" });
    this.table = make("table", { "aria-label": "Logs at the cursor" });
    element.append(this.facts, this.table, legend());
    /** How many rows of servers and columns of entries the table has. */
    this.shape = "";
    /** Every cell that can change, in one order, and what it was last. @type {{element: HTMLElement, was: string}[]} */
    this.cells = [];
    follow(element, store, ["cursor", "run", "view"], () => this.draw());
    new ResizeObserver(() => this.draw()).observe(element);
  }

  draw() {
    const { run, shared } = this.store;
    const cluster = run.track.at(shared.cursor);
    const names = run.servers.filter((name) => cluster.servers.has(name)).sort((a, b) => run.compare(a, b));
    const states = names.map((name) => /** @type {ServerState} */ (cluster.servers.get(name)));
    const last = Math.max(0, ...states.map(lastIndex));
    const room = Math.max(4, Math.floor((this.element.clientWidth - HEAD - 24) / CELL));
    const first = Math.max(1, Math.min(last - room + 2, Math.min(...states.map((state) => state.commit)) - 2));
    const indices = Array.from({ length: Math.max(0, Math.min(last + 1, first + room - 1) - first + 1) }, (_, at) => first + at);
    const leader = leaderAmong(cluster, names);
    const commit = Math.max(0, ...states.map((state) => state.commit));
    this.facts.textContent = names.length ? `Committed up to ${commit}.${first > 1 ? ` Entries below ${first} are not shown.` : ""}` : "No server has begun yet.";
    this.#fill(names.length, indices.length, [
      ...indices.map((index) => ({ text: String(index) })),
      ...names.flatMap((name, at) => this.#row(name, states[at], indices, cluster, leader)),
    ]);
  }

  /** Write what changed: most steps change a cell or two, and building a table costs a frame.
   * @param {number} servers @param {number} columns @param {Cell[]} wanted */
  #fill(servers, columns, wanted) {
    if (this.shape !== `${servers} ${columns}`) this.#build(servers, columns);
    wanted.forEach((cell, at) => {
      const known = this.cells[at];
      const now = `${cell.class ?? ""}\n${cell.text}\n${cell.title ?? ""}`;
      if (known.was === now) return;
      known.was = now;
      known.element.className = cell.class ?? "";
      known.element.textContent = cell.text;
      for (const name of ["title", "aria-label"]) {
        if (cell.title === undefined) known.element.removeAttribute(name);
        else known.element.setAttribute(name, cell.title);
      }
    });
  }

  /** @param {number} servers @param {number} columns */
  #build(servers, columns) {
    this.shape = `${servers} ${columns}`;
    const cells = (/** @type {string} */ tag, /** @type {Record<string, any>} */ attributes = {}) =>
      Array.from({ length: columns }, () => make(tag, attributes));
    const heads = cells("th", { scope: "col" });
    const groups = Array.from({ length: servers }, () => {
      const [name, role] = [make("b"), make("span")];
      const head = make("th", { scope: "row", rowspan: 2 }, name, role);
      const [entries, marks] = [cells("td"), cells("td")];
      return { rows: [make("tr", {}, head, ...entries), make("tr", { class: "marks" }, ...marks)], cells: [name, role, ...entries, ...marks] };
    });
    // Widths that depend on no text: a table that measures itself does so in every step.
    this.table.style.width = `${HEAD + columns * CELL + 4}px`;
    this.table.replaceChildren(
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "index"), ...heads)),
      make("tbody", {}, ...groups.flatMap((group) => group.rows)),
    );
    this.cells = [...heads, ...groups.flatMap((group) => group.cells)].map((element) => ({ element, was: "\n\n" }));
  }

  /** A server's name, its entries, and below them where its marks stand.
   * @param {string} name @param {ServerState} state @param {number[]} indices
   * @param {import("oarlock/state.js").Cluster} cluster @param {string | undefined} leader @returns {Cell[]} */
  #row(name, state, indices, cluster, leader) {
    const isDown = cluster.down.has(name);
    const leading = leader === undefined || leader === name ? undefined : cluster.servers.get(leader);
    /** @type {(index: number) => Cell} */
    const marks = (index) => {
      const here = [
        index === state.commit && ["C", "commit index"], index === state.applied && ["A", "applied"],
        index === state.durable && ["D", "durable: synced to disk"],
        leading && index === leading.match[name] && ["●", `match index, as ${leader} knows it`],
        leading && index === leading.next[name] && ["▲", `next index, as ${leader} knows it`],
      ].filter((each) => Array.isArray(each));
      return { text: here.map(([sign]) => sign).join("\u2009"), title: here.length ? here.map(([, words]) => words).join("; ") : undefined };
    };
    return [
      { text: nameOf(this.store.run, name) },
      { text: isDown ? "× down" : `${glyph(state.role)} term ${state.term}`, class: termClass(state.term) },
      ...indices.map((index) => entry(state, index, isDown)), ...indices.map(marks),
    ];
  }
}

/** @param {ServerState} state @param {number} index @param {boolean} isDown @returns {Cell} */
function entry(state, index, isDown) {
  const faded = isDown ? " down" : "";
  if (index <= state.base[0]) return { text: "▒", class: `compacted${faded}`, title: `entry ${index} is in the snapshot` };
  const term = termAt(state, index);
  if (term === undefined) return { text: "", class: `none${faded}`, title: "no entry" };
  const isCommitted = index <= state.commit;
  const isApplied = index <= state.applied;
  const title = `entry ${index} of term ${term}, ${isApplied ? "applied" : isCommitted ? "committed" : "not known to be committed"}${index <= state.durable ? "" : ", not yet on disk"}`;
  return { text: String(term), title, class: `entry ${termClass(term)} ${isCommitted ? "committed" : "open"} ${index > state.durable ? "volatile" : ""}${faded}` };
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

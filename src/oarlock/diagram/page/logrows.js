/** What the matrix of logs says at a position: for every server its entries, and below them where its marks stand. */

import { glyph, nameOf } from "oarlock/spacetime.js";
import { lastIndex, leaderAmong, termAt } from "oarlock/state.js";

/** @typedef {{index: number, term: number | undefined, isCompacted: boolean, isCommitted: boolean, isApplied: boolean,
 * isDurable: boolean}} Entry One place of a log; without a term there is no entry. */

/** @typedef {{sign: string, words: string}} Mark */

/** @typedef {{name: string, role: string, term: number, isDown: boolean, entries: Entry[], marks: Mark[][]}} Row */

/** @typedef {{facts: string, indices: number[], rows: Row[]}} LogRows */

/** @param {import("oarlock/run.js").Run} run @param {import("oarlock/state.js").Cluster} cluster
 * @param {string[]} order All servers, as they are to stand. @param {number} room How many entries can be shown. @returns {LogRows} */
export function logRows(run, cluster, order, room) {
  const names = order.filter((name) => cluster.servers.has(name));
  const states = names.map((name) => /** @type {ServerState} */ (cluster.servers.get(name)));
  const last = Math.max(0, ...states.map(lastIndex));
  const first = Math.max(1, Math.min(last - room + 2, Math.min(...states.map((state) => state.commit)) - 2));
  const count = Math.max(0, Math.min(last + 1, first + room - 1) - first + 1);
  const indices = Array.from({ length: count }, (_, at) => first + at);
  const leader = leaderAmong(cluster, names);
  const leading = leader === undefined ? undefined : cluster.servers.get(leader);
  const commit = Math.max(0, ...states.map((state) => state.commit));
  return {
    facts: names.length ? `Committed up to ${commit}.${first > 1 ? ` Entries below ${first} are not shown.` : ""}` : "No server has begun yet.",
    indices,
    rows: names.map((name, at) => {
      const state = states[at];
      const isDown = cluster.down.has(name);
      return {
        name: nameOf(run, name), role: isDown ? "× down" : `${glyph(state.role)} term ${state.term}`, term: state.term, isDown,
        entries: indices.map((index) => entryAt(state, index)),
        marks: indices.map((index) => marksAt(state, index, name, leader === name ? undefined : leading, leader)),
      };
    }),
  };
}

/** @param {ServerState} state @param {number} index @returns {Entry} */
function entryAt(state, index) {
  return {
    index, isCompacted: index <= state.base[0], term: termAt(state, index), isCommitted: index <= state.commit,
    isApplied: index <= state.applied, isDurable: index <= state.durable,
  };
}

/** @param {ServerState} state @param {number} index @param {string} name
 * @param {ServerState | undefined} leading The state of another server that leads. @param {string | undefined} leader Its name. @returns {Mark[]} */
function marksAt(state, index, name, leading, leader) {
  const found = [];
  if (index === state.commit) found.push({ sign: "C", words: "commit index" });
  if (index === state.applied) found.push({ sign: "A", words: "applied" });
  if (index === state.durable) found.push({ sign: "D", words: "durable: synced to disk" });
  if (index === leading?.match[name]) found.push({ sign: "●", words: `match index, as ${leader} knows it` });
  if (index === leading?.next[name]) found.push({ sign: "▲", words: `next index, as ${leader} knows it` });
  return found;
}

/** An entry in words. @param {Entry} entry */
export function entryWords(entry) {
  if (entry.isCompacted) return `entry ${entry.index} is in the snapshot`;
  if (entry.term === undefined) return "no entry";
  const known = entry.isApplied ? "applied" : entry.isCommitted ? "committed" : "not known to be committed";
  return `entry ${entry.index} of term ${entry.term}, ${known}${entry.isDurable ? "" : ", not yet on disk"}`;
}

/** @param {Mark[]} marks */
export function markWords(marks) {
  return marks.map(({ words }) => words).join("; ");
}

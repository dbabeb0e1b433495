/** How two runs that are compared belong together, in the words of `diagram/relation.py`; a test compares the two. */

import { WORLD } from "oarlock/run.js";

/** @typedef {import("oarlock/run.js").Run} Run */

/** The servers that did anything. @param {Run} run */
export function actorsOf(run) {
  return run.lanes.filter((name, lane) => name !== WORLD && run.positions[lane].length);
}

/** Why less can be said of two runs than of those that were made to be compared; empty for those. @param {Run} one @param {Run} other */
export function relation(one, other) {
  const ours = actorsOf(one);
  const theirs = actorsOf(other);
  const runs = names(one.header, other.header);
  if (!ours.length || !theirs.length) return `There is nothing to compare: in ${ours.length || theirs.length ? "one run" : "both runs"} no server did anything.`;
  if (!ours.some((name) => theirs.includes(name))) {
    if (one.header.run === other.header.run) return "Different servers recorded these of one run: `oarlock draw` merges them, if it is given all of them.";
    return `${runs} have no server in common: where they part cannot be asked.`;
  }
  const told = origin(one.header) === origin(other.header) ? [] : [`${runs} are unrelated: nothing in one has to be as in the other`];
  for (const [which, mine, besides] of /** @type {[string, string[], string[]][]} */ ([["first", ours, theirs], ["second", theirs, ours]])) {
    const alone = mine.filter((name) => !besides.includes(name)).sort((a, b) => Number(`0x${a.slice(1)}`) - Number(`0x${b.slice(1)}`));
    if (alone.length) told.push(`${told.length ? "only" : "Only"} the ${which} has ${alone.join(", ")}`);
  }
  return told.length ? `${told.join("; ")}.` : "";
}

/** @param {TraceHeader} one @param {TraceHeader} other */
function names(one, other) {
  if (one.kind === other.kind) return `Runs ${one.run} and ${other.run}`;
  const [ours, theirs] = [one, other].map((header) => (header.kind === "live" ? "live" : "simulated"));
  return `Run ${one.run}, which is ${ours}, and run ${other.run}, which is ${theirs},`;
}

/** Runs with the same were made to be compared, or recorded of one cluster. @param {TraceHeader} header */
function origin(header) {
  return `${header.kind} ${header.seed ?? header.run}`;
}

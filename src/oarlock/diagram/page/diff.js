/** Where two runs part, by what servers did, in the words of `diagram/diff.py`; a test compares the two. */

import { WORLD } from "oarlock/run.js";
import { wholeState } from "oarlock/state.js";
import { sentence, shown } from "oarlock/words.js";

/** @typedef {import("oarlock/run.js").Run} Run */
/** @typedef {{sentence: string, one: string, other: string, told_one: string, told_other: string}} Difference */

/** Fields that only count. */
const NUMBERS = ["request_id", "number", "context"];
/** Operands that are moments or spans of time. */
const TIMES = ["waited", "last_contact", "now", "lease_until"];
const PER_SERVER = ["next", "match", "mode", "votes"];
const SCALARS = /** @type {const} */ (["term", "vote", "commit", "applied", "durable", "snapshot", "base"]);
const MOST_EXTRAS = 4;
const MOST_PARTS = 5;

/** The first thing that one run has and the other has not; null if all servers did the same.
 * @param {Run} one @param {Run} other @param {Extras} extras @returns {Difference | null} */
export function firstDifference(one, other, extras) {
  const end = Math.min(...[one, other].map((run) => (run.length ? sinceBegin(run, run.events[run.length - 1]) : 0)));
  /** @type {{at: number, difference: Difference} | undefined} */
  let first;
  for (const lane of [...new Set([...one.lanes, ...other.lanes])].filter((name) => name !== WORLD).sort()) {
    const found = firstOfLane(one, other, lane, end, extras);
    if (found && (!first || found.at < first.at)) first = found;
  }
  return first?.difference ?? null;
}

/** @param {Run} one @param {Run} other @param {string} lane @param {number} end @param {Extras} extras */
function firstOfLane(one, other, lane, end, extras) {
  const ours = doings(one, lane);
  const theirs = doings(other, lane);
  for (let number = 0; ; number++) {
    const here = ours[number];
    const there = theirs[number];
    if (!here && !there) return undefined;
    if (here && there && meaning(here, extras) === meaning(there, extras)) continue;
    const at = Math.min(here ? sinceBegin(one, here) : Infinity, there ? sinceBegin(other, there) : Infinity);
    if (at >= end && !(here && there)) return undefined;
    let [toldOne, toldOther] = contrast(tell(one, here, extras), tell(other, there, extras));
    if (here && there && toldOne === toldOther) {
      const opening = toldOne.replace(/\.$/, "").split("; ")[0];
      [toldOne, toldOther] = extrasOf(here, there, extras).map((extra) => `${opening}; ${extra}.`);
    }
    const difference = {
      sentence: `${lane} does something else from ${(at / 1e6).toFixed(6)} s on`, one: here?.id ?? "", other: there?.id ?? "",
      told_one: shortened(toldOne), told_other: shortened(toldOther),
    };
    return { at, difference };
  }
}

/** In microseconds: of live runs, no two begin at one time. @param {Run} run @param {TraceEvent} event */
function sinceBegin(run, event) {
  return event.t - run.events[0].t;
}

/** @param {Run} run @param {TraceEvent | undefined} event @param {Extras} extras */
function tell(run, event, extras) {
  return event ? sentence(extras, event, run.header.nodes) : "nothing more";
}

/** Two sentences that begin alike, each with its beginning and what the other has not. @param {string} one @param {string} other @returns {[string, string]} */
function contrast(one, other) {
  const ours = one.replace(/\.$/, "").split("; ");
  const theirs = other.replace(/\.$/, "").split("; ");
  if (ours[0] !== theirs[0] || ours.join("; ") === theirs.join("; ")) return [one, other];
  const here = ours.slice(1).filter((part) => !theirs.includes(part));
  const there = theirs.slice(1).filter((part) => !ours.includes(part));
  return [`${[ours[0], ...(here.length ? here : ["no more"])].join("; ")}.`, `${[theirs[0], ...(there.length ? there : ["no more"])].join("; ")}.`];
}

/** A sentence of many parts with its first ones. @param {string} told */
function shortened(told) {
  const parts = told.split("; ");
  return parts.length <= MOST_PARTS ? told : `${parts.slice(0, MOST_PARTS).join("; ")}; and so on.`;
}

/** What two events have that are told alike: fields, operands of rules, and changes, where they differ.
 * @param {TraceEvent} one @param {TraceEvent} other @param {Extras} extras */
function extrasOf(one, other, extras) {
  const ours = particulars(one, extras);
  const theirs = particulars(other, extras);
  const names = [...new Set([...ours.keys(), ...theirs.keys()])].filter((name) => ours.get(name) !== theirs.get(name));
  if (!names.length) return ["with contents of its own", "with other contents"];
  return [ours, theirs].map((side) => names.slice(0, MOST_EXTRAS).map((name) => `${name} ${side.get(name) ?? "as it was"}`).join(", "));
}

/** @param {TraceEvent} event @param {Extras} extras */
function particulars(event, extras) {
  /** @type {Map<string, string>} */
  const told = new Map();
  for (const [name, value] of Object.entries(event.x ?? {})) if (!NUMBERS.includes(name) && !isObject(value)) told.set(name, shown(value));
  if (isObject(event.x?.write)) for (const [name, value] of Object.entries(event.x?.write)) told.set(`${name.replaceAll("_", " ")} to disk`, shown(value));
  (event.r ?? []).forEach((rule, at) => event.g?.[at] && told.set(rule, shown(untimed(extras, rule, event.g[at]))));
  for (const [name, change] of Object.entries(event.w ?? {})) {
    if (PER_SERVER.includes(name)) for (const [server, pair] of Object.entries(change)) told.set(`${name} of ${server}`, shown(pair[1]));
    else if (name === "timer") told.set(name, "set anew");
    else if (name === "conf" || name === "log") told.set(name, "changed");
    else told.set(name, shown(change[1]));
  }
  if (event.s) {
    const whole = wholeState(event.s);
    for (const name of SCALARS) told.set(name, shown(whole[name]));
  }
  return told;
}

/** @param {any} value */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What matters of a lane: rules that acted, messages, changes of state. @param {Run} run @param {string} lane */
function doings(run, lane) {
  const column = run.positions[run.laneOf.get(lane) ?? -1];
  const events = column ? [...column.data.subarray(0, column.length)].map((position) => run.events[position]) : [];
  return events.filter((event) => event.r?.length || event.w || (event.k === "ready" && event.x?.write) || ["send", "crash", "restart"].includes(event.k));
}

/** An event without its number, its time, and the numbers of requests. @param {TraceEvent} event @param {Extras} extras */
function meaning(event, extras) {
  const fields = Object.entries(event.x ?? {}).filter(([name]) => !NUMBERS.includes(name));
  const operands = (event.r ?? []).map((rule, at) => untimed(extras, rule, event.g?.[at] ?? []));
  // That a timer was set matters, not to when.
  const written = event.w?.timer ? { ...event.w, timer: [0, 0] } : event.w;
  const whole = event.k === "restart" ? { ...event.s, timer: null } : null;
  return JSON.stringify([event.k, event.src, event.to, event.r, operands, fields, written, whole]);
}

/** Operands without times. @param {Extras} extras @param {string} rule @param {any[]} operands */
function untimed(extras, rule, operands) {
  const names = extras.rules[rule]?.operands ?? [];
  return operands.map((operand, at) => (TIMES.includes(names[at]) ? null : operand));
}

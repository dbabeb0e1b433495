/** The filter: words such as `node:n2 rule:AE-2 term>=4 kind:drop idx:17`, all of which must hold. */

import { laneOf, sentId } from "oarlock/ids.js";
import { KIND, KINDS } from "oarlock/run.js";

/** @typedef {(event: TraceEvent, state: ServerState | undefined, start?: number) => boolean} Test `start` is the run's first moment. */

const COMPARE = /** @type {Record<string, (a: number, b: number) => boolean>} */ ({
  ":": (a, b) => a === b, "=": (a, b) => a === b, ">": (a, b) => a > b, "<": (a, b) => a < b,
  ">=": (a, b) => a >= b, "<=": (a, b) => a <= b,
});

/** Words of a query, apart; quotes keep spaces together. Throws an Error that says what is wrong.
 * @param {string} query @param {Record<string, string>} names What people call each server. @returns {Test[]} */
function parse(query, names = {}) {
  const words = query.match(/(?:"[^"]*"|[^\s"])+|"/g) ?? [];
  return words.map((each) => word(each.replaceAll('"', ""), names)).filter((test) => test !== undefined);
}

/** @param {string} text @param {Record<string, string>} names @returns {Test | undefined} */
function word(text, names) {
  const isNot = text.startsWith("-") && text.length > 1;
  const rest = isNot ? text.slice(1) : text;
  if (!rest) return undefined;
  const found = /^([a-z]+)(>=|<=|[:=<>])(.+)$/.exec(rest);
  const test = found ? pair(found[1], found[2], found[3], names) : free(rest);
  return isNot ? (event, state, start) => !test(event, state, start) : test;
}

/** A word alone: anywhere in what the event says. @param {string} text @returns {Test} */
function free(text) {
  const wanted = text.toLowerCase();
  return (event) => JSON.stringify(event).toLowerCase().includes(wanted);
}

/** Words that compare numbers: all signs mean something there. @type {Record<string, (event: TraceEvent, state: ServerState | undefined) => number>} */
const NUMBERS = {
  term: (event, state) => Number(event.x?.term ?? state?.term ?? NaN),
  commit: (event) => Number(event.w?.commit?.[1] ?? NaN),
  applied: (event) => Number(event.w?.applied?.[1] ?? NaN),
  client: (event) => (event.k === "client" ? Number(event.x?.client ?? NaN) : NaN),
};

/** Words that name something: there is only equal and not equal.
 * @type {Record<string, (event: TraceEvent, wanted: string) => boolean>} */
const NAMES = {
  node: (event, wanted) => laneOf(event.id) === wanted || event.src === wanted || event.to === wanted,
  lane: (event, wanted) => laneOf(event.id) === wanted,
  from: (event, wanted) => event.src === wanted || (event.k === "send" && laneOf(event.id) === wanted),
  to: (event, wanted) => event.to === wanted,
  rule: (event, wanted) => (event.r ?? []).some((rule) => isRule(rule.toUpperCase(), wanted.toUpperCase().replaceAll(".", "-"))),
  type: (event, wanted) => String(event.x?.type ?? "").toLowerCase() === wanted.toLowerCase(),
  cause: (event, wanted) => event.cause === wanted,
  role: (event, wanted) => event.w?.role?.[1] === wanted.replaceAll("-", "_"),
  id: (event, wanted) => event.id === wanted || sentId(event.m ?? "") === sentId(wanted),
  key: (event, wanted) => String(event.x?.key ?? "") === wanted,
  kind: (event, wanted) => event.k === wanted,
};

/** Words in which a server may go by the name that people know. */
const OF_SERVERS = new Set(["node", "lane", "from", "to"]);

/** @param {string} name @param {string} sign @param {string} value @param {Record<string, string>} names @returns {Test} */
function pair(name, sign, value, names) {
  if (name in NUMBERS) return number(sign, value, NUMBERS[name]);
  if (name === "idx") return index(sign, numberOf(value));
  if (name === "t") return time(sign, numberOf(value));
  const test = NAMES[name];
  if (!test) throw new Error(`"${name}" is nothing to filter by; there are ${[...Object.keys(NAMES), "idx", "t", ...Object.keys(NUMBERS)].join(", ")}`);
  if (sign !== ":" && sign !== "=") throw new Error(`"${name}" is no number: write ${name}:${value}, or -${name}:${value} for all others`);
  if (name === "kind" && !(value in KIND)) throw new Error(`"${value}" is no kind of event; there are ${KINDS.join(", ")}`);
  const lane = OF_SERVERS.has(name) ? Object.keys(names).find((each) => names[each] === value) : undefined;
  return (event) => test(event, lane ?? value);
}

/** Seconds since the run began. @param {string} sign @param {number} wanted @returns {Test} */
function time(sign, wanted) {
  return (event, _, start) => COMPARE[sign]((event.t - (start ?? 0)) / 1e6, wanted);
}

/** @param {string} sign @param {string} value @param {(event: TraceEvent, state: ServerState | undefined) => number} get @returns {Test} */
function number(sign, value, get) {
  const wanted = numberOf(value);
  return (event, state) => COMPARE[sign](get(event, state), wanted);
}

/** A number in a query. @param {string} value */
function numberOf(value) {
  const found = Number(value);
  if (Number.isNaN(found)) throw new Error(`"${value}" is no number`);
  return found;
}

/** Whether a rule is the one meant, or of the group meant: "AE" is all of AE-1 to AE-5. @param {string} rule @param {string} wanted */
function isRule(rule, wanted) {
  return rule === wanted || rule.startsWith(`${wanted}-`);
}

/** Whether an event touches a log index: appends, deletes, commits, acknowledges or carries it.
 * @param {string} sign @param {number} wanted @returns {Test} */
function index(sign, wanted) {
  const holds = (/** @type {number | undefined} */ value) => value !== undefined && COMPARE[sign](value, wanted);
  return (event) => {
    const { w: delta, x: fields } = event;
    return Boolean(delta?.log?.app?.some((row) => holds(row[0]))) || holds(delta?.log?.trunc)
      || (delta?.commit ? delta.commit[0] < wanted && wanted <= delta.commit[1] : false)
      || holds(fields?.match_index) || Boolean(fields?.entries?.some?.((/** @type {any} */ row) => holds(Array.isArray(row) ? row[0] : row?.index)));
  };
}

/** For each position whether a query lets it through; null for an empty one.
 * @param {import("oarlock/run.js").Run} run @param {string} query */
export function matchesOf(run, query) {
  const tests = parse(query, run.header.nodes);
  const start = run.t.data[0];
  if (!tests.length) return null;
  const found = new Uint8Array(run.length);
  const terms = new Map();
  for (let position = 0; position < run.length; position++) {
    const event = run.events[position];
    const name = laneOf(event.id);
    if (event.s) terms.set(name, event.s.term ?? 0);
    if (event.w?.term) terms.set(name, event.w.term[1]);
    const state = /** @type {any} */ ({ term: terms.get(name) });
    found[position] = tests.every((test) => test(event, state, start)) ? 1 : 0;
  }
  return found;
}

/** The filter: words such as `node:n2 rule:AE-2 term>=4 kind:drop idx:17`, all of which must hold. */

import { laneOf } from "oarlock/ids.js";

/** @typedef {(event: TraceEvent, state: ServerState | undefined) => boolean} Test */

const COMPARE = /** @type {Record<string, (a: number, b: number) => boolean>} */ ({
  ":": (a, b) => a === b, "=": (a, b) => a === b, ">": (a, b) => a > b, "<": (a, b) => a < b,
  ">=": (a, b) => a >= b, "<=": (a, b) => a <= b,
});

/** Words of a query, apart. @param {string} query @returns {Test[]} Throws an Error that says what is wrong. */
export function parse(query) {
  return query.trim().split(/\s+/).filter(Boolean).map(word);
}

/** @param {string} text @returns {Test} */
function word(text) {
  const isNot = text.startsWith("-") && text.length > 1;
  const found = /^([a-z]+)(>=|<=|[:=<>])(.+)$/.exec(isNot ? text.slice(1) : text);
  const test = found ? pair(found[1], found[2], found[3]) : free(isNot ? text.slice(1) : text);
  return isNot ? (event, state) => !test(event, state) : test;
}

/** A word alone: anywhere in what the event says. @param {string} text @returns {Test} */
function free(text) {
  const wanted = text.toLowerCase();
  return (event) => JSON.stringify(event).toLowerCase().includes(wanted);
}

/** @param {string} name @param {string} sign @param {string} value @returns {Test} */
function pair(name, sign, value) {
  switch (name) {
    case "node": return (event) => event.id.startsWith(`${value}.`) || event.src === value || event.to === value;
    case "rule": return (event) => (event.r ?? []).some((rule) => isRule(rule.toUpperCase(), value.toUpperCase()));
    case "kind": return (event) => event.k === value;
    case "type": return (event) => String(event.x?.type ?? "").toLowerCase() === value.toLowerCase();
    case "cause": return (event) => event.cause === value;
    case "role": return (event) => event.w?.role?.[1] === value;
    case "from": return (event) => event.src === value || (event.k === "send" && event.id.startsWith(`${value}.`));
    case "to": return (event) => event.to === value;
    case "term": return number(sign, value, (event, state) => Number(event.x?.term ?? state?.term ?? NaN));
    case "idx": return index(sign, numberOf(value));
    case "commit": return number(sign, value, (event) => Number(event.w?.commit?.[1] ?? NaN));
    default: throw new Error(`"${name}" is nothing to filter by; there are node, rule, kind, type, cause, role, from, to, term, idx, commit`);
  }
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
  const tests = parse(query);
  if (!tests.length) return null;
  const found = new Uint8Array(run.length);
  const terms = new Map();
  for (let position = 0; position < run.length; position++) {
    const event = run.events[position];
    const name = laneOf(event.id);
    if (event.s) terms.set(name, event.s.term ?? 0);
    if (event.w?.term) terms.set(name, event.w.term[1]);
    const state = /** @type {any} */ ({ term: terms.get(name) });
    found[position] = tests.every((test) => test(event, state)) ? 1 : 0;
  }
  return found;
}

/** What can be asked why: an event by its id, after a colon a variable that it changed, or V1, V2: a violation. */

import { violations } from "oarlock/violation.js";

/** What was found of each run, and how many violations it had then. @type {WeakMap<import("oarlock/run.js").Run, {count: number, found: import("oarlock/violation.js").Violated[]}>} */
const known = new WeakMap();

/** The number of a violation, from 1; 0 for what is no such name. @param {string} asked */
function violationNumber(asked) {
  return Number(/^V([1-9]\d{0,5})$/.exec(asked)?.[1] ?? 0);
}

/** What a link asks, as far as the run can answer it. @param {import("oarlock/run.js").Run} run @param {string} asked
 * @returns {{asked?: string, wrong?: string}} */
export function readSubject(run, asked) {
  const number = violationNumber(asked);
  if (number) {
    if (number <= run.violations.length) return { asked };
    return { wrong: `It asks about violation ${asked}, and this run has ${run.violations.length || "none"}.` };
  }
  const [id, variable = ""] = asked.split(":");
  const event = run.find(id);
  if (!event) return { wrong: `It asks why of ${id}, which this run does not hold.` };
  if (!variable || changes(event, variable)) return { asked };
  return { asked: id, wrong: `It asks why ${variable} at ${id}, which did not change it.` };
}

/** Whether an event wrote a variable. @param {TraceEvent} event @param {string} variable */
function changes(event, variable) {
  const [name, server] = variable.split(".");
  if (name === "prefix" || name === "last") return Boolean(event.w?.log);
  const change = /** @type {Record<string, any>} */ (event.w ?? {})[name];
  if (change === undefined) return false;
  return server === undefined || name === "log" || server in change;
}

/** The violation that is asked about; undefined if it is an event. @param {import("oarlock/run.js").Run} run
 * @param {Extras} extras @param {string} asked */
export function violationAsked(run, extras, asked) {
  const number = violationNumber(asked);
  if (!number || number > run.violations.length) return undefined;
  let held = known.get(run);
  if (held?.count !== run.violations.length) known.set(run, (held = { count: run.violations.length, found: violations(run, extras) }));
  return held?.found[number - 1];
}

/** Where messages are at a moment: between which servers, how far, and what stopped those that never arrive. */

/** How long a loss stays marked, in events after it. */
const MARKED_FOR = 10;
/** What nobody saw arrive is shown for so long, in µs. */
const UNKNOWN_FOR = 2e6;
/** How many flights the usual one is measured from. */
const MEASURED = 500;

/** How far a message gets, by what stopped it; else it is half-way. @type {Record<string, number>} */
const STOPPED_AT = { queue: 0.16, src_down: 0.16, dst_down: 0.86, stale_epoch: 0.86 };

/** @typedef {object} Moment
 * @property {number} position The last event that has happened.
 * @property {number} time In µs; between two events while the picture moves from one to the next. */

/** @typedef {object} Flight
 * @property {import("oarlock/run.js").Message} message
 * @property {number} share How far it is, 0 to 1.
 * @property {"flying" | "held" | "lost" | "unknown"} fate Held: it got as far as it will, and its sender does not know yet.
 * @property {number} strength 0 to 1: what is over fades.
 * @property {string} cause Of a loss. */

/** @param {import("oarlock/run.js").Run} run @param {Moment} moment
 * @param {{pace: number, linger: number}} how `pace`: µs that a message usually takes; `linger`: µs for which one that has
 * arrived is still shown. @returns {Flight[]} */
export function flightsAt(run, moment, { pace, linger }) {
  const found = [];
  for (const message of run.messagesBetween(Math.max(0, moment.position - 4 * MARKED_FOR), moment.position)) {
    if (message.sent < 0 || message.sent > moment.position) continue;
    const flight = message.outcome === "dropped" ? lossAt(run, message, moment, pace)
      : message.end >= 0 ? arrivalAt(run, message, moment, linger) : unknownAt(run, message, moment, pace);
    if (flight) found.push(flight);
  }
  return found;
}

/** @param {import("oarlock/run.js").Run} run @param {import("oarlock/run.js").Message} message @param {Moment} moment
 * @param {number} linger @returns {Flight | undefined} */
function arrivalAt(run, message, { position, time }, linger) {
  const [begun, ended] = [run.t.data[message.sent], run.t.data[message.end]];
  if (message.end < position) {
    const strength = 1 - (time - ended) / Math.max(1, linger);
    return strength > 0 && linger > 0 ? { message, share: 1, fate: "flying", strength: Math.min(1, strength), cause: "" } : undefined;
  }
  const share = message.end === position ? 1 : ended > begun ? Math.min(1, Math.max(0, (time - begun) / (ended - begun))) : 0.5;
  return { message, share, fate: "flying", strength: 1, cause: "" };
}

/** @param {import("oarlock/run.js").Run} run @param {import("oarlock/run.js").Message} message @param {Moment} moment
 * @param {number} pace @returns {Flight | undefined} */
function lossAt(run, message, { position, time }, pace) {
  const cause = run.events[message.end].cause ?? "lost";
  const furthest = STOPPED_AT[cause] ?? 0.5;
  if (message.end <= position) {
    const strength = 1 - (position - message.end) / MARKED_FOR;
    return strength > 0 ? { message, share: furthest, fate: "lost", strength, cause } : undefined;
  }
  const share = Math.max(0, (time - run.t.data[message.sent]) / pace);
  // Until it is given up, it is where it cannot get on.
  return { message, share: Math.min(share, furthest), fate: share < furthest ? "flying" : "held", strength: 1, cause: "" };
}

/** @param {import("oarlock/run.js").Run} run @param {import("oarlock/run.js").Message} message @param {Moment} moment
 * @param {number} pace @returns {Flight | undefined} */
function unknownAt(run, message, { time }, pace) {
  const age = time - run.t.data[message.sent];
  if (age > UNKNOWN_FOR) return undefined;
  return { message, share: Math.min(0.35, Math.max(0, age / pace)), fate: "unknown", strength: 1, cause: "" };
}

/** What a message usually takes, in µs. @param {import("oarlock/run.js").Run} run */
export function paceOf(run) {
  const taken = [];
  for (const { sent, end, outcome } of run.messages) {
    if (sent >= 0 && outcome === "received") taken.push(run.t.data[end] - run.t.data[sent]);
    if (taken.length === MEASURED) break;
  }
  taken.sort((a, b) => a - b);
  return Math.max(1, taken[taken.length >> 1] ?? 1000);
}

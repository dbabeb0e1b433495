/** Rates and latencies of a running cluster, from its events alone. */

import { laneOf } from "oarlock/ids.js";

/** What is measured is of so many milliseconds. */
const SPAN_MS = 5000;
/** Proposals that wait for their commit, at most. */
const MOST_PENDING = 20_000;
/** A message that did not arrive within this time is no more called in flight. */
const FLIGHT_US = 3_000_000;

export class Pulse {
  /** @param {import("oarlock/run.js").Run} run */
  constructor(run) {
    this.run = run;
    /** Moments of arrival here, in milliseconds. @type {number[]} */
    this.sent = [];
    /** @type {{at: number, count: number}[]} */
    this.committed = [];
    /** @type {{at: number, us: number}[]} */
    this.latencies = [];
    /** By server and index: when it was proposed, in microseconds of the server's clock. @type {Map<string, number>} */
    this.proposed = new Map();
    this.commit = 0;
    this.since = performance.now();
  }

  /** @param {TraceEvent} event */
  take(event) {
    const now = performance.now();
    if (event.k === "send") this.sent.push(now);
    if (event.k === "client" && event.x?.op === "propose" && event.x.index) {
      const last = event.x.index + (event.x.count ?? 1) - 1;
      this.proposed.set(`${laneOf(event.id)} ${last}`, event.t);
      if (this.proposed.size > MOST_PENDING) this.proposed.clear();
    }
    if (event.s?.commit) this.commit = Math.max(this.commit, event.s.commit);
    if (event.w?.commit) this.#committed(event, event.w.commit[0], event.w.commit[1], now);
  }

  /** @param {TraceEvent} event @param {number} from @param {number} to @param {number} now */
  #committed(event, from, to, now) {
    for (let index = from + 1; index <= to; index++) {
      const key = `${laneOf(event.id)} ${index}`;
      const began = this.proposed.get(key);
      if (began === undefined) continue;
      this.proposed.delete(key);
      this.latencies.push({ at: now, us: event.t - began });
    }
    if (to <= this.commit) return;
    this.committed.push({ at: now, count: to - this.commit });
    this.commit = to;
  }

  /** What to show now: rates per second, latencies in milliseconds. */
  now() {
    const now = performance.now();
    const first = now - SPAN_MS;
    this.sent = this.sent.slice(this.sent.findIndex((at) => at >= first) >= 0 ? this.sent.findIndex((at) => at >= first) : this.sent.length);
    this.committed = this.committed.filter((each) => each.at >= first);
    this.latencies = this.latencies.filter((each) => each.at >= first);
    const seconds = Math.max(1, Math.min(SPAN_MS, now - this.since) / 1000);
    const sorted = this.latencies.map((each) => each.us / 1000).sort((a, b) => a - b);
    return {
      messages: this.sent.length / seconds,
      commits: this.committed.reduce((sum, each) => sum + each.count, 0) / seconds,
      median: sorted[sorted.length >> 1],
      slowest: sorted[Math.floor(sorted.length * 0.99)],
      ...this.#underWay(),
    };
  }

  /** Messages that left and were not seen again: a moment ago, or longer. */
  #underWay() {
    const { run } = this;
    const newest = run.t.data[run.length - 1] ?? 0;
    let inFlight = 0;
    let unresolved = 0;
    for (let at = run.messages.length - 1; at >= 0 && at > run.messages.length - 5000; at--) {
      const message = run.messages[at];
      if (message.end >= 0) continue;
      if (newest - run.t.data[message.sent] <= FLIGHT_US) inFlight += 1;
      else unresolved += 1;
    }
    return { inFlight, unresolved };
  }
}

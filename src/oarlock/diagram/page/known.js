/** What is known of a run as its events come, one after the other: states, messages, and what of the past is not here. */

import { laneOf, sentId } from "oarlock/ids.js";
import { WORLD } from "oarlock/run.js";
import { Sights } from "oarlock/sights.js";
import { apply } from "oarlock/state.js";

/** Of what may grow with a run, so much is remembered: the newest. */
const MOST = 65_536;

/** @typedef {object} Judge Looks at each event before its server takes it, and after.
 * @property {(event: TraceEvent, lane: string, state: ServerState | undefined) => void} before
 * @property {(event: TraceEvent, lane: string, state: ServerState | undefined) => void} after
 * @property {(event: TraceEvent, lane: string, seen: import("oarlock/sights.js").Seen) => void} lost Called first if events
 * of the server are missing, or were before it was seen: what depends on them is to be forgotten. */

/** A map that forgets its oldest. @template K, V @extends {Map<K, V>} */
export class Recent extends Map {
  /** @param {number} most */
  constructor(most = MOST) {
    super();
    this.most = most;
  }

  /** @override @param {K} key @param {V} value */
  set(key, value) {
    super.set(key, value);
    if (this.size > this.most) this.delete(/** @type {K} */ (this.keys().next().value));
    return this;
  }
}

export class Known {
  /** @param {TraceHeader} header */
  constructor(header) {
    this.header = header;
    this.sights = new Sights();
    /** @type {import("oarlock/state.js").Cluster} */
    this.cluster = { servers: new Map(), down: new Set(), cut: new Set() };
    /** The fields of messages by their sending. @type {Recent<string, Record<string, any>>} */
    this.sent = new Recent();
    /** How many events of servers were looked at. */
    this.count = 0;
    /** Whether anything is missing. */
    this.isPartial = false;
  }

  /** The states of all servers now. */
  get states() {
    return this.cluster.servers;
  }

  /** Whether servers have clocks of their own: then the order of events says nothing but what follows from messages. */
  get isLive() {
    return this.header.kind === "live";
  }

  /** An event happened: let judges look at it. @param {TraceEvent} event @param {Judge[]} judges */
  take(event, judges) {
    const lane = laneOf(event.id);
    if (lane === WORLD) {
      this.#takeWorld(event);
      return;
    }
    const isBegin = !this.sights.sights.has(lane) && event.id.endsWith(".1");
    const seen = this.sights.take(lane, event, this.isLive);
    if (seen === "again") return;
    this.count += 1;
    if (seen !== "next") {
      this.isPartial ||= !isBegin;
      this.states.delete(lane);
      for (const judge of judges) judge.lost(event, lane, seen);
    }
    if (event.k === "recv" && event.m) this.sights.hear(laneOf(event.m), event.m);
    const before = this.states.get(lane);
    for (const judge of judges) judge.before(event, lane, before);
    apply(this.cluster, event, lane);
    if (event.k === "send") this.sent.set(event.id, event.x ?? {});
    if (event.s) this.sights.whole(lane, event.s.term ?? 0);
    const after = this.states.get(lane);
    for (const judge of judges) judge.after(event, lane, after);
  }

  /** @param {TraceEvent} event */
  #takeWorld(event) {
    apply(this.cluster, event, WORLD);
    // In a simulation nothing of an ended process is missing; of a live one its last words may be.
    if (event.k === "crash" && event.x?.server && !this.isLive) this.sights.end(event.x.server);
  }

  /** The fields of the message that an event received; undefined if it is none, or they are not known. @param {TraceEvent} event */
  message(event) {
    if (event.k !== "recv") return undefined;
    return event.x ?? this.sent.get(sentId(event.m ?? ""));
  }
}

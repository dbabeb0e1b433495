/** A run in memory: events as they come, with columns beside them for drawing and an index for questions. */

import { laneOf, sentId } from "oarlock/ids.js";
import { StateTrack, copyCluster } from "oarlock/state.js";

/** Kinds of events by number, for columns. */
export const KINDS = [
  "restart", "crash", "recv", "send", "drop", "dup", "timer", "client", "ready", "fsync", "advance", "apply",
  "snapshot", "link", "part", "heal", "key", "gap", "fault", "viol",
];

/** @type {Record<string, number>} */
export const KIND = Object.fromEntries(KINDS.map((name, number) => [name, number]));

/** The lane of what happens to no server. */
export const WORLD = "net";

/** How much an event matters where there is room for one alone: the worst of a tile wins. */
export const SEVERITY = { ordinary: 0, message: 1, drop: 2, change: 3, crash: 4, election: 5, violation: 6 };

/** A typed array that grows. @template {Float64Array|Int32Array|Uint8Array|Uint16Array} T */
export class Column {
  /** @param {new (length: number) => T} make */
  constructor(make) {
    this.make = make;
    this.length = 0;
    /** Longer than `length`; what is beyond is undefined. @type {T} */
    this.data = new make(1024);
  }

  /** @param {number} value */
  push(value) {
    if (this.length === this.data.length) {
      const wider = new this.make(this.length * 2);
      wider.set(/** @type {any} */ (this.data));
      this.data = wider;
    }
    this.data[this.length++] = value;
  }
}

/** The first position in an ascending column that is not below a value.
 * @param {ArrayLike<number>} column @param {number} length @param {number} value */
export function lowerBound(column, length, value) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** One lane between two changes of what is drawn as the lane itself.
 * @typedef {{from: number, to: number, term: number, role: string, isDown: boolean}} Span
 * `from` and `to` are positions of events, `to` excluded; the last span is open (`to` is Infinity). */

const BY_NAME = new Intl.Collator("en", { numeric: true });

/** Positions in one bucket of the index of messages. */
const BUCKET = 256;

/** One message on its way. @typedef {{sent: number, end: number, outcome: string, type: string, from: number, to: number}} Message
 * `sent` and `end` are positions (-1 if not in the trace), `from` and `to` lanes;
 * `outcome` is "received", "dropped" or "unresolved" (nobody knows: it may have arrived where nothing was recorded). */

export class Run {
  /** @param {TraceHeader} header @param {string[]} lanes Known servers, in the order of their lanes. */
  constructor(header, lanes) {
    this.header = header;
    /** @type {TraceEvent[]} */
    this.events = [];
    /** Names of lanes: servers, and last the network. */
    this.lanes = [...lanes, WORLD];
    /** @type {Map<string, number>} */
    this.laneOf = new Map(this.lanes.map((name, number) => [name, number]));
    this.t = new Column(Float64Array);
    this.lane = new Column(Uint8Array);
    this.kind = new Column(Uint8Array);
    this.severity = new Column(Uint8Array);
    /** Positions of each lane's events. */
    this.positions = this.lanes.map(() => new Column(Int32Array));
    /** @type {Span[][]} */
    this.spans = this.lanes.map(() => []);
    /** @type {Message[]} */
    this.messages = [];
    /** For each stretch of BUCKET positions the messages that are under way in it. @type {number[][]} */
    this.buckets = [];
    /** How often each rule acted. @type {Map<string, number>} */
    this.ruleCounts = new Map();
    /** Positions of events at which a leader came to be, a server crashed, and so on, for jumps. */
    this.elections = new Column(Int32Array);
    this.violations = new Column(Int32Array);
    /** They, and steps that were found to be wrong. */
    this.faults = new Column(Int32Array);
    this.commits = new Column(Int32Array);
    /** Filled by `position`. @type {Map<string, number>} */
    this.positionById = new Map();
    /** Messages by the id of their sending, and of their copies. @type {Map<string, number>} */
    this.messageById = new Map();
    this.track = new StateTrack(this);
    /** Events that could not be taken because of a limit. */
    this.truncated = 0;
    /** Events that were let go to make room for newer ones. */
    this.forgotten = 0;
  }

  get length() {
    return this.events.length;
  }

  /** The servers' lanes, without the network's. */
  get servers() {
    return this.lanes.filter((name) => name !== WORLD);
  }

  /** Which of two servers stands first: by the names that people know. @param {string} one @param {string} other */
  compare(one, other) {
    const names = this.header.nodes ?? {};
    if (one in names !== other in names) return one in names ? -1 : 1;
    return BY_NAME.compare(names[one] || one, names[other] || other);
  }

  /** Let the first events go; the states that they led to stay. @param {number} count */
  forget(count) {
    const next = new Run(this.header, this.servers);
    next.track.latest = copyCluster(this.track.at(count - 1));
    next.forgotten = this.forgotten + count;
    for (const [name, state] of next.track.latest.servers) {
      next.#lengthenSpan(next.#laneNumber(name), 0, state.term, state.role, next.track.latest.down.has(name));
    }
    for (const event of this.events.slice(count)) next.append(event);
    Object.assign(this, next);
    this.track.run = this;
  }

  /** Add an event; it comes after all it follows from. @param {TraceEvent} event */
  append(event) {
    const position = this.events.length;
    const name = laneOf(event.id);
    const lane = this.#laneNumber(name);
    this.events.push(event);
    this.t.push(event.t);
    this.lane.push(lane);
    this.kind.push(KIND[event.k] ?? 0);
    this.positions[lane].push(position);
    for (const rule of event.r ?? []) this.ruleCounts.set(rule, (this.ruleCounts.get(rule) ?? 0) + 1);
    const state = this.track.append(event, name, position);
    this.severity.push(this.#judge(event, position));
    if (state !== undefined) this.#lengthenSpan(lane, position, state.term, state.role, event.k === "crash");
    if (name === WORLD && event.k === "crash" && event.x?.server) this.#endLife(event.x.server, position);
    this.#followMessage(event, position, lane);
  }

  /** An event was found to go against the rules. @param {string} id */
  markWrong(id) {
    const position = this.position(id);
    const { data, length } = this.faults;
    const at = lowerBound(data, length, position);
    if (position < 0 || (at < length && data[at] === position)) return;
    this.severity.data[position] = SEVERITY.violation;
    this.faults.push(position);
    this.faults.data.copyWithin(at + 1, at, length);
    this.faults.data[at] = position;
  }

  /** A server's process is gone, and others say so. @param {string} server @param {number} position */
  #endLife(server, position) {
    const state = this.track.latest.servers.get(server);
    this.#lengthenSpan(this.#laneNumber(server), position, state?.term ?? 0, state?.role ?? "follower", true);
  }

  /** A lane by its name; a server that was not known gets one before the network's. @param {string} name */
  #laneNumber(name) {
    const known = this.laneOf.get(name);
    if (known !== undefined) return known;
    // Lanes keep their numbers: columns hold them.
    const lane = this.lanes.length;
    this.lanes.push(name);
    this.laneOf.set(name, lane);
    this.positions.push(new Column(Int32Array));
    this.spans.push([]);
    return lane;
  }

  /** @param {TraceEvent} event @param {number} position */
  #judge(event, position) {
    if (event.k === "viol") {
      this.violations.push(position);
      this.faults.push(position);
      return SEVERITY.violation;
    }
    if (event.w?.commit) this.commits.push(position);
    if (event.w?.role?.[1] === "leader") {
      this.elections.push(position);
      return SEVERITY.election;
    }
    if (event.k === "crash" || event.k === "part") return SEVERITY.crash;
    if (event.w?.role || event.w?.term || event.k === "restart" || event.k === "heal") return SEVERITY.change;
    if (event.k === "drop") return SEVERITY.drop;
    return event.m || event.k === "send" ? SEVERITY.message : SEVERITY.ordinary;
  }

  /** @param {number} lane @param {number} position @param {number} term @param {string} role @param {boolean} isDown */
  #lengthenSpan(lane, position, term, role, isDown) {
    const spans = this.spans[lane];
    const last = spans[spans.length - 1];
    if (last && last.term === term && last.role === role && last.isDown === isDown) return;
    if (last) last.to = position;
    spans.push({ from: position, to: Infinity, term, role, isDown });
  }

  /** @param {TraceEvent} event @param {number} position @param {number} lane */
  #followMessage(event, position, lane) {
    if (event.k === "send") {
      const to = this.#laneNumber(event.to ?? WORLD);
      this.messageById.set(event.id, this.messages.length);
      this.#addMessage({ sent: position, end: -1, outcome: "unresolved", type: event.x?.type ?? "", from: lane, to });
    } else if ((event.k === "recv" || event.k === "drop") && event.m) {
      this.#endMessage(event, position);
    }
  }

  /** @param {TraceEvent} event @param {number} position */
  #endMessage(event, position) {
    const sent = sentId(event.m ?? "");
    const outcome = event.k === "drop" ? "dropped" : "received";
    const known = this.messageById.get(sent);
    if (known === undefined) {
      const to = this.#laneNumber(event.to || laneOf(event.id));
      const from = this.#laneNumber(event.src || laneOf(sent));
      this.#addMessage({ sent: -1, end: position, outcome, type: event.x?.type ?? "", from, to });
      return;
    }
    const message = this.messages[known];
    if (message.end < 0) {
      message.end = position;
      message.outcome = outcome;
      this.#index(known, message.sent + BUCKET - (message.sent % BUCKET), position);
    } else {
      // A copy: drawn as a message of its own from the same sending.
      this.#addMessage({ ...message, end: position, outcome });
    }
  }

  /** @param {Message} message */
  #addMessage(message) {
    const number = this.messages.length;
    this.messages.push(message);
    const begin = message.sent >= 0 ? message.sent : message.end;
    this.#index(number, begin, Math.max(begin, message.end));
  }

  /** Note that a message is under way between two positions. @param {number} number @param {number} from @param {number} to */
  #index(number, from, to) {
    for (let bucket = Math.floor(from / BUCKET); bucket * BUCKET <= to; bucket++) {
      while (this.buckets.length <= bucket) this.buckets.push([]);
      this.buckets[bucket].push(number);
    }
  }

  /** The messages that are under way somewhere between two positions. @param {number} first @param {number} last */
  messagesBetween(first, last) {
    const found = [];
    for (let bucket = Math.floor(first / BUCKET); bucket * BUCKET <= last && bucket < this.buckets.length; bucket++) {
      for (const number of this.buckets[bucket]) {
        const message = this.messages[number];
        const begin = message.sent >= 0 ? message.sent : message.end;
        // One that began earlier was found in an earlier bucket, if there was one.
        const isKnown = begin < bucket * BUCKET && bucket * BUCKET > first;
        if (!isKnown && begin <= last && Math.max(begin, message.end) >= first) found.push(message);
      }
    }
    return found;
  }

  /** Where an event stands, by its id or that of a message; -1 if the trace does not hold it. @param {string} id */
  position(id) {
    // The index is made when somebody asks: it would be a fifth of the time to load.
    const { positionById, events } = this;
    for (let position = positionById.size; position < events.length; position++) positionById.set(events[position].id, position);
    return positionById.get(sentId(id)) ?? -1;
  }

  /** An event by its id, or the sending of a message. @param {string} id */
  find(id) {
    const position = this.position(id);
    return position < 0 ? undefined : this.events[position];
  }

  /** What became of a message: every event that received or dropped it. @param {string} id */
  endsOf(id) {
    const sent = this.messageById.get(sentId(id));
    if (sent === undefined) return [];
    const position = this.messages[sent].sent;
    return this.messages.filter((each) => each.sent === position && each.end >= 0).map((each) => each.end);
  }

  /** The next event of a lane after a position, or the one before it; -1 if there is none.
   * @param {number} lane @param {number} position @param {number} direction 1 or -1 */
  alongLane(lane, position, direction) {
    const column = this.positions[lane];
    if (direction > 0) {
      const at = lowerBound(column.data, column.length, position + 1);
      return at < column.length ? column.data[at] : -1;
    }
    const at = lowerBound(column.data, column.length, position) - 1;
    return at >= 0 ? column.data[at] : -1;
  }

  /** The next position of an ascending column after one, or the one before; -1 if there is none.
   * @param {Column<Int32Array>} column @param {number} position @param {number} direction 1 or -1 */
  along(column, position, direction) {
    const at = direction > 0 ? lowerBound(column.data, column.length, position + 1) : lowerBound(column.data, column.length, position) - 1;
    return at >= 0 && at < column.length ? column.data[at] : -1;
  }
}

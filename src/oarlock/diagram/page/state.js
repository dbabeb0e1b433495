/** The states of all servers at any position, from checkpoints and the changes since. */

import { laneOf } from "oarlock/ids.js";

/** Positions between two checkpoints: bounds what a seek replays. */
const CHECKPOINT_EVERY = 256;

const PER_SERVER = new Set(["next", "match", "mode", "votes"]);

/** @typedef {{servers: Map<string, ServerState>, down: Set<string>, cut: Set<string>}} Cluster
 * `cut` holds links that let nothing through, as "n1>n2". */

/** A state as a file has it, with what is absent at its default. @param {Partial<ServerState>} partial @returns {ServerState} */
export function wholeState(partial) {
  return {
    term: 0, vote: null, role: "follower", leader: null, commit: 0, handed: 0, applied: 0, durable: 0, timer: null,
    beat: false, snapshot: 0, transfer: null, conf: {}, ...partial, base: partial.base ?? [0, 0],
    log: (partial.log ?? []).map((run) => [run[0], run[1], run[2]]),
    next: { ...partial.next }, match: { ...partial.match }, mode: { ...partial.mode }, votes: { ...partial.votes },
  };
}

/** @param {ServerState} state @returns {ServerState} */
function copyState(state) {
  return {
    ...state, log: state.log.map((run) => [run[0], run[1], run[2]]), next: { ...state.next },
    match: { ...state.match }, mode: { ...state.mode }, votes: { ...state.votes },
  };
}

/** @param {Cluster} cluster @returns {Cluster} */
export function copyCluster(cluster) {
  const servers = new Map([...cluster.servers].map(([name, state]) => [name, copyState(state)]));
  return { servers, down: new Set(cluster.down), cut: new Set(cluster.cut) };
}

/** Apply a change to a state, in place. @param {ServerState} state @param {Delta} delta */
function change(state, delta) {
  const held = /** @type {any} */ (state);
  for (const name in delta) {
    const value = /** @type {any} */ (delta)[name];
    if (name === "log") changeLog(state, value);
    else if (PER_SERVER.has(name)) changeEach(held[name], value);
    else held[name] = value[1];
  }
}

/** @param {Record<string, any>} held By server. @param {Record<string, Pair<any>>} changes */
function changeEach(held, changes) {
  for (const server in changes) {
    const value = changes[server][1];
    if (value === null) delete held[server];
    else held[server] = value;
  }
}

/** @param {ServerState} state @param {LogDelta} delta */
function changeLog(state, delta) {
  const runs = state.log;
  if (delta.base) {
    state.base = delta.base;
    while (runs.length && runs[0][1] <= delta.base[0]) runs.shift();
    if (runs.length && runs[0][0] <= delta.base[0]) runs[0][0] = delta.base[0] + 1;
  }
  if (delta.trunc) {
    while (runs.length && runs[runs.length - 1][0] >= delta.trunc) runs.pop();
    if (runs.length && runs[runs.length - 1][1] >= delta.trunc) runs[runs.length - 1][1] = delta.trunc - 1;
  }
  for (const [index, term] of delta.app ?? []) {
    const last = runs[runs.length - 1];
    if (last && last[2] === term && last[1] === index - 1) last[1] = index;
    else runs.push([index, index, term]);
  }
}

/** The last index of a log. @param {ServerState} state */
export function lastIndex(state) {
  return state.log.length ? state.log[state.log.length - 1][1] : state.base[0];
}

/** The term of an entry; undefined if the log does not hold it. @param {ServerState} state @param {number} index */
export function termAt(state, index) {
  if (index === state.base[0]) return state.base[1];
  const run = state.log.find((each) => each[0] <= index && index <= each[1]);
  return run?.[2];
}

/** The leader of the highest term that is up; of two the first. @param {Pick<Cluster, "servers" | "down">} cluster @param {string[]} names */
export function leaderAmong(cluster, names) {
  let found;
  for (const name of names) {
    const state = cluster.servers.get(name);
    if (!state || state.role !== "leader" || cluster.down.has(name)) continue;
    if (found === undefined || state.term > (cluster.servers.get(found)?.term ?? 0)) found = name;
  }
  return found;
}

export class StateTrack {
  /** @param {import("oarlock/run.js").Run} run */
  constructor(run) {
    this.run = run;
    /** @type {Cluster} */
    this.latest = { servers: new Map(), down: new Set(), cut: new Set() };
    /** Each before the event at its number times CHECKPOINT_EVERY. @type {Cluster[]} */
    this.checkpoints = [];
    /** The last one asked for. @type {{position: number, cluster: Cluster} | undefined} */
    this.recent = undefined;
  }

  /** Follow the newest event. @param {TraceEvent} event @param {string} name @param {number} position */
  append(event, name, position) {
    if (position % CHECKPOINT_EVERY === 0) this.checkpoints.push(copyCluster(this.latest));
    apply(this.latest, event, name);
    return this.latest.servers.get(name);
  }

  /** As `at`, and to be kept: later calls do not move it on. @param {number} position */
  copyAt(position) {
    return copyCluster(this.at(position));
  }

  /** The states after the event at a position, until the next call; not to be changed. @param {number} position @returns {Cluster} */
  at(position) {
    if (!this.run.length) return this.latest;
    if (this.recent?.position === position) return this.recent.cluster;
    const checkpoint = Math.min(Math.floor(Math.max(position, 0) / CHECKPOINT_EVERY), this.checkpoints.length - 1);
    const from = checkpoint * CHECKPOINT_EVERY;
    const isNear = this.recent && this.recent.position < position && this.recent.position >= from;
    const cluster = isNear && this.recent ? this.recent.cluster : copyCluster(this.checkpoints[checkpoint] ?? this.latest);
    const begin = isNear && this.recent ? this.recent.position + 1 : from;
    for (let at = begin; at <= position; at++) {
      const event = this.run.events[at];
      apply(cluster, event, laneOf(event.id));
    }
    this.recent = { position, cluster };
    return cluster;
  }
}

/** Follow a cut of the network, or its healing. @param {Set<string>} cut As `Cluster.cut`, changed in place.
 * @param {TraceEvent} event */
export function applyCut(cut, event) {
  if (event.k === "heal" && !event.x?.links) return cut.clear();
  for (const [from, to] of event.x?.links ?? []) {
    if (event.k === "part") cut.add(`${from}>${to}`);
    else cut.delete(`${from}>${to}`);
  }
}

/** @param {Cluster} cluster @param {TraceEvent} event @param {string} name */
export function apply(cluster, event, name) {
  if (event.k === "part" || event.k === "heal") {
    applyCut(cluster.cut, event);
  } else if (event.k === "crash") {
    cluster.down.add(event.x?.server ?? name);
  } else if (event.k === "gap") {
    cluster.servers.delete(name);
  } else if (event.s) {
    cluster.servers.set(name, wholeState(event.s));
    cluster.down.delete(name);
  } else if (event.w) {
    const state = cluster.servers.get(name);
    if (state) change(state, event.w);
  }
}

/** Where events stand along the diagram: by order, by time, or by time with long silences cut short. */

import { KIND, lowerBound } from "oarlock/run.js";

/** What the length of the diagram can mean: see `Shared.axis`. */
export const AXES = ["logical", "time", "gaps"];

/** Steps of the logical axis: what nobody looks at takes little room. */
const STEP = { full: 1, quiet: 0.3, folded: 0.06 };
/** A silence longer than this many times the median step is drawn as long as that, on the axis "gaps". */
const LONGEST_GAP = 12;

const QUIET = new Set([KIND.ready, KIND.advance, KIND.fsync, KIND.key, KIND.apply, KIND.timer]);

/** Whether a message is a heartbeat. @param {TraceEvent | undefined} event */
function isHeartbeat(event) {
  return event?.x?.type === "AppendEntries" && !event.x.entries?.length;
}

export class Axis {
  /** @param {import("oarlock/run.js").Run} run */
  constructor(run) {
    this.run = run;
    /** Which events belong to heartbeats from which nothing followed: 1 or 0. */
    this.isFolded = new Uint8Array(0);
    this.coordinates = new Float64Array(0);
    this.showsHeartbeats = false;
    /** What the layout was made from: the events, and how they are to stand. */
    this.madeFrom = { events: "", all: "" };
  }

  /** Lay all events out, if anything is other than it was. @param {string} kind "logical", "time" or "gaps" @param {boolean} showsHeartbeats */
  layOut(kind, showsHeartbeats) {
    const events = `${this.run.forgotten}+${this.run.length}`;
    const all = `${events} ${kind} ${showsHeartbeats}`;
    if (this.madeFrom.all === all) return;
    if (this.madeFrom.events !== events) this.isFolded = foldable(this.run);
    this.madeFrom = { events, all };
    this.showsHeartbeats = showsHeartbeats;
    const length = this.run.length;
    const found = new Float64Array(length);
    const times = this.run.t.data;
    const longest = kind === "gaps" ? LONGEST_GAP * medianStep(times, length) : Infinity;
    let at = 0;
    for (let position = 0; position < length; position++) {
      if (kind === "logical") at += this.#step(position);
      else if (position) at += Math.min(longest, Math.max(0, times[position] - times[position - 1]));
      found[position] = at;
    }
    this.coordinates = found;
  }

  /** @param {number} position */
  #step(position) {
    if (this.isFolded[position] && !this.showsHeartbeats) return STEP.folded;
    if (QUIET.has(this.run.kind.data[position]) && this.run.severity.data[position] < 3) return STEP.quiet;
    return STEP.full;
  }

  /** The coordinate of a position, fractions between two events included. @param {number} position */
  at(position) {
    const length = this.coordinates.length;
    if (!length) return 0;
    const clamped = Math.min(Math.max(position, 0), length - 1);
    const below = Math.floor(clamped);
    const above = Math.min(below + 1, length - 1);
    return this.coordinates[below] + (this.coordinates[above] - this.coordinates[below]) * (clamped - below) + (position - clamped);
  }

  /** The position that stands at a coordinate, with a fraction. @param {number} coordinate */
  positionAt(coordinate) {
    const length = this.coordinates.length;
    const above = lowerBound(this.coordinates, length, coordinate);
    if (above <= 0) return coordinate - (this.coordinates[0] ?? 0);
    if (above >= length) return length - 1 + (coordinate - this.coordinates[length - 1]);
    const width = this.coordinates[above] - this.coordinates[above - 1];
    return above - 1 + (width ? (coordinate - this.coordinates[above - 1]) / width : 0);
  }
}

/** @param {Float64Array} times @param {number} length */
function medianStep(times, length) {
  const steps = [];
  const stride = Math.max(1, Math.floor(length / 4000));
  for (let at = stride; at < length; at += stride) {
    const step = times[at] - times[at - 1];
    if (step > 0) steps.push(step);
  }
  steps.sort((a, b) => a - b);
  return steps[steps.length >> 1] ?? 1;
}

/** Events of heartbeats that told nobody anything new. @param {import("oarlock/run.js").Run} run */
function foldable(run) {
  const folded = new Uint8Array(run.length);
  /** Links by which the message before could not even be sent: further heartbeats tell nothing new. */
  const refused = new Set();
  for (const message of run.messages) {
    const sent = run.events[message.sent];
    const end = run.events[message.end];
    const link = `${message.from}>${message.to}`;
    const isRefused = message.outcome === "dropped" && end?.cause === "queue";
    const isRefusedAgain = isRefused && refused.has(link) && isHeartbeat(sent);
    if (isRefused) refused.add(link);
    else refused.delete(link);
    if (message.outcome === "dropped" && !isRefusedAgain) continue;
    if (!isHeartbeat(sent) && !isEmptyReply(run, message)) continue;
    if (end?.w && changesMuch(end.w)) continue;
    if (message.sent >= 0) folded[message.sent] = 1;
    if (message.end >= 0) folded[message.end] = 1;
  }
  // What surrounds a heartbeat: the timer that made it due, the empty ready that it was taken out with.
  for (let position = 0; position < run.length; position++) {
    const event = run.events[position];
    if (event.k === "timer" && !event.r?.length && !event.w?.role) folded[position] = 1;
    if (event.k === "timer" && event.r?.every((rule) => rule === "L-1" || rule === "L-3") && event.r.length) folded[position] = 1;
    if (event.k === "ready" && !event.x?.write && !event.x?.apply) folded[position] = 1;
  }
  return folded;
}

/** An answer that acknowledges only what was known. @param {import("oarlock/run.js").Run} run @param {import("oarlock/run.js").Message} message */
function isEmptyReply(run, message) {
  const sent = run.events[message.sent];
  if (sent?.x?.type !== "AppendEntriesReply" || sent.x.conflict_index) return false;
  return !run.events[message.end]?.w?.match;
}

/** @param {Delta} delta */
function changesMuch(delta) {
  return Boolean(delta.term || delta.role || delta.commit || delta.log || delta.match || delta.vote || delta.conf || delta.leader);
}

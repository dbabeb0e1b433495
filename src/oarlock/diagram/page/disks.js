/** What each server's disk holds for certain, as `diagram/disks.py` follows it. */

import { lastIndex } from "oarlock/state.js";

/** @typedef {{number: number, hardState: [number, string | null] | undefined, last: number | undefined}} Write */
/** @typedef {{term: number, vote: string | null, last: number, writes: Write[], isKnown: boolean}} Disk
 * `last` is up to where it holds the log as memory has it. Of a server that was not seen from its start on, the disk is
 * known once a write is durable that was seen to begin. */

export class Disks {
  constructor() {
    /** @type {Map<string, Disk>} */
    this.disks = new Map();
  }

  /** Undefined while it is not known. @param {string} server */
  of(server) {
    const disk = this.disks.get(server);
    return disk?.isKnown ? disk : undefined;
  }

  /** Events of a server are missing. @param {string} server */
  forget(server) {
    this.disks.delete(server);
  }

  /** A life begins: what it recovered is what the disk holds. @param {string} server @param {ServerState} state */
  begin(server, state) {
    this.disks.set(server, { term: state.term, vote: state.vote, last: lastIndex(state), writes: [], isKnown: true });
  }

  /** A server is seen in the middle of a life: what is written from now on tells what its disk holds. @param {string} server */
  learn(server) {
    if (!this.disks.has(server)) this.disks.set(server, { term: 0, vote: null, last: 0, writes: [], isKnown: false });
  }

  /** A `ready`: its write is on its way. @param {string} server @param {Record<string, any>} fields @param {ServerState} state */
  handOut(server, fields, state) {
    const disk = this.disks.get(server);
    const write = fields.write;
    if (!disk || !write) return;
    const last = write.log === undefined ? undefined : Number(write.log[1]);
    // What it leaves out has been handed out before, and is durable first.
    disk.writes.push(disk.isKnown ? { number: Number(fields.number), hardState: write.hard_state, last }
      : { number: Number(fields.number), hardState: write.hard_state ?? [state.term, state.vote], last: last ?? lastIndex(state) });
  }

  /** All writes up to one are durable. @param {string} server @param {number} number */
  sync(server, number) {
    const disk = this.disks.get(server);
    while (disk?.writes.length && disk.writes[0].number <= number) {
      const write = /** @type {Write} */ (disk.writes.shift());
      if (write.hardState) [disk.term, disk.vote] = write.hardState;
      if (write.last !== undefined) disk.last = write.last;
      disk.isKnown = true;
    }
  }

  /** Take an event of a server, whose state after it this is. @param {string} server @param {TraceEvent} event @param {ServerState} state */
  follow(server, event, state) {
    if (event.k === "restart") this.begin(server, state);
    else if (event.s) this.learn(server);
    else if (event.k === "ready") this.handOut(server, event.x ?? {}, state);
    else if (event.k === "fsync") this.sync(server, Number(event.x?.number ?? 0));
    if (event.w?.log) this.changed(server, event.w.log);
  }

  /** The log changed in memory: what was written of deleted entries counts no more. @param {string} server @param {LogDelta} log */
  changed(server, log) {
    const disk = this.disks.get(server);
    if (!disk) return;
    if (log.trunc) {
      const most = log.trunc - 1;
      disk.last = Math.min(disk.last, most);
      for (const write of disk.writes) if (write.last !== undefined) write.last = Math.min(write.last, most);
    }
    if (log.base) disk.last = Math.max(disk.last, log.base[0]);
  }
}

/** What each server's disk holds for certain, as `diagram/disks.py` follows it. */

import { lastIndex } from "oarlock/state.js";

/** @typedef {{number: number, hardState: [number, string | null] | undefined, last: number | undefined}} Write */
/** @typedef {{term: number, vote: string | null, last: number, writes: Write[]}} Disk
 * `last` is up to where it holds the log as memory has it. */

export class Disks {
  constructor() {
    /** @type {Map<string, Disk>} */
    this.disks = new Map();
  }

  /** @param {string} server */
  of(server) {
    return this.disks.get(server);
  }

  /** A life begins: what it recovered is what the disk holds. @param {string} server @param {ServerState} state */
  begin(server, state) {
    this.disks.set(server, { term: state.term, vote: state.vote, last: lastIndex(state), writes: [] });
  }

  /** A `ready`: its write is on its way. @param {string} server @param {Record<string, any>} fields */
  handOut(server, fields) {
    const disk = this.disks.get(server);
    const write = fields.write;
    if (!disk || !write) return;
    disk.writes.push({ number: Number(fields.number), hardState: write.hard_state, last: write.log === undefined ? undefined : Number(write.log[1]) });
  }

  /** All writes up to one are durable. @param {string} server @param {number} number */
  sync(server, number) {
    const disk = this.disks.get(server);
    while (disk?.writes.length && disk.writes[0].number <= number) {
      const write = /** @type {Write} */ (disk.writes.shift());
      if (write.hardState) [disk.term, disk.vote] = write.hardState;
      if (write.last !== undefined) disk.last = write.last;
    }
  }

  /** Take an event of a server, whose state after it this is. @param {string} server @param {TraceEvent} event @param {ServerState} state */
  follow(server, event, state) {
    if (event.k === "restart") this.begin(server, state);
    else if (event.k === "ready") this.handOut(server, event.x ?? {});
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

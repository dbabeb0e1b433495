/** The worst that happened to each server between any two positions: a tree of which each node holds what its two hold. */

/** Bits of a lane: one for each severity, so that nodes are joined by one operation for all lanes of a word. */
const BITS = 7;
const LANES = 4;
const MASK = (1 << BITS) - 1;

export class Worst {
  /** @param {import("oarlock/run.js").Run} run */
  constructor(run) {
    this.run = run;
    /** How many positions the tree has room for; a power of two. */
    this.room = 0;
    /** For every LANES lanes a tree: node n holds what 2n and 2n + 1 do, leaves begin at `room`. @type {Int32Array[]} */
    this.trees = [];
    /** What is in it already: so many events, and so many faults. */
    this.length = 0;
    this.forgotten = 0;
    this.faults = 0;
  }

  /** Take in what has happened since. */
  follow() {
    const { run } = this;
    const words = Math.ceil(run.lanes.length / LANES);
    if (run.length > this.room || run.forgotten !== this.forgotten || words !== this.trees.length) {
      this.room = 1024;
      while (this.room < run.length) this.room *= 2;
      this.trees = Array.from({ length: words }, () => new Int32Array(2 * this.room));
      this.length = 0;
      this.forgotten = run.forgotten;
      this.faults = 0;
    }
    for (; this.length < run.length; this.length++) this.#add(this.length);
    if (this.faults === run.faults.length) return;
    // A step may be found to be wrong long after it came.
    this.faults = run.faults.length;
    for (const position of run.faults.data.subarray(0, this.faults)) this.#add(position);
  }

  /** @param {number} position */
  #add(position) {
    const lane = this.run.lane.data[position];
    const tree = this.trees[Math.floor(lane / LANES)];
    const bit = 1 << (BITS * (lane % LANES) + this.run.severity.data[position]);
    // Above a node that holds it already all do.
    for (let node = this.room + position; node && !(tree[node] & bit); node >>= 1) tree[node] |= bit;
  }

  /** For each lane the worst severity and one more between two positions, 0 for nothing.
   * @param {number} begin @param {number} end The one after the last. @param {(lane: number, worst: number) => void} tell Not called for nothing. */
  between(begin, end, tell) {
    for (let word = 0; word < this.trees.length; word++) {
      const tree = this.trees[word];
      let found = 0;
      for (let low = begin + this.room, high = end + this.room; low < high; low >>= 1, high >>= 1) {
        if (low & 1) found |= tree[low++];
        if (high & 1) found |= tree[--high];
      }
      for (let lane = word * LANES; found; lane++, found >>>= BITS) {
        if (found & MASK) tell(lane, 32 - Math.clz32(found & MASK));
      }
    }
  }
}

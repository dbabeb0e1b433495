/** Zoomed out: for each lane and pixel the worst that happened there, so that no violation vanishes. */

import { lowerBound } from "oarlock/run.js";

/** Rows that are counted together, the first time that one of them is seen. */
const CHUNK = 256;
/** Chunks that are kept: bounds what panning along a long run holds on to. */
const MOST_CHUNKS = 1024;
/** Heights of a row that differ by less than this are one: a pan must not change the zoom by rounding. */
const ALIKE = 1e-6;

/** By severity: how wide its mark is. */
const WIDTHS = [4, 8, 16, 12, 18, 22, 26];

/** Rows stand still in the run, whatever part of it is seen, so that a pan only moves them. */
export class Tiles {
  /** @param {import("oarlock/run.js").Run} run @param {import("oarlock/axis.js").Axis} axis */
  constructor(run, axis) {
    this.run = run;
    this.axis = axis;
    /** What a row spans, in coordinates of the axis. */
    this.height = 0;
    this.coordinates = axis.coordinates;
    /** By number: for each lane and row the worst severity and one more; 0 for nothing. @type {Map<number, Uint8Array>} */
    this.chunks = new Map();
  }

  /** Count in rows of this height from now on. @param {number} height */
  #begin(height) {
    const isSame = this.coordinates === this.axis.coordinates && Math.abs(height / this.height - 1) < ALIKE;
    if (isSame && this.chunks.size < MOST_CHUNKS) return;
    this.coordinates = this.axis.coordinates;
    if (!isSame) this.height = height;
    this.chunks.clear();
  }

  /** @param {number} number */
  #chunk(number) {
    const known = this.chunks.get(number);
    if (known) return known;
    const { run, coordinates, height } = this;
    const worst = new Uint8Array(run.lanes.length * CHUNK);
    const begin = lowerBound(coordinates, coordinates.length, number * CHUNK * height);
    const end = lowerBound(coordinates, coordinates.length, (number + 1) * CHUNK * height);
    const [lanes, severities] = [run.lane.data, run.severity.data];
    for (let position = begin; position < end; position++) {
      const row = Math.min(CHUNK - 1, Math.floor(coordinates[position] / height) - number * CHUNK);
      const tile = lanes[position] * CHUNK + Math.max(0, row);
      if (severities[position] >= worst[tile]) worst[tile] = severities[position] + 1;
    }
    this.chunks.set(number, worst);
    return worst;
  }

  /** Draw what is seen. @param {import("oarlock/paint.js").Frame} frame */
  paint(frame) {
    this.#begin(frame.coordinate(1) - frame.coordinate(0));
    const begin = Math.max(0, Math.floor(frame.coordinate(0) / this.height));
    const end = Math.ceil(frame.coordinate(frame.height) / this.height);
    const top = Math.round(frame.place(begin * this.height));
    const { colours } = frame;
    const styles = [colours.line, colours.line, colours.drop, colours.faint, colours.ink, colours.ink, colours.violation];
    for (let number = Math.floor(begin / CHUNK); number * CHUNK < end; number++) {
      const worst = this.#chunk(number);
      const [first, last] = [Math.max(begin, number * CHUNK), Math.min(end, (number + 1) * CHUNK)];
      for (const lane of frame.order) {
        paintRows(frame, worst, lane * CHUNK + first - number * CHUNK, lane * CHUNK + last - number * CHUNK, frame.x(lane), top + first - begin, styles);
      }
    }
  }
}

/** Rows of one lane; neighbours that are alike are one rectangle.
 * @param {import("oarlock/paint.js").Frame} frame @param {Uint8Array} worst @param {number} first @param {number} last
 * @param {number} x @param {number} top @param {string[]} styles */
function paintRows(frame, worst, first, last, x, top, styles) {
  const { context } = frame;
  for (let row = first; row < last;) {
    const severity = worst[row];
    const begin = row;
    while (row < last && worst[row] === severity) row += 1;
    if (!severity) continue;
    context.fillStyle = styles[severity - 1];
    context.fillRect(x - WIDTHS[severity - 1] / 2, top + begin - first, WIDTHS[severity - 1], row - begin);
  }
}

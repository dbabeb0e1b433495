/** Zoomed out: for each lane and pixel the worst that happened there, so that no violation vanishes. */

import { lowerBound } from "oarlock/run.js";
import { Worst } from "oarlock/worst.js";

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
    this.worst = new Worst(run);
    // Not in the first frame that is zoomed out: it takes most of one.
    setTimeout(() => this.worst.follow(), 0);
    /** What a row spans, in coordinates of the axis. */
    this.height = 0;
  }

  /** For each lane and row the worst severity and one more, 0 for nothing.
   * @param {number} begin The first row. @param {number} end The one after the last. */
  rows(begin, end) {
    const { height, axis: { coordinates } } = this;
    const count = end - begin;
    const found = new Uint8Array(this.run.lanes.length * count);
    this.worst.follow();
    let first = lowerBound(coordinates, coordinates.length, begin * height);
    for (let row = 0; row < count; row++) {
      const last = lowerBound(coordinates, coordinates.length, (begin + row + 1) * height);
      if (last > first) this.worst.between(first, last, (lane, worst) => { found[lane * count + row] = worst; });
      first = last;
    }
    return found;
  }

  /** Draw what is seen. @param {import("oarlock/paint.js").Frame} frame */
  paint(frame) {
    const height = frame.coordinate(1) - frame.coordinate(0);
    if (!(Math.abs(height / this.height - 1) < ALIKE)) this.height = height;
    const begin = Math.max(0, Math.floor(frame.coordinate(0) / this.height));
    const end = Math.ceil(frame.coordinate(frame.height) / this.height);
    const top = Math.round(frame.place(begin * this.height));
    const { colours } = frame;
    const styles = [colours.line, colours.line, colours.drop, colours.faint, colours.ink, colours.ink, colours.violation];
    const [count, found] = [end - begin, this.rows(begin, end)];
    for (const lane of frame.order) paintRows(frame, found.subarray(lane * count, (lane + 1) * count), frame.x(lane), top, styles);
  }
}

/** Rows of one lane; neighbours that are alike are one rectangle.
 * @param {import("oarlock/paint.js").Frame} frame @param {Uint8Array} worst @param {number} x @param {number} top @param {string[]} styles */
function paintRows(frame, worst, x, top, styles) {
  const { context } = frame;
  for (let row = 0; row < worst.length;) {
    const severity = worst[row];
    const begin = row;
    while (row < worst.length && worst[row] === severity) row += 1;
    if (!severity) continue;
    context.fillStyle = styles[severity - 1];
    context.fillRect(x - WIDTHS[severity - 1] / 2, top + begin, WIDTHS[severity - 1], row - begin);
  }
}

/** The signs of the space-time diagram that stand at one event: on lanes, and at the ends of messages. */

import { KIND, SEVERITY } from "oarlock/run.js";

/** @typedef {OffscreenCanvasRenderingContext2D} Sheet */

/** The marks of single events on their lanes. @param {import("oarlock/paint.js").Frame} frame @param {number} position */
export function paintMark(frame, position) {
  const { context, run, colours } = frame;
  const event = run.events[position];
  // The end of a process is told by others.
  const lane = event.k === "crash" && event.x?.server ? (run.laneOf.get(event.x.server) ?? 0) : run.lane.data[position];
  const x = frame.x(lane);
  if (Number.isNaN(x)) return;
  const y = frame.y(position);
  const kind = run.kind.data[position];
  const stamp = (/** @type {string} */ name, /** @type {number} */ reach, /** @type {(sheet: Sheet) => void} */ paint) =>
    frame.sprites.stamp(context, name, x, y, reach, paint);
  if (kind === KIND.crash) return stamp("crash", 7, (sheet) => cross(sheet, colours.ink, 5));
  if (kind === KIND.viol) return;
  if (kind === KIND.restart) return stamp("restart", 6, (sheet) => ring(sheet, colours.ground, colours.ink));
  if (event.w?.role?.[1] === "leader") return stamp("leader", 9, (sheet) => star(sheet, colours.ink));
  if (event.w?.commit) return stamp("commit", 6, (sheet) => diamond(sheet, colours.ground, colours.ink));
  context.fillStyle = kind === KIND.client ? colours.accent : colours.faint;
  if (kind === KIND.client) context.fillRect(x - 9, y - 2, 5, 4);
  else if (kind === KIND.fsync) context.fillRect(x + 4, y - 0.75, 6, 1.5);
  else if (kind === KIND.timer && run.severity.data[position] >= SEVERITY.change) stamp("timer", 6, (sheet) => clock(sheet, colours.ground, colours.faint));
}

/** What was lost. @param {import("oarlock/paint.js").Frame} frame @param {number} x @param {number} y */
export function stampLoss(frame, x, y) {
  frame.sprites.stamp(frame.context, "loss", x, y, 6, (sheet) => cross(sheet, frame.colours.drop, 4));
}

/** ⊕ where a reply grants or agrees, ⊖ where it refuses. @param {import("oarlock/paint.js").Frame} frame
 * @param {number} x @param {number} y @param {string} colour @param {boolean} isGranted */
export function stampVerdict(frame, x, y, colour, isGranted) {
  frame.sprites.stamp(frame.context, `${isGranted} ${colour}`, x, y, 5, (sheet) => {
    sheet.fillStyle = frame.colours.ground;
    sheet.strokeStyle = colour;
    sheet.lineWidth = 1.2;
    sheet.beginPath();
    sheet.arc(0, 0, 4, 0, Math.PI * 2);
    sheet.fill();
    sheet.moveTo(-2.5, 0);
    sheet.lineTo(2.5, 0);
    if (isGranted) {
      sheet.moveTo(0, -2.5);
      sheet.lineTo(0, 2.5);
    }
    sheet.stroke();
  });
}

/** @param {Sheet} sheet @param {string} colour @param {number} size */
function cross(sheet, colour, size) {
  sheet.strokeStyle = colour;
  sheet.lineWidth = 2;
  sheet.beginPath();
  sheet.moveTo(-size, -size);
  sheet.lineTo(size, size);
  sheet.moveTo(size, -size);
  sheet.lineTo(-size, size);
  sheet.stroke();
}

/** @param {Sheet} sheet @param {string} ground @param {string} colour */
function ring(sheet, ground, colour) {
  sheet.beginPath();
  sheet.arc(0, 0, 4, 0, Math.PI * 2);
  sheet.fillStyle = ground;
  sheet.fill();
  sheet.strokeStyle = colour;
  sheet.lineWidth = 1.5;
  sheet.stroke();
}

/** @param {Sheet} sheet @param {string} ground @param {string} colour */
function clock(sheet, ground, colour) {
  ring(sheet, ground, colour);
  sheet.beginPath();
  sheet.moveTo(0, -3);
  sheet.lineTo(0, 0);
  sheet.lineTo(2, 0);
  sheet.stroke();
}

/** @param {Sheet} sheet @param {string} ground @param {string} colour */
function diamond(sheet, ground, colour) {
  sheet.beginPath();
  sheet.moveTo(0, -4);
  sheet.lineTo(4, 0);
  sheet.lineTo(0, 4);
  sheet.lineTo(-4, 0);
  sheet.closePath();
  sheet.fillStyle = ground;
  sheet.fill();
  sheet.strokeStyle = colour;
  sheet.lineWidth = 1.2;
  sheet.stroke();
}

/** @param {Sheet} sheet @param {string} colour */
function star(sheet, colour) {
  sheet.beginPath();
  for (let point = 0; point < 10; point++) {
    const radius = point % 2 ? 3 : 7.5;
    const angle = (Math.PI * point) / 5 - Math.PI / 2;
    sheet.lineTo(Math.cos(angle) * radius, Math.sin(angle) * radius);
  }
  sheet.closePath();
  sheet.fillStyle = colour;
  sheet.fill();
}

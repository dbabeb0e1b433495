/** Messages of the space-time diagram: a line whose dash says the kind, with a head or the mark of its loss. */

import { stampLoss, stampVerdict } from "oarlock/marks.js";
import { label, termColour } from "oarlock/paint.js";

/** Dashes by kind of message; what is not named is solid. @type {Record<string, number[]>} */
export const DASHES = {
  RequestVote: [7, 3], RequestVoteReply: [7, 3], PreVote: [2, 3], PreVoteReply: [2, 3],
  InstallSnapshot: [10, 3, 2, 3], InstallSnapshotReply: [10, 3, 2, 3], TimeoutNow: [1, 2],
  ReadIndex: [4, 4], ReadIndexReply: [4, 4],
};

/** Causes of losses, as short as a label has to be. @type {Record<string, string>} */
export const CAUSE_WORDS = { dst_down: "was down", queue: "not sent", stale_epoch: "earlier life", reset: "connection reset" };

/** A message with entries is drawn twice, so far apart: a wider line takes four times as long. */
const THICKNESS = 0.7;

/** @typedef {{colour: string, strength: number, dash: number[], lines: number[], arrows: number[]}} Look
 * What looks alike: lines as x and y of both ends, arrows as x and y of three corners. */

/** Messages, collected to be drawn together: one path for all that look alike. */
export class Messages {
  /** @param {import("oarlock/paint.js").Frame} frame */
  constructor(frame) {
    this.frame = frame;
    /** @type {Map<string, Look>} */
    this.looks = new Map();
    /** What stands above the lines: how strong, and how it is drawn. @type {{strength: number, draw: () => void}[]} */
    this.signs = [];
  }

  /** @param {import("oarlock/run.js").Message} message @param {number} strength 0 to 1 */
  add(message, strength) {
    const { frame } = this;
    const { run, colours } = frame;
    const [x1, x2] = [frame.x(message.from), frame.x(message.to)];
    if (Number.isNaN(x1) || Number.isNaN(x2)) return;
    const anchor = message.sent >= 0 ? message.sent : message.end;
    const y1 = frame.y(anchor);
    const y2 = message.end >= 0 ? frame.y(message.end) : y1 + 14;
    const isLost = message.outcome === "dropped";
    const share = isLost ? 0.55 : message.end < 0 ? 0.35 : 1;
    const [endX, endY] = [x1 + (x2 - x1) * share, y1 + (y2 - y1) * (isLost ? 1 : share)];
    const sent = run.events[anchor];
    const look = this.#look(isLost ? colours.drop : termColour(colours, Number(sent.x?.term ?? 0)), strength, message.type);
    if (sent.x?.entries?.length) look.lines.push(x1, y1 - THICKNESS / 2, endX, endY - THICKNESS / 2, x1, y1 + THICKNESS / 2, endX, endY + THICKNESS / 2);
    else look.lines.push(x1, y1, endX, endY);
    if (isLost) this.signs.push({ strength, draw: () => paintLoss(frame, endX, endY, run.events[message.end].cause ?? "lost") });
    else if (message.end < 0) this.signs.push({ strength, draw: () => label(frame, "?", endX, endY + 4, colours.faint) });
    else this.#addHead(look, verdictOf(sent), x1, y1, x2, y2);
  }

  /** @param {string} colour @param {number} strength @param {string} type */
  #look(colour, strength, type) {
    const dash = DASHES[type] ?? SOLID;
    const name = `${colour} ${strength} ${dash}`;
    let look = this.looks.get(name);
    if (!look) this.looks.set(name, look = { colour, strength, dash, lines: [], arrows: [] });
    return look;
  }

  /** A sign for a reply that grants, agrees or refuses, an arrow for a request. @param {Look} look
   * @param {boolean | undefined} verdict @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 */
  #addHead(look, verdict, x1, y1, x2, y2) {
    const length = Math.hypot(x2 - x1, y2 - y1) || 1;
    const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
    if (verdict !== undefined) {
      const { colour, strength } = look;
      this.signs.push({ strength, draw: () => stampVerdict(this.frame, x2 - dx * 6, y2 - dy * 6, colour, verdict) });
      return;
    }
    const [x, y] = [x2 - dx * 10, y2 - dy * 10];
    look.arrows.push(x2 - dx * 3, y2 - dy * 3, x - dy * 3.5, y + dx * 3.5, x + dy * 3.5, y - dx * 3.5);
  }

  paint() {
    const { context, ratio } = this.frame;
    context.lineWidth = 1;
    for (const { colour, strength, dash, lines, arrows } of this.looks.values()) {
      context.globalAlpha = strength;
      context.strokeStyle = context.fillStyle = colour;
      context.setLineDash(dash);
      strokeLines(context, lines, ratio <= 1);
      fillArrows(context, arrows);
    }
    context.setLineDash(SOLID);
    for (const { strength, draw } of this.signs) {
      context.globalAlpha = strength;
      draw();
    }
    context.globalAlpha = 1;
  }
}

/** @type {number[]} */
const SOLID = [];

/** @param {CanvasRenderingContext2D} context @param {number[]} lines
 * @param {boolean} isThin Whether a line is a pixel wide: only then is one path faster than many. */
function strokeLines(context, lines, isThin) {
  context.beginPath();
  for (let at = 0; at < lines.length; at += 4) {
    context.moveTo(lines[at], lines[at + 1]);
    context.lineTo(lines[at + 2], lines[at + 3]);
    if (isThin) continue;
    context.stroke();
    context.beginPath();
  }
  if (isThin) context.stroke();
}

/** @param {CanvasRenderingContext2D} context @param {number[]} arrows */
function fillArrows(context, arrows) {
  if (!arrows.length) return;
  context.beginPath();
  for (let at = 0; at < arrows.length; at += 6) {
    context.moveTo(arrows[at], arrows[at + 1]);
    context.lineTo(arrows[at + 2], arrows[at + 3]);
    context.lineTo(arrows[at + 4], arrows[at + 5]);
  }
  context.fill();
}

/** @param {import("oarlock/paint.js").Frame} frame @param {number} x @param {number} y @param {string} cause */
function paintLoss(frame, x, y, cause) {
  stampLoss(frame, x, y);
  // A wall says it already, or the label above.
  const place = `${Math.round(x)} ${cause}`;
  const isFree = y - (frame.labels.get(place) ?? -Infinity) > 26;
  if (frame.spacing < 130 || cause === "partition" || !isFree) return;
  frame.labels.set(place, y);
  label(frame, CAUSE_WORDS[cause] ?? cause, x + 7, y + 4, frame.colours.drop);
}

/** Whether a reply agrees; undefined for what is no such reply. @param {TraceEvent} event */
export function verdictOf(event) {
  const fields = event.x ?? {};
  if ("vote_granted" in fields) return Boolean(fields.vote_granted);
  if (fields.type === "AppendEntriesReply") return !fields.conflict_index && fields.success !== false;
  return undefined;
}

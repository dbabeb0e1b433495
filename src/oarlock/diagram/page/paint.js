/** What is drawn on the canvas of the space-time diagram. Hue is the term and nothing else; red is a violation. */

import { KIND, SEVERITY } from "oarlock/run.js";

/** How many colours terms go through. */
export const TERM_HUES = 8;

/** Dashes by kind of message; what is not named is solid. @type {Record<string, number[]>} */
export const DASHES = {
  RequestVote: [7, 3], RequestVoteReply: [7, 3], PreVote: [2, 3], PreVoteReply: [2, 3],
  InstallSnapshot: [10, 3, 2, 3], InstallSnapshotReply: [10, 3, 2, 3], TimeoutNow: [1, 2],
  ReadIndex: [4, 4], ReadIndexReply: [4, 4],
};

/** Causes of losses, as short as a label has to be. @type {Record<string, string>} */
export const CAUSE_WORDS = { dst_down: "was down", queue: "not sent", stale_epoch: "earlier life", reset: "connection reset" };

/** Colours from the style sheet, so that light and dark are decided in one place. @param {Element} element */
function palette(element) {
  const style = getComputedStyle(element);
  /** @param {string} name */
  const value = (name) => style.getPropertyValue(name).trim();
  return {
    ground: value("--ground"), panel: value("--panel"), ink: value("--ink"), faint: value("--faint"), line: value("--line"),
    accent: value("--accent"), violation: value("--violation"), drop: value("--drop"), wall: value("--wall"),
    terms: Array.from({ length: TERM_HUES + 1 }, (_, at) => value(`--term-${at}`)),
  };
}

/** @typedef {ReturnType<typeof palette>} Palette */

/** Have the colours now, and whenever light turns into dark or back. @param {Element} element @param {(colours: Palette) => void} use */
export function followPalette(element, use) {
  use(palette(element));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => use(palette(element)));
}

/** The colour of a term; term 0 is before the first. @param {Palette} colours @param {number} term */
export function termColour(colours, term) {
  return colours.terms[term > 0 ? ((term - 1) % TERM_HUES) + 1 : 0];
}

/** @typedef {object} Frame What a drawing needs to know.
 * @property {CanvasRenderingContext2D} context
 * @property {import("oarlock/run.js").Run} run
 * @property {Palette} colours
 * @property {number} width
 * @property {number} height
 * @property {number} first First position that is seen.
 * @property {number} last The one after the last.
 * @property {(coordinate: number) => number} place The height of a coordinate of the axis.
 * @property {(y: number) => number} coordinate What stands at a height.
 * @property {(position: number) => number} y
 * @property {(lane: number) => number} x Not a number for a lane that is not drawn.
 * @property {number} spacing Between two lanes.
 * @property {Set<number>} folded Lanes that are drawn as a mere line.
 * @property {(lane: number) => number} widthOf The room that a lane has.
 * @property {number[]} order Lanes from left to right.
 * @property {Uint8Array | null} matches
 * @property {Uint8Array} isFolded
 * @property {boolean} showsHeartbeats
 * @property {Map<string, number>} labels Where a label of a kind was last written.
 */

/** The lanes themselves: colour by term, width and dash by role. @param {Frame} frame */
export function paintLanes(frame) {
  const { context, run, colours } = frame;
  for (const lane of frame.order) {
    const x = frame.x(lane);
    for (const span of run.spans[lane]) {
      if (span.to < frame.first) continue;
      if (span.from > frame.last) break;
      const top = Math.max(-20, frame.y(span.from));
      const bottom = Math.min(frame.height + 20, span.to === Infinity ? frame.y(run.length) : frame.y(span.to));
      strokeSpan(context, colours, span, x, top, bottom, frame.folded.has(lane));
      if (!frame.folded.has(lane) && !span.isDown && span.term > 0 && bottom - top > 15) label(frame, String(span.term), x + 7, Math.max(top + 11, 13), termColour(colours, span.term));
    }
  }
  context.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} context @param {Palette} colours @param {import("oarlock/run.js").Span} span
 * @param {number} x @param {number} top @param {number} bottom @param {boolean} isThin */
function strokeSpan(context, colours, span, x, top, bottom, isThin) {
  context.strokeStyle = span.isDown ? colours.faint : termColour(colours, span.term);
  context.lineWidth = isThin || span.isDown ? 1 : span.role === "leader" ? 7 : span.role === "follower" ? 2 : 3;
  context.setLineDash(span.isDown ? [1, 5] : span.role === "follower" || span.role === "leader" ? [] : span.role === "learner" ? [1, 2] : [5, 3]);
  context.beginPath();
  context.moveTo(x, top);
  context.lineTo(x, bottom);
  context.stroke();
}

/** Walls where neighbours cannot talk. @param {Frame} frame @param {{from: number, to: number, links: Set<string>}[]} cuts */
export function paintWalls(frame, cuts) {
  const { context, colours, run } = frame;
  for (const cut of cuts) {
    if (cut.to < frame.first || cut.from > frame.last) continue;
    const top = Math.max(0, frame.y(cut.from));
    const bottom = Math.min(frame.height, frame.y(Math.min(cut.to, run.length)));
    for (let at = 0; at + 1 < frame.order.length; at++) {
      const [left, right] = [run.lanes[frame.order[at]], run.lanes[frame.order[at + 1]]];
      const there = cut.links.has(`${left}>${right}`);
      const back = cut.links.has(`${right}>${left}`);
      if (!there && !back) continue;
      const [from, to] = [frame.x(frame.order[at]), frame.x(frame.order[at + 1])];
      const x = (from + to) / 2;
      context.fillStyle = colours.wall;
      context.fillRect(x - (to - from) * 0.3, top, (to - from) * 0.6, bottom - top);
      context.fillStyle = colours.faint;
      context.fillRect(x - 1, top, 2, bottom - top);
      if (bottom - top > 40) label(frame, there && back ? "partition" : there ? "→ cut" : "← cut", x + 5, Math.max(top + 13, 13), colours.faint);
    }
  }
}

/** @param {Frame} frame @param {string} text @param {number} x @param {number} y @param {string} colour */
export function label(frame, text, x, y, colour) {
  const { context } = frame;
  context.font = "11px system-ui, sans-serif";
  context.lineWidth = 3;
  context.setLineDash([]);
  context.strokeStyle = frame.colours.ground;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

/** One message: a line whose dash says the kind, with a head or the mark of its loss.
 * @param {Frame} frame @param {import("oarlock/run.js").Message} message @param {number} strength 0 to 1 */
export function paintMessage(frame, message, strength) {
  const { context, run, colours } = frame;
  const anchor = message.sent >= 0 ? message.sent : message.end;
  const [x1, x2] = [frame.x(message.from), frame.x(message.to)];
  if (Number.isNaN(x1) || Number.isNaN(x2)) return;
  const y1 = frame.y(anchor);
  const y2 = message.end >= 0 ? frame.y(message.end) : y1 + 14;
  const isLost = message.outcome === "dropped";
  const share = isLost ? 0.55 : message.end < 0 ? 0.35 : 1;
  const [endX, endY] = [x1 + (x2 - x1) * share, y1 + (y2 - y1) * (isLost ? 1 : share)];
  const sent = run.events[anchor];
  context.globalAlpha = strength;
  context.strokeStyle = isLost ? colours.drop : termColour(colours, Number(sent.x?.term ?? 0));
  context.lineWidth = sent.x?.entries?.length ? 1.6 : 1;
  context.setLineDash(DASHES[message.type] ?? []);
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(endX, endY);
  context.stroke();
  context.setLineDash([]);
  if (isLost) paintLoss(frame, endX, endY, run.events[message.end].cause ?? "lost");
  else if (message.end < 0) label(frame, "?", endX, endY + 4, colours.faint);
  else paintHead(frame, message, x1, y1, x2, y2);
  context.globalAlpha = 1;
}

/** @param {Frame} frame @param {number} x @param {number} y @param {string} cause */
function paintLoss(frame, x, y, cause) {
  const { colours } = frame;
  cross(frame, x, y, colours.drop, 4);
  // A wall says it already, or the label above.
  const place = `${Math.round(x)} ${cause}`;
  const isFree = y - (frame.labels.get(place) ?? -Infinity) > 26;
  if (frame.spacing < 130 || cause === "partition" || !isFree) return;
  frame.labels.set(place, y);
  label(frame, CAUSE_WORDS[cause] ?? cause, x + 7, y + 4, colours.drop);
}

/** ⊕ for a reply that grants or agrees, ⊖ for one that refuses, an arrow for a request.
 * @param {Frame} frame @param {import("oarlock/run.js").Message} message
 * @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 */
function paintHead(frame, message, x1, y1, x2, y2) {
  const { context, run } = frame;
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
  const [x, y] = [x2 - dx * 6, y2 - dy * 6];
  const verdict = verdictOf(run.events[message.sent >= 0 ? message.sent : message.end]);
  context.fillStyle = context.strokeStyle;
  context.beginPath();
  if (verdict === undefined) {
    context.moveTo(x2 - dx * 3, y2 - dy * 3);
    context.lineTo(x - dx * 4 - dy * 3.5, y - dy * 4 + dx * 3.5);
    context.lineTo(x - dx * 4 + dy * 3.5, y - dy * 4 - dx * 3.5);
    context.fill();
    return;
  }
  context.fillStyle = frame.colours.ground;
  context.arc(x, y, 4, 0, Math.PI * 2);
  context.fill();
  context.lineWidth = 1.2;
  context.moveTo(x - 2.5, y);
  context.lineTo(x + 2.5, y);
  if (verdict) {
    context.moveTo(x, y - 2.5);
    context.lineTo(x, y + 2.5);
  }
  context.stroke();
}

/** Whether a reply agrees; undefined for what is no such reply. @param {TraceEvent} event */
export function verdictOf(event) {
  const fields = event.x ?? {};
  if ("vote_granted" in fields) return Boolean(fields.vote_granted);
  if (fields.type === "AppendEntriesReply") return !fields.conflict_index && fields.success !== false;
  return undefined;
}

/** The marks of single events on their lanes. @param {Frame} frame @param {number} position */
export function paintMark(frame, position) {
  const { context, run, colours } = frame;
  const event = run.events[position];
  // The end of a process is told by others.
  const lane = event.k === "crash" && event.x?.server ? (run.laneOf.get(event.x.server) ?? 0) : run.lane.data[position];
  const x = frame.x(lane);
  if (Number.isNaN(x)) return;
  const y = frame.y(position);
  const kind = run.kind.data[position];
  if (kind === KIND.crash) return cross(frame, x, y, colours.ink, 5);
  if (kind === KIND.viol) return;
  if (kind === KIND.restart) return ring(frame, x, y, colours.ink);
  if (event.w?.role?.[1] === "leader") return star(frame, x, y);
  if (event.w?.commit) return diamond(frame, x, y, colours.ink);
  context.fillStyle = kind === KIND.client ? colours.accent : colours.faint;
  if (kind === KIND.client) context.fillRect(x - 9, y - 2, 5, 4);
  else if (kind === KIND.fsync) context.fillRect(x + 4, y - 0.75, 6, 1.5);
  else if (kind === KIND.timer && run.severity.data[position] >= SEVERITY.change) clock(frame, x, y);
}

/** @param {Frame} frame @param {number} x @param {number} y @param {string} colour @param {number} size */
function cross(frame, x, y, colour, size) {
  const { context } = frame;
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x - size, y - size);
  context.lineTo(x + size, y + size);
  context.moveTo(x + size, y - size);
  context.lineTo(x - size, y + size);
  context.stroke();
}

/** @param {Frame} frame @param {number} x @param {number} y @param {string} colour */
function ring(frame, x, y, colour) {
  const { context, colours } = frame;
  context.beginPath();
  context.arc(x, y, 4, 0, Math.PI * 2);
  context.fillStyle = colours.ground;
  context.fill();
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.stroke();
}

/** @param {Frame} frame @param {number} x @param {number} y */
function clock(frame, x, y) {
  ring(frame, x, y, frame.colours.faint);
  const { context } = frame;
  context.beginPath();
  context.moveTo(x, y - 3);
  context.lineTo(x, y);
  context.lineTo(x + 2, y);
  context.stroke();
}

/** @param {Frame} frame @param {number} x @param {number} y @param {string} colour */
function diamond(frame, x, y, colour) {
  const { context, colours } = frame;
  context.beginPath();
  context.moveTo(x, y - 4);
  context.lineTo(x + 4, y);
  context.lineTo(x, y + 4);
  context.lineTo(x - 4, y);
  context.closePath();
  context.fillStyle = colours.ground;
  context.fill();
  context.strokeStyle = colour;
  context.lineWidth = 1.2;
  context.stroke();
}

/** @param {Frame} frame @param {number} x @param {number} y */
function star(frame, x, y) {
  const { context, colours } = frame;
  context.beginPath();
  for (let point = 0; point < 10; point++) {
    const radius = point % 2 ? 3 : 7.5;
    const angle = (Math.PI * point) / 5 - Math.PI / 2;
    context.lineTo(x + Math.cos(angle) * radius, y + Math.sin(angle) * radius);
  }
  context.closePath();
  context.fillStyle = colours.ink;
  context.fill();
}

/** The matrix of logs on a canvas: laying a table out costs a browser several times what these few pictures do. */

import { termColour } from "oarlock/paint.js";
import { Sprites } from "oarlock/sprites.js";

/** The width of the names, and what a column of entries takes. */
export const NAMES = 110;
export const CELL = 34;
const TOP = 30;
const INDICES = 22;
const ENTRY = 28;
const MARKS = 18;
const ROW = ENTRY + MARKS;
const GAP = 2;
const FONT = "system-ui, sans-serif";

/** How high the matrix of so many servers is. @param {number} servers */
export function heightOf(servers) {
  return TOP + (servers ? INDICES + servers * ROW : 0) + 2;
}

/** What is drawn at a point: a row, a column, and whether it is the entry or its marks.
 * @param {number} x @param {number} y */
export function partAt(x, y) {
  const down = y - TOP - INDICES;
  return { row: Math.floor(down / ROW), column: Math.floor((x - NAMES) / CELL), isMark: down - Math.floor(down / ROW) * ROW >= ENTRY };
}

export class LogPainter {
  constructor() {
    this.sprites = new Sprites();
  }

  /** @param {CanvasRenderingContext2D} context @param {import("oarlock/logrows.js").LogRows} logs
   * @param {import("oarlock/paint.js").Palette} colours @param {number} ratio Pixels of the screen in one of the page. */
  paint(context, logs, colours, ratio) {
    this.sprites.begin(colours, ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colours.panel;
    context.fillRect(0, 0, context.canvas.width / ratio, context.canvas.height / ratio);
    text(context, logs.facts, 0, 20, colours.faint, `14px ${FONT}`, context.canvas.width / ratio);
    if (!logs.rows.length) return;
    text(context, "index", 0, TOP + 15, colours.faint, `11px ${FONT}`);
    context.textAlign = "center";
    logs.indices.forEach((index, at) => context.fillText(String(index), NAMES + at * CELL + CELL / 2 - 1, TOP + 15));
    context.textAlign = "left";
    logs.rows.forEach((row, at) => this.#row(context, row, TOP + INDICES + at * ROW, colours));
  }

  /** @param {CanvasRenderingContext2D} context @param {import("oarlock/logrows.js").Row} row @param {number} top
   * @param {import("oarlock/paint.js").Palette} colours */
  #row(context, row, top, colours) {
    text(context, row.name, 0, top + 14, colours.ink, `600 14px ${FONT}`, NAMES - 8);
    text(context, row.role, 0, top + 31, termColour(colours, row.term), `11.5px ${FONT}`, NAMES - 8);
    if (row.isDown) context.globalAlpha = 0.5;
    row.entries.forEach((entry, at) => context.drawImage(this.#picture(entry, colours), NAMES + at * CELL, top, CELL - GAP, ENTRY - GAP));
    context.globalAlpha = 1;
    context.textAlign = "center";
    context.fillStyle = colours.faint;
    context.font = `10px ${FONT}`;
    row.marks.forEach((marks, at) => {
      if (marks.length) context.fillText(marks.map(({ sign }) => sign).join("\u2009"), NAMES + at * CELL + CELL / 2 - 1, top + ENTRY + 9);
    });
    context.textAlign = "left";
  }

  /** @param {import("oarlock/logrows.js").Entry} entry @param {import("oarlock/paint.js").Palette} colours */
  #picture(entry, colours) {
    const key = entry.isCompacted ? "▒" : entry.term === undefined ? "" : `${entry.term} ${entry.isCommitted} ${entry.isDurable}`;
    return this.sprites.picture(key, CELL - GAP, ENTRY - GAP, (context) => paintEntry(context, entry, colours));
  }
}

/** Filled: committed there; dashed: not known to be; slanted: not on disk yet.
 * @param {OffscreenCanvasRenderingContext2D} context @param {import("oarlock/logrows.js").Entry} entry
 * @param {import("oarlock/paint.js").Palette} colours */
function paintEntry(context, entry, colours) {
  const [width, height] = [CELL - GAP, ENTRY - GAP];
  context.textAlign = "center";
  if (entry.isCompacted) return text(context, "▒", width / 2, height / 2 + 5, colours.faint, `14px ${FONT}`);
  const hue = entry.term === undefined ? colours.line : termColour(colours, entry.term);
  const outline = new Path2D();
  outline.roundRect(0.75, 0.75, width - 1.5, height - 1.5, 3.5);
  context.save();
  context.clip(outline);
  context.fillStyle = hue;
  context.globalAlpha = entry.isCommitted && entry.term !== undefined ? 0.28 : 0;
  context.fillRect(0, 0, width, height);
  context.globalAlpha = 1;
  if (entry.term !== undefined && !entry.isDurable) slant(context, width, height, colours.wall);
  context.restore();
  context.strokeStyle = hue;
  context.lineWidth = entry.term === undefined ? 1 : 1.5;
  context.setLineDash(entry.term === undefined ? [1.5, 1.5] : entry.isCommitted ? [] : [4, 3]);
  context.stroke(outline);
  if (entry.term !== undefined) text(context, String(entry.term), width / 2, height / 2 + 5, colours.ink, `${entry.isDurable ? "" : "italic "}14px ${FONT}`);
}

/** @param {OffscreenCanvasRenderingContext2D} context @param {number} width @param {number} height @param {string} colour */
function slant(context, width, height, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 3;
  context.beginPath();
  for (let at = -height; at < width; at += 10) {
    context.moveTo(at, height);
    context.lineTo(at + height, 0);
  }
  context.stroke();
}

/** @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context @param {string} words
 * @param {number} x @param {number} y @param {string} colour @param {string} font @param {number} [width] What it may take at most. */
function text(context, words, x, y, colour, font, width) {
  context.font = font;
  context.fillStyle = colour;
  context.fillText(words, x, y, width);
}

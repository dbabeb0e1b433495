/** The logs of all servers at the cursor, entry below entry, so that a divergence is seen at once. */

import { follow, make } from "oarlock/dom.js";
import { CELL, LogPainter, NAMES, heightOf, partAt } from "oarlock/logpaint.js";
import { entryWords, logRows, markWords } from "oarlock/logrows.js";
import { followPalette } from "oarlock/paint.js";

/** Left and right of the canvas. */
const MARGIN = 24;
/** How long the cursor must stand before the table says what the canvas shows, in milliseconds. */
const REST_MS = 150;

export class LogMatrix {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store */
  constructor(element, store) {
    this.element = element;
    this.store = store;
    element.classList.add("matrix");
    this.canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { "aria-hidden": "true", onpointermove: (/** @type {PointerEvent} */ event) => this.#tell(event) }));
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
    this.painter = new LogPainter();
    /** For screen readers what the canvas is for eyes; made when the cursor rests. */
    this.twin = make("div", { class: "twin" });
    this.rest = 0;
    element.append(this.canvas, this.twin, legend());
    /** All servers in their order, and what that was made from. @type {{lanes: number, names: unknown, order: string[]}} */
    this.sorted = { lanes: -1, names: undefined, order: [] };
    /** What was drawn last, and as text, to see whether it is to be drawn again. @type {import("oarlock/logrows.js").LogRows} */
    this.logs = { facts: "", indices: [], rows: [] };
    this.drawn = "";
    this.width = 0;
    follow(element, store, ["cursor", "run", "view"], () => this.draw());
    new ResizeObserver(() => {
      // Asked for here, not in a frame: there it would lay the page out.
      this.width = element.clientWidth;
      if (this.width) this.draw();
    }).observe(element);
    followPalette(element, (colours) => {
      this.colours = colours;
      this.drawn = "";
      if (this.width) this.draw();
    });
  }

  get order() {
    const { run } = this.store;
    if (this.sorted.lanes !== run.lanes.length || this.sorted.names !== run.header.nodes) {
      this.sorted = { lanes: run.lanes.length, names: run.header.nodes, order: run.servers.sort((a, b) => run.compare(a, b)) };
    }
    return this.sorted.order;
  }

  draw() {
    this.width ||= this.element.clientWidth;
    const { run, shared } = this.store;
    const room = Math.max(4, Math.floor((this.width - NAMES - MARGIN) / CELL));
    this.logs = logRows(run, run.track.at(shared.cursor), this.order, room);
    // Most steps change no log.
    const ratio = devicePixelRatio || 1;
    const drawn = `${this.width} ${ratio} ${JSON.stringify(this.logs)}`;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const [width, height] = [Math.max(1, this.width - MARGIN), heightOf(this.logs.rows.length)];
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
      this.canvas.style.cssText = `width:${width}px;height:${height}px`;
    }
    this.painter.paint(this.context, this.logs, this.colours, ratio);
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.twin.replaceChildren(table(this.logs)), REST_MS);
  }

  /** What is under the pointer. @param {PointerEvent} event */
  #tell(event) {
    const { row, column, isMark } = partAt(event.offsetX, event.offsetY);
    const found = this.logs.rows[row];
    const entry = found?.entries[column];
    this.canvas.title = !entry ? "" : isMark ? markWords(found.marks[column]) : entryWords(entry);
  }
}

/** @param {import("oarlock/logrows.js").LogRows} logs */
function table(logs) {
  const heads = logs.indices.map((index) => make("th", { scope: "col" }, String(index)));
  return make("table", { "aria-label": "Logs at the cursor" }, make("caption", {}, logs.facts),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "index"), ...heads)),
    make("tbody", {}, ...logs.rows.flatMap((row) => [
      make("tr", {}, make("th", { scope: "row", rowspan: 2 }, `${row.name} ${row.role}`), ...row.entries.map((entry) => make("td", {}, entryWords(entry)))),
      make("tr", {}, ...row.marks.map((marks) => make("td", {}, markWords(marks)))),
    ])));
}

function legend() {
  return make("p", { class: "hint" }, "Numbers are terms. Filled: committed there; dashed: not known to be; slanted: not on disk yet. "
    + "C commit, A applied, D durable; ● match and ▲ next index, as the leader knows them.");
}

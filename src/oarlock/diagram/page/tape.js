/** The whole run as a strip: who led which term, crashes, losses, violations; a drag seeks. */

import { SEVERITY, lowerBound } from "oarlock/run.js";
import { followPalette, termColour } from "oarlock/paint.js";

export class TermTape {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store */
  constructor(element, store) {
    this.element = element;
    this.store = store;
    this.canvas = document.createElement("canvas");
    this.canvas.style.cssText = "width:100%;height:100%;display:block;touch-action:none";
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "slider");
    this.canvas.setAttribute("aria-label", "Position in the run");
    this.canvas.setAttribute("aria-valuemin", "0");
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
    element.append(this.canvas);
    /** Followed by an observer: to ask for it in a frame may lay the page out. */
    this.size = { width: element.clientWidth, height: element.clientHeight };
    new ResizeObserver(() => {
      this.size = { width: element.clientWidth, height: element.clientHeight };
      this.draw();
    }).observe(element);
    store.subscribe((_, changed) => {
      if (["cursor", "window", "run"].some((name) => changed.has(name))) this.draw();
    });
    /** @type {OffscreenCanvas | undefined} */
    this.backdrop = undefined;
    this.drawnLength = -1;
    followPalette(element, (colours) => {
      this.colours = colours;
      this.drawnLength = -1;
      this.draw();
    });
    this.#listen();
  }

  #listen() {
    const seek = (/** @type {PointerEvent} */ event) => {
      const run = this.store.run;
      const time = run.t.data[0] + (event.offsetX / this.element.clientWidth) * (run.t.data[run.length - 1] - run.t.data[0]);
      const position = Math.min(run.length - 1, lowerBound(run.t.data, run.length, time));
      const [from, to] = this.store.shared.window;
      const half = (to - from) / 2;
      this.store.set({ cursor: position, follows: false, window: this.store.clampWindow(position - half, position + half) });
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      seek(event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) seek(event);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -100, PageDown: 100 }[event.key];
      if (event.key === "Home") this.store.goTo(0);
      else if (event.key === "End") this.store.goTo(this.store.run.length - 1);
      else if (step) this.store.goTo(Math.max(0, this.store.shared.cursor + step));
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  draw() {
    const run = this.store.run;
    const ratio = devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.size.width * ratio));
    const height = Math.max(1, Math.round(this.size.height * ratio));
    const { colours } = this;
    const isGrown = this.drawnLength !== run.length;
    if (!this.backdrop || this.backdrop.width !== width || isGrown) this.#paintBackdrop(width, height, colours);
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const { context } = this;
    if (this.backdrop) context.drawImage(this.backdrop, 0, 0);
    if (!run.length) return;
    const [from, to] = this.store.shared.window.map((each) => this.#x(Math.min(run.length - 1, Math.max(0, Math.round(each))), width));
    context.strokeStyle = colours.accent;
    context.lineWidth = 2 * ratio;
    context.strokeRect(from, ratio, Math.max(3, to - from), height - 2 * ratio);
    context.fillStyle = colours.accent;
    context.fillRect(this.#x(this.store.shared.cursor, width) - ratio, 0, 2 * ratio, height);
    if (isGrown) this.canvas.setAttribute("aria-valuemax", String(run.length - 1));
    const now = String(this.store.shared.cursor);
    if (this.canvas.getAttribute("aria-valuenow") !== now) this.canvas.setAttribute("aria-valuenow", now);
  }

  /** @param {number} position @param {number} width */
  #x(position, width) {
    const run = this.store.run;
    const start = run.t.data[0];
    return ((run.t.data[position] - start) / Math.max(1, run.t.data[run.length - 1] - start)) * width;
  }

  /** @param {number} width @param {number} height @param {import("oarlock/paint.js").Palette} colours */
  #paintBackdrop(width, height, colours) {
    const run = this.store.run;
    this.backdrop = new OffscreenCanvas(width, height);
    this.drawnLength = run.length;
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (this.backdrop.getContext("2d"));
    context.fillStyle = colours.ground;
    context.fillRect(0, 0, width, height);
    context.fillStyle = colours.line;
    context.fillRect(0, height * 0.35, width, height * 0.3);
    for (const spans of run.spans) {
      for (const span of spans) {
        if (span.role !== "leader" || span.isDown) continue;
        const end = span.to === Infinity ? run.length - 1 : span.to;
        context.fillStyle = termColour(colours, span.term);
        context.globalAlpha = 0.75;
        context.fillRect(this.#x(span.from, width), height * 0.25, Math.max(1, this.#x(end, width) - this.#x(span.from, width)), height * 0.5);
      }
    }
    context.globalAlpha = 1;
    for (let position = 0; position < run.length; position++) {
      const severity = run.severity.data[position];
      if (severity === SEVERITY.drop) mark(context, colours.drop, this.#x(position, width), height * 0.82, height * 0.1);
      else if (severity === SEVERITY.election) mark(context, colours.ink, this.#x(position, width), 0, height * 0.25);
      else if (severity === SEVERITY.crash) mark(context, colours.ink, this.#x(position, width), height * 0.78, height * 0.22);
    }
    for (const position of run.faults.data.subarray(0, run.faults.length)) mark(context, colours.violation, this.#x(position, width), 0, height);
  }
}

/** @param {OffscreenCanvasRenderingContext2D} context @param {string} colour @param {number} x @param {number} y @param {number} height */
function mark(context, colour, x, y, height) {
  context.fillStyle = colour;
  context.fillRect(x - 0.75, y, 1.5, height);
}

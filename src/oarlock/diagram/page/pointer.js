/** What a pointer does to the space-time diagram: pan, zoom, select, mark out a range, fold a lane. */

/** Movement below this is a click, in pixels. */
const STILL = 6;

/** @typedef {{x: number, y: number}} Point */

export class Pointer {
  /** @param {import("oarlock/spacetime.js").SpaceTime} scene */
  constructor(scene) {
    this.scene = scene;
    this.store = scene.store;
    /** @type {Map<number, Point>} */
    this.held = new Map();
    /** How far the pointer went since it went down. */
    this.moved = 0;
    /** Where a range was begun; undefined while nothing is marked out. @type {number | undefined} */
    this.anchor = undefined;
    const { canvas } = scene;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", (event) => this.held.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.store.set({ hovered: -1 }));
    canvas.addEventListener("dblclick", (event) => this.#fold(event));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) scene.zoom(Math.exp(event.deltaY / 300), event.offsetY);
      else scene.pan(event.deltaY);
    }, { passive: false });
  }

  /** @param {PointerEvent} event */
  #press(event) {
    this.scene.canvas.setPointerCapture(event.pointerId);
    this.held.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.moved = 0;
    // The scale on the left, or with Shift anywhere.
    const marksOut = event.shiftKey || this.scene.isOnScale(event.offsetX);
    this.anchor = marksOut && this.held.size === 1 ? this.scene.positionAt(event.offsetY) : undefined;
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.held.get(event.pointerId);
    if (!before) return this.store.set({ hovered: this.scene.nearest(event.offsetX, event.offsetY) });
    const spreadBefore = spread(this.held);
    const dy = event.offsetY - before.y;
    this.moved += Math.abs(dy) + Math.abs(event.offsetX - before.x);
    this.held.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (this.held.size > 1) this.scene.zoom(spreadBefore / Math.max(1, spread(this.held)), event.offsetY);
    else if (this.anchor === undefined) this.scene.pan(-dy);
    else if (this.moved > STILL) this.store.set({ range: ordered(this.anchor, this.scene.positionAt(event.offsetY)) });
  }

  /** @param {PointerEvent} event */
  #release(event) {
    this.held.delete(event.pointerId);
    const wasMarkingOut = this.anchor !== undefined;
    this.anchor = undefined;
    if (this.moved > STILL) {
      if (wasMarkingOut && this.store.shared.range) this.store.set({ view: "between" });
      return;
    }
    const found = this.scene.nearest(event.offsetX, event.offsetY);
    if (found < 0) return;
    const { selected, cursor } = this.store.shared;
    if (event.shiftKey) this.store.set({ range: ordered(selected >= 0 ? selected : cursor, found), view: "between" });
    else this.store.goTo(found, { select: true, reveal: false });
  }

  /** @param {MouseEvent} event */
  #fold(event) {
    const name = this.scene.laneAt(event.offsetX);
    if (name) this.store.fold(name);
  }
}

/** @param {number} one @param {number} other @returns {[number, number]} */
function ordered(one, other) {
  return one <= other ? [one, other] : [other, one];
}

/** @param {Map<number, Point>} points */
function spread(points) {
  const [a, b] = [...points.values()];
  return a && b ? Math.hypot(a.x - b.x, a.y - b.y) : 1;
}

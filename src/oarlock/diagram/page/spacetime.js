/** The space-time diagram: servers side by side, time downwards, messages between them. */

import { SEVERITY, WORLD, lowerBound } from "oarlock/run.js";
import { paintMark } from "oarlock/marks.js";
import { Messages } from "oarlock/messages.js";
import { LABEL_FONT, followPalette, label, paintLanes, paintWalls, termColour } from "oarlock/paint.js";
import { applyCut } from "oarlock/state.js";
import { Pointer } from "oarlock/pointer.js";
import { Sprites } from "oarlock/sprites.js";
import { Tiles } from "oarlock/tiles.js";

/** More events than this in the window, and tiles are drawn instead; see benchmarks/. */
export const MOST_DRAWN = 1500;
const GUTTER = 64;
const LABEL_HEIGHT = 13;
const HEAD = 44;
/** The width of a lane that is folded to a line. */
const FOLDED = 36;
/** Narrower lanes have short names. */
const TIGHT = 116;
/** How much of the axis is seen while the newest event is followed. @type {Record<string, number>} */
const FOLLOWED = { logical: 60, time: 6e6, gaps: 6e6 };
/** Heartbeats nearer than this are counted together. */
const FOLD_GAP = 16;
/** How near the pointer must be to an event to mean it. */
const REACH = 9;

export class SpaceTime {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.store = store;
    this.run = store.run;
    this.extras = extras;
    this.axis = store.axis;
    this.element = element;
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "Space-time diagram; the table of events holds the same");
    this.canvas.style.cssText = "position:absolute;inset:0;width:100%;height:100%;touch-action:none";
    element.append(this.canvas);
    this.tiles = new Tiles(this.run, this.axis);
    this.sprites = new Sprites();
    /** Followed by an observer: to ask for it in a frame may lay the page out. */
    this.size = { width: element.clientWidth, height: element.clientHeight };
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
    this.cuts = cutsOf(this.run);
    this.#layOut();
    /** The lanes from left to right, and what that was made from. @type {{lanes: number, names: unknown, order: number[]}} */
    this.sorted = { lanes: -1, names: undefined, order: [] };
    /** How much is seen while following, and the window that this led to. */
    this.followed = { kind: "", height: 0, window: /** @type {[number, number]} */ ([0, 1]) };
    new ResizeObserver(() => {
      this.size = { width: element.clientWidth, height: element.clientHeight };
      this.draw();
    }).observe(element);
    followPalette(element, (colours) => {
      this.colours = colours;
      this.draw();
    });
    this.pointer = new Pointer(this);
    store.subscribe((shared, changed) => {
      if (changed.has("axis") || changed.has("showsHeartbeats") || changed.has("run")) this.#layOut();
      if (shared.follows && (changed.has("run") || changed.has("follows"))) this.#follow(shared, changed);
      this.draw();
    });
  }

  #layOut() {
    const { axis, showsHeartbeats } = this.store.shared;
    this.axis.layOut(axis, showsHeartbeats);
    this.cuts = cutsOf(this.run);
  }

  /** Put the newest event at the bottom, in this very frame. @param {import("oarlock/store.js").Shared} shared @param {Set<string>} changed */
  #follow(shared, changed) {
    const { followed, axis, run } = this;
    if (followed.kind !== shared.axis) Object.assign(followed, { kind: shared.axis, height: FOLLOWED[shared.axis] });
    else if (followed.window !== shared.window) followed.height = axis.at(shared.window[1]) - axis.at(shared.window[0]);
    const bottom = Math.max(axis.at(run.length), axis.at(0) + followed.height);
    followed.window = [Math.max(0, axis.positionAt(bottom - followed.height)), axis.positionAt(bottom)];
    shared.window = followed.window;
    shared.cursor = Math.max(0, run.length - 1);
    changed.add("window").add("cursor");
  }

  /** Lanes from left to right. */
  get order() {
    const { run } = this;
    // Sorting by names costs as much as drawing does; who is there changes seldom.
    if (this.sorted.lanes !== run.lanes.length || this.sorted.names !== run.header.nodes) {
      const lanes = run.lanes.map((_, lane) => lane).filter((lane) => run.lanes[lane] !== WORLD);
      this.sorted = { lanes: run.lanes.length, names: run.header.nodes, order: lanes.sort((a, b) => run.compare(run.lanes[a], run.lanes[b])) };
    }
    return this.sorted.order;
  }

  /** @returns {import("oarlock/paint.js").Frame} */
  frame() {
    const { window: shown, matches, showsHeartbeats } = this.store.shared;
    const { context, order, size: { width, height } } = this;
    const folded = new Set(this.store.shared.folded.map((name) => this.run.laneOf.get(name) ?? -1));
    const open = order.filter((lane) => !folded.has(lane)).length;
    const spacing = (width - GUTTER - 30 - FOLDED * (order.length - open)) / Math.max(1, open);
    const widthOf = (/** @type {number} */ lane) => (folded.has(lane) ? FOLDED : spacing);
    const columns = new Float64Array(this.run.lanes.length).fill(NaN);
    let left = GUTTER;
    for (const lane of order) {
      columns[lane] = left + widthOf(lane) / 2;
      left += widthOf(lane);
    }
    const top = this.axis.at(shown[0]);
    const scale = (height - HEAD - 10) / Math.max(1e-9, this.axis.at(shown[1]) - top);
    return {
      context, run: this.run, colours: this.colours, width, height, order, spacing, matches, showsHeartbeats,
      isFolded: this.axis.isFolded, folded, widthOf, sprites: this.sprites, ratio: devicePixelRatio || 1, labels: new Map(),
      first: Math.max(0, Math.floor(shown[0]) - 1), last: Math.min(this.run.length, Math.ceil(shown[1]) + 2),
      place: (coordinate) => HEAD + (coordinate - top) * scale,
      coordinate: (y) => top + (y - HEAD) / scale,
      y: (position) => HEAD + (this.axis.at(position) - top) * scale,
      x: (lane) => columns[lane],
    };
  }

  draw() {
    const frame = this.frame();
    const { context, width, height, ratio } = frame;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    this.sprites.begin(this.colours, ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = this.colours.ground;
    context.fillRect(0, 0, width, height);
    if (!this.run.length) return label(frame, "nothing has happened yet", GUTTER, HEAD + 20, this.colours.faint);
    paintWalls(frame, this.cuts);
    this.#paintScale(frame);
    paintLanes(frame);
    if (frame.last - frame.first > MOST_DRAWN) this.tiles.paint(frame);
    else this.#paintAll(frame);
    this.#paintViolations(frame);
    this.#paintRange(frame);
    this.#paintCursor(frame);
    this.#paintHead(frame);
  }

  /** Everything singly. @param {import("oarlock/paint.js").Frame} frame */
  #paintAll(frame) {
    const { run } = this;
    const messages = new Messages(frame);
    for (const message of run.messagesBetween(frame.first, frame.last)) {
      const anchor = message.sent >= 0 ? message.sent : message.end;
      const isFolded = !frame.showsHeartbeats && frame.isFolded[anchor] && (message.outcome !== "dropped" || frame.isFolded[message.end]);
      if (isFolded) continue;
      const passes = !frame.matches || frame.matches[anchor] || (message.end >= 0 && frame.matches[message.end]);
      const isBeside = frame.folded.has(message.from) || frame.folded.has(message.to);
      messages.add(message, !passes ? 0.12 : isBeside ? 0.3 : 0.9);
    }
    messages.paint();
    if (!frame.showsHeartbeats) this.#paintFolds(frame);
    for (let position = frame.first; position < frame.last; position++) {
      if (frame.folded.has(run.lane.data[position]) && run.severity.data[position] < SEVERITY.crash) continue;
      frame.context.globalAlpha = !frame.matches || frame.matches[position] ? 1 : 0.15;
      paintMark(frame, position);
    }
    frame.context.globalAlpha = 1;
  }

  /** How many heartbeats are not drawn, where there is room to say so. @param {import("oarlock/paint.js").Frame} frame */
  #paintFolds(frame) {
    let count = 0;
    let top = 0;
    let bottom = -Infinity;
    const tell = () => count && label(frame, `♥×${count}`, frame.width - 46, (top + bottom) / 2 + 4, this.colours.faint);
    for (let position = frame.first; position < frame.last; position++) {
      const event = this.run.events[position];
      if (!frame.isFolded[position] || event.k !== "send" || event.x?.type !== "AppendEntries") continue;
      const y = frame.y(position);
      if (y - bottom > FOLD_GAP) {
        tell();
        count = 0;
        top = y;
      }
      count += 1;
      bottom = y;
    }
    tell();
  }

  /** Times, or numbers of events, on the left. @param {import("oarlock/paint.js").Frame} frame */
  #paintScale(frame) {
    const { context } = frame;
    const start = this.run.t.data[0] ?? 0;
    const span = (this.run.t.data[frame.last - 1] ?? 0) - (this.run.t.data[frame.first] ?? 0);
    let last = -100;
    context.font = LABEL_FONT;
    for (let y = HEAD + 8; y < frame.height; y += 48) {
      const position = Math.round(this.axis.positionAt(frame.coordinate(y)));
      if (position < 0 || position >= this.run.length || y - last < 40) continue;
      last = y;
      context.fillStyle = this.colours.line;
      context.fillRect(GUTTER - 6, frame.y(position), frame.width - GUTTER, 0.5);
      // Nothing is behind it, so it needs no rim.
      context.fillStyle = this.colours.faint;
      context.fillText(seconds(this.run.t.data[position] - start, span < 30_000 ? 5 : 3), 6, frame.y(position) + 4);
    }
  }

  /** Across everything, whatever the zoom. @param {import("oarlock/paint.js").Frame} frame */
  #paintViolations(frame) {
    const { context, run } = frame;
    // Of two that are close the second label stands beside the first.
    let last = -Infinity;
    let x = GUTTER;
    for (let at = 0; at < run.faults.length; at++) {
      const y = frame.y(run.faults.data[at]);
      if (y < HEAD - 2 || y > frame.height + 2) continue;
      context.fillStyle = this.colours.violation;
      context.fillRect(0, y - 1, frame.width, 2);
      const event = run.events[run.faults.data[at]];
      const text = `✖ ${event.k === "viol" ? event.x?.property ?? "violation" : "a wrong step"}`;
      if (y - last > LABEL_HEIGHT) x = GUTTER;
      label(frame, text, x, y - 5, this.colours.violation);
      x += context.measureText(text).width + LABEL_HEIGHT;
      last = y;
    }
  }

  /** What is marked out. @param {import("oarlock/paint.js").Frame} frame */
  #paintRange(frame) {
    const { range } = this.store.shared;
    if (!range) return;
    const [top, bottom] = [Math.max(HEAD - 8, frame.y(range[0])), Math.min(frame.height, frame.y(range[1]))];
    if (bottom < HEAD || top > frame.height) return;
    const { context } = frame;
    context.fillStyle = this.colours.accent;
    context.globalAlpha = 0.1;
    context.fillRect(0, top, frame.width, bottom - top);
    context.globalAlpha = 1;
    context.fillRect(0, top, 4, Math.max(2, bottom - top));
  }

  /** @param {import("oarlock/paint.js").Frame} frame */
  #paintCursor(frame) {
    const { context } = frame;
    const { cursor, selected, hovered } = this.store.shared;
    const y = frame.y(cursor);
    context.strokeStyle = this.colours.accent;
    context.lineWidth = 1;
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(frame.width, y);
    context.stroke();
    for (const position of new Set([cursor, selected, hovered])) {
      if (position < 0 || position >= this.run.length) continue;
      const x = frame.x(this.run.lane.data[position]);
      context.beginPath();
      context.arc(x, frame.y(position), position === hovered ? 6 : 8, 0, Math.PI * 2);
      context.stroke();
      this.#emphasise(frame, position);
    }
  }

  /** Both ends of an event's message, whether or not it is drawn otherwise.
   * @param {import("oarlock/paint.js").Frame} frame @param {number} position */
  #emphasise(frame, position) {
    const event = this.run.events[position];
    const number = this.run.messageById.get(event.k === "send" ? event.id : (event.m ?? "").split("#")[0]);
    if (number === undefined) return;
    const messages = new Messages(frame);
    messages.add(this.run.messages[number], 1);
    messages.paint();
  }

  /** Names, roles and terms at the cursor, above all. @param {import("oarlock/paint.js").Frame} frame */
  #paintHead(frame) {
    const { context, run } = frame;
    context.fillStyle = this.colours.ground;
    context.fillRect(0, 0, frame.width, HEAD - 8);
    context.fillStyle = this.colours.line;
    context.fillRect(0, HEAD - 8, frame.width, 1);
    const cluster = run.track.at(this.store.shared.cursor);
    for (const lane of frame.order) {
      const name = run.lanes[lane];
      const state = cluster.servers.get(name);
      const isDown = cluster.down.has(name);
      context.textAlign = "center";
      context.font = "600 13px system-ui, sans-serif";
      context.fillStyle = this.colours.ink;
      const isFolded = frame.folded.has(lane);
      const isTight = frame.widthOf(lane) < TIGHT;
      context.fillText(isTight ? brief(nameOf(run, name)) : nameOf(run, name), frame.x(lane), 15);
      context.font = "11px system-ui, sans-serif";
      context.fillStyle = isDown || !state ? this.colours.faint : termColour(this.colours, state.term);
      if (isFolded) context.fillText(isDown ? "×" : state ? glyph(state.role) : "?", frame.x(lane), 30);
      else if (isTight) context.fillText(isDown ? "×" : state ? `${glyph(state.role)} ${state.term}` : "?", frame.x(lane), 30);
      else context.fillText(isDown ? "× down" : state ? `${glyph(state.role)} ${state.role.replace("_", "-")}, term ${state.term}` : "unknown", frame.x(lane), 30);
    }
    context.textAlign = "left";
  }

  // -- for the pointer ---------------------------------------------------------------------------------------------

  /** Whether a point is on the scale of times. @param {number} x */
  isOnScale(x) {
    return x < GUTTER - 8;
  }

  /** The event that stands at a height, or is nearest to it. @param {number} y */
  positionAt(y) {
    const position = Math.round(this.axis.positionAt(this.frame().coordinate(Math.max(HEAD, y))));
    return Math.min(Math.max(0, position), Math.max(0, this.run.length - 1));
  }

  /** The name of the lane that is meant by a place; undefined beside all of them. @param {number} x */
  laneAt(x) {
    const frame = this.frame();
    const found = frame.order.find((lane) => Math.abs(frame.x(lane) - x) < Math.max(12, frame.widthOf(lane) / 2 - 8));
    return found === undefined ? undefined : this.run.lanes[found];
  }

  /** Move the window by pixels. @param {number} pixels */
  pan(pixels) {
    const [from, to] = this.store.shared.window;
    const [low, high] = [this.axis.at(from), this.axis.at(to)];
    const shift = (pixels * (high - low)) / (this.size.height - HEAD);
    const end = this.axis.at(this.run.length);
    const kept = Math.min(Math.max(shift, -low), Math.max(0, end - high));
    this.store.set({ window: [this.axis.positionAt(low + kept), this.axis.positionAt(high + kept)], follows: false });
  }

  /** Make the window wider or narrower around a height. @param {number} factor @param {number} y */
  zoom(factor, y) {
    const [from, to] = this.store.shared.window;
    const [low, high] = [this.axis.at(from), this.axis.at(to)];
    const end = this.axis.at(this.run.length);
    const middle = low + ((y - HEAD) / (this.size.height - HEAD)) * (high - low);
    const width = Math.min(Math.max((high - low) * factor, 4 * Math.max(1e-9, end / Math.max(1, this.run.length))), end);
    const begin = Math.min(Math.max(0, middle - ((middle - low) / (high - low)) * width), end - width);
    this.store.set({ window: [this.axis.positionAt(begin), this.axis.positionAt(begin + width)] });
  }

  /** The event that is meant by a point; -1 for none. @param {number} px @param {number} py */
  nearest(px, py) {
    const frame = this.frame();
    const low = lowerBound(this.axis.coordinates, this.run.length, frame.coordinate(py - REACH));
    const high = lowerBound(this.axis.coordinates, this.run.length, frame.coordinate(py + REACH));
    let best = -1;
    let least = Infinity;
    for (let position = low; position < Math.min(high, low + 20_000); position++) {
      const x = frame.x(this.run.lane.data[position]);
      if (!(Math.abs(x - px) <= frame.widthOf(this.run.lane.data[position]) / 3)) continue;
      const distance = Math.abs(frame.y(position) - py) + Math.abs(x - px) / 8 - this.run.severity.data[position];
      if (distance < least) [best, least] = [position, distance];
    }
    return best;
  }
}

/** What people call a server; ids drawn by chance are cut short. @param {import("oarlock/run.js").Run} run @param {string} name */
export function nameOf(run, name) {
  return run.header.nodes?.[name] || (name.length > 8 ? `${name.slice(0, 5)}…` : name);
}

/** A name where there is room for a few letters alone. @param {string} name */
function brief(name) {
  return /\d+$/.exec(name)?.[0] ?? name.slice(0, 3);
}

/** @param {string} role */
export function glyph(role) {
  return { leader: "▬", follower: "─", learner: "┈" }[role] ?? "┄";
}

/** @param {number} microseconds @param {number} digits Within a few milliseconds more are needed. */
export function seconds(microseconds, digits = 3) {
  return `${(microseconds / 1e6).toFixed(digits)} s`;
}

/** Stretches of time in which links were cut. @param {import("oarlock/run.js").Run} run */
function cutsOf(run) {
  /** @type {{from: number, to: number, links: Set<string>}[]} */
  const found = [];
  let links = new Set(run.track.checkpoints[0]?.cut);
  if (links.size) found.push({ from: 0, to: Infinity, links });
  const lane = run.laneOf.get(WORLD) ?? 0;
  for (const position of run.positions[lane].data.subarray(0, run.positions[lane].length)) {
    const event = run.events[position];
    if (event.k !== "part" && event.k !== "heal") continue;
    const last = found[found.length - 1];
    if (last && last.to === Infinity) last.to = position;
    links = new Set(links);
    applyCut(links, event);
    if (links.size) found.push({ from: position, to: Infinity, links });
  }
  return found;
}

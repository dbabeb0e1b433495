/** What is drawn on the canvas of the space-time diagram. Hue is the term and nothing else; red is a violation. */

/** How many colours terms go through. */
export const TERM_HUES = 8;

/** What labels are written in. */
export const LABEL_FONT = "11px system-ui, sans-serif";

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
 * @property {import("oarlock/sprites.js").Sprites} sprites
 * @property {number} ratio Pixels of the screen in one of the page.
 * @property {Map<string, number>} labels Where a label of a kind was last written.
 */

/** The lanes themselves: colour by term, width and dash by role. @param {Frame} frame */
export function paintLanes(frame) {
  const { context, run, colours } = frame;
  for (const lane of frame.order) {
    const x = frame.x(lane);
    const spans = run.spans[lane];
    for (let at = firstSpan(spans, frame.first); at < spans.length && spans[at].from <= frame.last; at++) {
      const span = spans[at];
      const top = Math.max(-20, frame.y(span.from));
      const bottom = Math.min(frame.height + 20, span.to === Infinity ? frame.y(run.length) : frame.y(span.to));
      strokeSpan(context, colours, span, x, top, bottom, frame.folded.has(lane));
      if (!frame.folded.has(lane) && !span.isDown && span.term > 0 && bottom - top > 15) label(frame, String(span.term), x + 7, Math.max(top + 11, 13), termColour(colours, span.term));
    }
  }
  context.setLineDash([]);
}

/** The first of a lane's spans that does not end before a position. @param {import("oarlock/run.js").Span[]} spans @param {number} position */
function firstSpan(spans, position) {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle].to < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {CanvasRenderingContext2D} context @param {Palette} colours @param {import("oarlock/run.js").Span} span
 * @param {number} x @param {number} top @param {number} bottom @param {boolean} isThin */
function strokeSpan(context, colours, span, x, top, bottom, isThin) {
  const colour = span.isDown ? colours.faint : termColour(colours, span.term);
  const width = isThin || span.isDown ? 1 : span.role === "leader" ? 7 : span.role === "follower" ? 2 : 3;
  if (!span.isDown && (span.role === "follower" || span.role === "leader")) {
    context.fillStyle = colour;
    context.fillRect(Math.round(x - width / 2), top, width, bottom - top);
    return;
  }
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(span.isDown ? [1, 5] : span.role === "learner" ? [1, 2] : [5, 3]);
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
  context.font = LABEL_FONT;
  context.lineWidth = 3;
  context.setLineDash([]);
  context.strokeStyle = frame.colours.ground;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

/** What clients asked and were told, on the axis of the diagram: each call from its begin to its end, with the moment
 * at which its entry was committed. */

import { followPalette, label } from "oarlock/paint.js";

const HEAD = 44;

/** @typedef {{y: (position: number) => number, x: (client: string) => number, width: number, height: number, step: number}} Scales */

/** @typedef {{client: string, begin: number, end: number, what: string, outcome: string, index: number, point: number}} Call
 * Positions of its begin and end (Infinity without one) and of the commit of its entry (-1 if it has none). */

export class ClientHistory {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store */
  constructor(element, store) {
    this.element = element;
    this.store = store;
    element.classList.add("history");
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.note = document.createElement("p");
    this.note.className = "hint";
    element.append(this.note, this.canvas);
    this.axis = store.axis;
    /** @type {Call[]} */
    this.calls = [];
    /** @type {string[]} */
    this.clients = [];
    this.knownLength = -1;
    followPalette(element, (colours) => {
      this.colours = colours;
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(element);
    this.canvas.addEventListener("click", (event) => this.#click(event.offsetX, event.offsetY));
    store.subscribe((_, changed) => {
      if (!element.hidden && ["window", "cursor", "view", "run", "axis", "showsHeartbeats"].some((name) => changed.has(name))) this.draw();
    });
  }

  #prepare() {
    const { run, shared } = this.store;
    if (this.knownLength !== run.length) {
      this.calls = callsOf(run);
      this.clients = [...new Set(this.calls.map((call) => call.client))].sort((a, b) => Number(a) - Number(b));
      this.knownLength = run.length;
    }
    this.axis.layOut(shared.axis, shared.showsHeartbeats);
  }

  /** @returns {Scales} */
  #scales() {
    const [from, to] = this.store.shared.window;
    const [width, height] = [this.element.clientWidth, Math.max(200, (this.element.parentElement?.clientHeight ?? 400) - 70)];
    const top = this.axis.at(from);
    const scale = (height - HEAD) / Math.max(1e-9, this.axis.at(to) - top);
    const clients = this.clients;
    const step = Math.min(90, (width - 30) / Math.max(1, clients.length));
    return {
      width, height, step,
      y: (position) => HEAD + (this.axis.at(Math.min(position, this.store.run.length)) - top) * scale,
      x: (client) => 20 + step * (clients.indexOf(client) + 0.5),
    };
  }

  draw() {
    if (this.element.hidden) return;
    this.#prepare();
    const scales = this.#scales();
    const ratio = devicePixelRatio || 1;
    this.canvas.style.cssText = `width:${scales.width}px;height:${scales.height}px;display:block`;
    this.canvas.width = scales.width * ratio;
    this.canvas.height = scales.height * ratio;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const answered = this.calls.filter((call) => call.outcome === "ok").length;
    this.note.textContent = this.calls.length
      ? `${this.calls.length} calls of ${this.clients.length} clients, ${answered} answered. ◆ is where the call's entry was committed.`
      : "The trace holds no calls of clients.";
    const frame = /** @type {any} */ ({ context, colours: this.colours });
    for (const client of this.clients) label(frame, `client ${client}`, scales.x(client) - 20, 16, frame.colours.faint);
    for (const call of this.calls) this.#paint(frame, scales, call);
    context.fillStyle = frame.colours.accent;
    context.fillRect(0, scales.y(this.store.shared.cursor) - 0.5, scales.width, 1);
  }

  /** @param {any} frame @param {Scales} scales @param {Call} call */
  #paint(frame, scales, call) {
    const [top, bottom] = [scales.y(call.begin), scales.y(call.end === Infinity ? this.store.run.length : call.end)];
    if (bottom < HEAD || top > scales.height) return;
    const { context } = frame;
    const x = scales.x(call.client);
    context.fillStyle = { ok: frame.colours.terms[2], failed: frame.colours.faint }[call.outcome] ?? frame.colours.drop;
    context.globalAlpha = 0.35;
    context.fillRect(x - 8, Math.max(HEAD, top), 16, Math.max(2, bottom - Math.max(HEAD, top)));
    context.globalAlpha = 1;
    context.fillRect(x - 8, Math.max(HEAD, top), 3, Math.max(2, bottom - Math.max(HEAD, top)));
    if (call.point >= 0 && scales.y(call.point) > HEAD) label(frame, "◆", x - 4, scales.y(call.point) + 4, frame.colours.ink);
    if (bottom - top > 12 && scales.step > 50) label(frame, call.what, x + 10, Math.max(HEAD + 10, top + 10), frame.colours.faint);
  }

  /** @param {number} x @param {number} y */
  #click(x, y) {
    const scales = this.#scales();
    const found = this.calls.find((call) => Math.abs(scales.x(call.client) - x) < 12 && scales.y(call.begin) <= y + 2
      && (call.end === Infinity || scales.y(call.end) >= y - 2));
    if (found) this.store.goTo(found.point >= 0 ? found.point : found.begin, { select: true });
  }
}

/** Calls and how they ended. @param {import("oarlock/run.js").Run} run @returns {Call[]} */
export function callsOf(run) {
  /** @type {Map<string, Call>} */
  const calls = new Map();
  const commits = commitPositions(run);
  for (let position = 0; position < run.length; position++) {
    const event = run.events[position];
    const fields = event.x;
    if (event.k !== "client" || !fields) continue;
    if (fields.op === "call") {
      calls.set(String(fields.request), {
        client: String(fields.client), begin: position, end: Infinity, what: `${fields.kind} ${fields.key ?? ""}`, outcome: "unknown", index: 0, point: -1,
      });
    } else if (fields.op === "return") {
      const call = calls.get(String(fields.request));
      if (!call) continue;
      call.outcome = String(fields.outcome);
      if (call.outcome === "ok" || call.outcome === "failed") call.end = position;
      call.index = Number(fields.index ?? 0);
      const committed = commits.get(call.index);
      // A read sees what was committed before it began.
      if (committed !== undefined) call.point = Math.max(committed, call.begin);
    }
  }
  return [...calls.values()];
}

/** For each index the event at which some server first knew it committed. @param {import("oarlock/run.js").Run} run */
function commitPositions(run) {
  /** @type {Map<number, number>} */
  const found = new Map();
  let highest = 0;
  for (const position of run.commits.data.subarray(0, run.commits.length)) {
    const pair = run.events[position].w?.commit;
    if (!pair) continue;
    for (let index = Math.max(highest, pair[0]) + 1; index <= pair[1]; index++) found.set(index, position);
    highest = Math.max(highest, pair[1]);
  }
  return found;
}

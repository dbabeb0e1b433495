/** The ring: servers around a circle and the messages between them, at the moment of the cursor, moved on by playing. */

import { follow, make } from "oarlock/dom.js";
import { flightsAt, paceOf } from "oarlock/flights.js";
import { followPalette } from "oarlock/paint.js";
import { messageInWords, paintRing, placeOf, placesOf, standingOf } from "oarlock/ringpaint.js";
import { lowerBound } from "oarlock/run.js";
import { glyph, nameOf, seconds } from "oarlock/spacetime.js";
import { lastIndex } from "oarlock/state.js";

/** How long the picture takes from one event to the next, in ms: while playing as long as a step. */
const STEP_MS = { playing: 83, stepping: 200, following: 250 };
/** Further than this many events or µs is a jump, and nothing is seen to move. */
const FARTHEST = { events: 64, us: 3e6 };
/** Messages of a running cluster are gone before anybody sees them; so long, in µs, they stay. */
const LINGER_US = 150_000;
/** Of so many messages what is said of each is read out. */
const MOST_TOLD = 5;

export class Ring {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store */
  constructor(element, store) {
    this.element = element;
    this.store = store;
    element.classList.add("ring");
    this.caption = make("p", { class: "hint" });
    this.canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { role: "img" }));
    this.stage = make("div", { class: "stage" }, this.canvas);
    element.append(this.caption, this.stage, legend());
    this.stillness = matchMedia("(prefers-reduced-motion: reduce)");
    /** What is shown. @type {import("oarlock/flights.js").Moment} */
    this.moment = { position: -1, time: 0 };
    /** Where it comes from and goes to, and when it set out. */
    this.move = { from: this.moment, to: this.moment, began: 0, lasts: 0 };
    this.isMoving = false;
    this.pace = { of: -1, us: 1000 };
    /** By lane, where its timer was set; how much of the run is counted in. */
    this.timers = { sets: /** @type {number[][]} */ ([]), scanned: 0, forgotten: 0 };
    followPalette(element, (colours) => {
      this.colours = colours;
      this.paint();
    });
    follow(element, store, ["cursor", "run", "view", "selected"], () => this.draw());
    new ResizeObserver(() => this.paint()).observe(this.stage);
    this.canvas.addEventListener("click", (event) => this.#press(event.offsetX, event.offsetY));
    this.canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX, event.offsetY));
  }

  /** Go to the cursor, at once or so that it is seen. */
  draw() {
    const { run, shared } = this.store;
    if (!run.length) return this.paint();
    const to = { position: shared.cursor, time: run.t.data[shared.cursor] };
    if (to.position === this.moment.position && to.time === this.moment.time && !this.isMoving) return this.paint();
    this.#tell(to.position);
    const distance = Math.abs(to.position - this.moment.position);
    const isJump = this.moment.position < 0 || (distance > FARTHEST.events && !shared.follows) || Math.abs(to.time - this.moment.time) > FARTHEST.us;
    const lasts = shared.follows ? STEP_MS.following : shared.isPlaying ? STEP_MS.playing : STEP_MS.stepping;
    this.move = { from: this.moment, to, began: performance.now(), lasts: isJump || this.stillness.matches ? 0 : lasts };
    if (!this.move.lasts) this.#arrive();
    else if (!this.isMoving) this.#advance();
  }

  /** A frame of the way to the cursor. */
  #advance() {
    this.isMoving = true;
    const { from, to, began, lasts } = this.move;
    const share = (performance.now() - began) / lasts;
    if (share >= 1 || this.element.hidden) return this.#arrive();
    const time = from.time + (to.time - from.time) * share;
    const [low, high] = [Math.min(from.position, to.position), Math.max(from.position, to.position)];
    const { run } = this.store;
    const reached = lowerBound(run.t.data, run.length, time) - 1;
    // What happens at the cursor is seen when it is reached.
    this.moment = { position: Math.min(Math.max(reached, low), to.position > low ? high - 1 : high, run.length - 1), time };
    this.paint();
    requestAnimationFrame(() => this.isMoving && this.#advance());
  }

  #arrive() {
    this.isMoving = false;
    this.moment = this.move.to;
    this.paint();
  }

  /** Everything that is drawn, as data. */
  shown() {
    const { run, shared } = this.store;
    if (this.pace.of !== Math.min(run.messages.length, 1000)) this.pace = { of: Math.min(run.messages.length, 1000), us: paceOf(run) };
    const moment = { position: Math.min(this.moment.position, run.length - 1), time: this.moment.time };
    const cluster = run.track.at(moment.position);
    const lanes = run.servers.sort((a, b) => run.compare(a, b));
    const event = run.events[shared.cursor];
    return {
      run, moment, cluster, event, lanes,
      flights: flightsAt(run, moment, { pace: this.pace.us, linger: shared.follows ? LINGER_US : 0 }),
      timers: lanes.map((name) => this.#timerOf(name, cluster, moment)),
    };
  }

  paint() {
    const { canvas, stage, colours } = this;
    const [width, height] = [stage.clientWidth, stage.clientHeight];
    if (!width || !height || !colours || !this.store.run.length || this.moment.position < 0) return;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    }
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const shown = this.shown();
    this.places = placesOf(shown.lanes.length, width, height);
    paintRing({ context, colours, places: this.places, width, height, ...shown });
  }

  /** The share of an election timeout that is left; undefined where none runs or it is not known.
   * @param {string} name @param {import("oarlock/state.js").Cluster} cluster @param {import("oarlock/flights.js").Moment} moment */
  #timerOf(name, cluster, { position, time }) {
    const state = cluster.servers.get(name);
    if (!state?.timer || ["", "leader", "learner", "no member"].includes(standingOf(cluster, name))) return undefined;
    const sets = this.#timerSets()[this.store.run.laneOf.get(name) ?? 0] ?? [];
    const at = sets[lowerBound(sets, sets.length, position + 1) - 1];
    if (at === undefined) return undefined;
    const set = this.store.run.t.data[at];
    const whole = state.timer - set;
    return whole > 0 ? Math.min(1, Math.max(0, (state.timer - time) / whole)) : undefined;
  }

  /** Where timers were set, by lane; what came since is added. */
  #timerSets() {
    const { run } = this.store;
    const { timers } = this;
    if (timers.forgotten !== run.forgotten) Object.assign(timers, { sets: [], scanned: 0, forgotten: run.forgotten });
    for (; timers.scanned < run.length; timers.scanned++) {
      const { w, s } = run.events[timers.scanned];
      if (w?.timer || s?.timer) (timers.sets[run.lane.data[timers.scanned]] ??= []).push(timers.scanned);
    }
    return timers.sets;
  }

  /** For eyes the caption; for ears all of it. @param {number} position */
  #tell(position) {
    const { run } = this.store;
    const cluster = run.track.at(position);
    const time = seconds(run.t.data[position] - run.t.data[0]);
    const flights = flightsAt(run, { position, time: run.t.data[position] }, { pace: this.pace.us, linger: 0 });
    const servers = run.servers.sort((a, b) => run.compare(a, b)).map((name) => {
      const state = cluster.servers.get(name);
      const role = cluster.down.has(name) ? "is down" : state ? `is ${standingOf(cluster, name).replace("_", "-")} in term ${state.term}, log up to ${lastIndex(state)}, committed ${state.commit}` : "is unknown";
      return `${nameOf(run, name)} ${role}`;
    });
    const onWay = flights.filter((each) => each.fate !== "lost");
    const told = flights.slice(0, MOST_TOLD).map((flight) => messageInWords(run, flight));
    if (flights.length > MOST_TOLD) told.push(`and ${flights.length - MOST_TOLD} more`);
    const cut = cluster.cut.size ? ` ${cluster.cut.size} links are cut.` : "";
    this.caption.textContent = `${time} · ${onWay.length === 1 ? "one message" : `${onWay.length || "no"} messages`} under way${cluster.cut.size ? ` · ${cluster.cut.size} links cut` : ""}`;
    this.canvas.setAttribute("aria-label", `Servers in a ring at ${time}: ${servers.join("; ")}.${cut}${told.length ? ` Messages: ${told.join("; ")}.` : ""}`);
  }

  /** What is at a point: a server by its number, or a message. @param {number} x @param {number} y */
  #at(x, y) {
    if (!this.places || this.moment.position < 0) return undefined;
    const shown = this.shown();
    const { run } = shown;
    const { radius, points } = this.places;
    const server = points.findIndex((point) => Math.hypot(point.x - x, point.y - y) <= radius + 4);
    if (server >= 0) return { name: shown.lanes[server] };
    const flight = shown.flights.find((each) => {
      const place = this.places && placeOf(this.places, run, shown.lanes, each);
      return place && Math.hypot(place.x - x, place.y - y) <= 12;
    });
    return flight && { flight };
  }

  /** @param {number} x @param {number} y */
  #press(x, y) {
    const { run, shared } = this.store;
    const found = this.#at(x, y);
    if (found?.flight) this.store.goTo(found.flight.message.sent, { select: true });
    else if (found?.name) this.store.goTo(run.alongLane(run.laneOf.get(found.name) ?? 0, shared.cursor + 1, -1), { select: true });
  }

  /** @param {number} x @param {number} y */
  #point(x, y) {
    const { run } = this.store;
    const found = this.#at(x, y);
    this.canvas.style.cursor = found ? "pointer" : "";
    this.canvas.title = found?.flight ? messageInWords(run, found.flight) : found?.name ? `The last event of ${nameOf(run, found.name)}` : "";
  }
}

function legend() {
  return make("p", { class: "hint" }, `Colour and number: the term. ${glyph("leader")} thick: leads; dashed: asks for votes, with a dot for each answer; dotted: learns; × is down. `
    + "The arc around a server is what is left of its election timeout; below are the ends of the logs, filled where committed.");
}

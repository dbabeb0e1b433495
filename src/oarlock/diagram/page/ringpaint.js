/** How the ring is drawn. Hue is the term and nothing else, as in the space-time diagram; losses are brown. */

import { CAUSE_WORDS, DASHES, verdictOf } from "oarlock/messages.js";
import { termColour } from "oarlock/paint.js";
import { cross, disc, line, ring } from "oarlock/shapes.js";
import { glyph, nameOf } from "oarlock/spacetime.js";
import { lastIndex, leaderAmong, termAt } from "oarlock/state.js";

/** A cell of a log, and how many there are at most. */
const CELL = { size: 14, gap: 2, most: 8, least: 3 };
/** Room for name, role and log beside a server. */
const LABEL = { width: 96, height: 60 };
/** Between a server and its name. */
const APART = 14;
/** How far messages bend to their right, so that there and back are two ways. */
const BEND = 0.11;
/** Up to so many messages are named. */
const MOST_NAMED = 6;

/** @typedef {{x: number, y: number, isUpper: boolean}} Point Of a server; whether its name is above it. */
/** @typedef {{points: Point[], radius: number, cells: number}} Places */
/** @typedef {object} Picture
 * @property {CanvasRenderingContext2D} context
 * @property {import("oarlock/paint.js").Palette} colours
 * @property {Places} places
 * @property {number} width
 * @property {number} height
 * @property {import("oarlock/run.js").Run} run
 * @property {import("oarlock/flights.js").Moment} moment
 * @property {import("oarlock/state.js").Cluster} cluster
 * @property {TraceEvent | undefined} event At the cursor.
 * @property {string[]} lanes Servers, around the ring.
 * @property {import("oarlock/flights.js").Flight[]} flights
 * @property {(number | undefined)[]} timers By server: the share of its election timeout that is left.
 * @property {{x: number, y: number}[]} taken Where words have been written beside messages. */

/** Where servers are: the first on top, the others clockwise, as large as there is room.
 * @param {number} count @param {number} width @param {number} height @returns {Places} */
export function placesOf(count, width, height) {
  const begin = count === 2 ? Math.PI : -Math.PI / 2;
  const unit = Array.from({ length: count }, (_, at) => begin + (at * 2 * Math.PI) / count).map((angle) => [Math.cos(angle), Math.sin(angle)]);
  const [xs, ys] = [unit.map(([x]) => x), unit.map(([, y]) => y)];
  const spread = (/** @type {number[]} */ all) => Math.max(...all) - Math.min(...all);
  const radius = Math.max(16, Math.min(36, Math.min(width, height) / (count > 5 ? 15 : 12)));
  const isUpper = ys.map((y) => y < -0.5);
  const above = isUpper.some(Boolean) ? LABEL.height : 8;
  const free = { x: width - Math.max(2 * radius + 28, LABEL.width), y: height - 2 * radius - above - LABEL.height - 16 };
  const reach = count < 2 ? 0 : Math.max(30, Math.min(free.x / spread(xs), free.y / Math.max(0.5, spread(ys)), 260));
  const left = width / 2 - (reach * (Math.max(...xs) + Math.min(...xs))) / 2;
  const top = (height + above - LABEL.height) / 2 - (reach * (Math.max(...ys) + Math.min(...ys))) / 2;
  const chord = count < 2 ? width : 2 * reach * Math.sin(Math.PI / count);
  const cells = Math.min(CELL.most, Math.floor((chord - 16) / (CELL.size + CELL.gap)));
  return { points: unit.map(([x, y], at) => ({ x: left + x * reach, y: top + y * reach, isUpper: isUpper[at] })), radius, cells: cells < CELL.least ? 0 : cells };
}

/** @param {Omit<Picture, "taken">} shown */
export function paintRing(shown) {
  const picture = { ...shown, taken: [] };
  picture.context.textAlign = "center";
  paintLinks(picture);
  const groups = grouped(picture.flights);
  for (const group of groups) paintWay(picture, group[0]);
  picture.lanes.forEach((name, at) => paintServer(picture, name, at));
  for (const group of groups) paintFlight(picture, group, groups.length <= MOST_NAMED);
  picture.context.globalAlpha = 1;
}

/** Flights that would be drawn upon each other, together. @param {import("oarlock/flights.js").Flight[]} flights */
function grouped(flights) {
  /** @type {Map<unknown, import("oarlock/flights.js").Flight[]>} */
  const groups = new Map();
  for (const flight of flights) {
    const { from, to } = flight.message;
    const key = flight.fate === "held" || flight.fate === "lost" ? `${flight.fate} ${flight.cause} ${from} ${to} ${flight.share}` : flight;
    const known = groups.get(key);
    if (known) known.push(flight);
    else groups.set(key, [flight]);
  }
  return [...groups.values()];
}

/** Who could talk to whom, and where nothing gets through. @param {Picture} picture */
function paintLinks({ context, colours, places, lanes, cluster }) {
  for (let one = 0; one < lanes.length; one++) {
    for (let other = one + 1; other < lanes.length; other++) {
      const [a, b] = [places.points[one], places.points[other]];
      const there = cluster.cut.has(`${lanes[one]}>${lanes[other]}`);
      const back = cluster.cut.has(`${lanes[other]}>${lanes[one]}`);
      context.strokeStyle = colours.line;
      context.lineWidth = 1;
      context.setLineDash(there || back ? [2, 5] : []);
      line(context, a.x, a.y, b.x, b.y);
      context.setLineDash([]);
      if (!there && !back) continue;
      // Of one direction alone the wall is nearer to whom nothing reaches.
      const share = there && back ? 0.5 : there ? 0.66 : 0.34;
      const [x, y] = [a.x + (b.x - a.x) * share, a.y + (b.y - a.y) * share];
      const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
      const [nx, ny] = [-(b.y - a.y) / length, (b.x - a.x) / length];
      const half = there && back ? 20 : 12;
      context.strokeStyle = colours.wall;
      context.lineWidth = 12;
      line(context, x - nx * half, y - ny * half, x + nx * half, y + ny * half);
      context.strokeStyle = colours.faint;
      context.lineWidth = 2.5;
      line(context, x - nx * half, y - ny * half, x + nx * half, y + ny * half);
    }
  }
}

/** What a server is: its role, "learner" or "no member" by the configuration that the leader goes by, or else it itself; empty
 * while it is down or unknown. @param {import("oarlock/state.js").Cluster} cluster @param {string} name */
export function standingOf(cluster, name) {
  const state = cluster.servers.get(name);
  if (!state || cluster.down.has(name)) return "";
  const leader = leaderAmong(cluster, [...cluster.servers.keys()]);
  const { voters = [], outgoing = [], learners = [] } = (leader === undefined ? state : cluster.servers.get(leader))?.conf ?? {};
  if (state.role === "leader" || !voters.length || voters.includes(name) || outgoing.includes(name)) return state.role;
  return learners.includes(name) ? "learner" : "no member";
}

/** @param {Picture} picture @param {string} name @param {number} at */
function paintServer(picture, name, at) {
  const { context, colours, cluster, places, run, event } = picture;
  const state = cluster.servers.get(name);
  const isDown = cluster.down.has(name);
  const { x, y } = places.points[at];
  const role = standingOf(cluster, name);
  const radius = places.radius * (role === "learner" || role === "no member" ? 0.82 : 1);
  const colour = isDown || !state ? colours.faint : termColour(colours, state.term);
  if (event && run.lanes[run.lane.data[run.position(event.id)]] === name) ring(context, x, y, places.radius + 12, colours.accent, 1.5, []);
  disc(context, x, y, radius + 2, colours.panel, 1);
  if (role) disc(context, x, y, radius, colour, role === "leader" ? 0.32 : 0.13);
  const width = role === "leader" ? 6 : role === "candidate" || role === "pre_candidate" ? 3 : role ? 2 : 1.2;
  const dash = !role ? [2, 4] : role === "candidate" ? [7, 4] : role === "pre_candidate" ? [2, 3] : role === "learner" || role === "no member" ? [1, 3] : [];
  ring(context, x, y, radius, colour, width, dash);
  paintTimer(picture, at, x, y, places.radius + 6);
  if (state && (role === "candidate" || role === "pre_candidate")) paintVotes(picture, state, name, x, y, radius);
  if (isDown) cross(context, x, y, radius * 0.4, colours.faint, 3);
  else if (!state) text(picture, "?", x, y + 6, colours.faint, "600 18px");
  else paintTerm(picture, state.term, x, y, radius);
  paintName(picture, name, at, isDown ? "× down" : state ? `${role === "no member" ? "" : `${glyph(role)} `}${role.replace("_", "-")}` : "unknown", colour);
}

/** @param {Picture} picture @param {number} term @param {number} x @param {number} y @param {number} radius */
function paintTerm(picture, term, x, y, radius) {
  const { colours } = picture;
  const size = Math.round(radius * 0.62);
  text(picture, "term", x, y - size * 0.45, colours.faint, `${Math.max(9, Math.round(size * 0.45))}px`);
  text(picture, String(term), x, y + size * 0.55, colours.ink, `600 ${size}px`);
}

/** Name, role and log, away from the middle. @param {Picture} picture @param {string} name @param {number} at
 * @param {string} role @param {string} colour */
function paintName(picture, name, at, role, colour) {
  const { colours, places, run, cluster } = picture;
  const { x, y, isUpper } = places.points[at];
  const top = isUpper ? y - places.radius - LABEL.height - 2 : y + places.radius + APART - 2;
  text(picture, nameOf(run, name), x, top + 11, colours.ink, "600 12.5px");
  text(picture, role, x, top + 24, colour, "11px");
  const state = cluster.servers.get(name);
  if (state && places.cells) paintLog(picture, state, x, top + 29, cluster.down.has(name));
}

/** The end of a log: the same entries for all servers, one below the other in thought.
 * @param {Picture} picture @param {ServerState} state @param {number} x @param {number} top @param {boolean} isDown */
function paintLog(picture, state, x, top, isDown) {
  const { context, colours, cluster, places } = picture;
  const last = Math.max(1, ...[...cluster.servers.values()].map(lastIndex));
  const first = Math.max(1, last - places.cells + 1);
  const step = CELL.size + CELL.gap;
  const left = x - ((last - first + 1) * step - CELL.gap) / 2;
  context.globalAlpha = isDown ? 0.45 : 1;
  for (let index = first; index <= last; index++) {
    const term = termAt(state, index);
    const at = left + (index - first) * step;
    context.lineWidth = 1;
    context.setLineDash(term === undefined ? [1, 2] : index <= state.commit ? [] : [3, 2]);
    context.strokeStyle = term === undefined ? colours.line : termColour(colours, term);
    context.fillStyle = colours.panel;
    context.fillRect(at, top, CELL.size, CELL.size);
    if (term !== undefined && index <= state.commit) {
      context.fillStyle = termColour(colours, term);
      context.globalAlpha *= 0.35;
      context.fillRect(at, top, CELL.size, CELL.size);
      context.globalAlpha = isDown ? 0.45 : 1;
    }
    context.strokeRect(at + 0.5, top + 0.5, CELL.size - 1, CELL.size - 1);
    if (term !== undefined) text(picture, String(term), at + CELL.size / 2, top + CELL.size - 4, colours.ink, "9.5px", false);
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** What is left of the election timeout. @param {Picture} picture @param {number} at @param {number} x @param {number} y @param {number} radius */
function paintTimer({ context, colours, timers, cluster, lanes }, at, x, y, radius) {
  const left = timers[at];
  if (left === undefined || cluster.down.has(lanes[at])) return;
  context.lineCap = "round";
  ring(context, x, y, radius, colours.line, 2, []);
  if (left > 0) {
    context.strokeStyle = left < 0.25 ? colours.ink : colours.faint;
    context.lineWidth = 3;
    context.beginPath();
    context.arc(x, y, radius, -Math.PI / 2, -Math.PI / 2 + left * 2 * Math.PI);
    context.stroke();
  }
  context.lineCap = "butt";
}

/** A dot towards each server that can vote: filled for yes, a stroke for no, open while nothing is heard.
 * @param {Picture} picture @param {ServerState} state @param {string} name @param {number} x @param {number} y @param {number} radius */
function paintVotes({ context, colours, lanes, places }, state, name, x, y, radius) {
  lanes.forEach((other, at) => {
    if (other === name) return;
    const angle = Math.atan2(places.points[at].y - y, places.points[at].x - x);
    const [px, py] = [x + Math.cos(angle) * radius, y + Math.sin(angle) * radius];
    const vote = state.votes[other];
    disc(context, px, py, 5, vote ? termColour(colours, state.term) : colours.panel, 1);
    ring(context, px, py, 5, vote === undefined ? colours.faint : termColour(colours, state.term), 1.5, vote === undefined ? [1, 2] : []);
    if (vote === false) line(context, px - 3, py, px + 3, py);
  });
}

/** The bent way of a message, from the edge of one server to that of the other.
 * @param {Places} places @param {import("oarlock/run.js").Run} run @param {string[]} lanes @param {import("oarlock/run.js").Message} message
 * @returns {((share: number) => {x: number, y: number}) | undefined} Where it is after a share of it. */
function wayOf({ points, radius }, run, lanes, message) {
  const [a, b] = [points[lanes.indexOf(run.lanes[message.from])], points[lanes.indexOf(run.lanes[message.to])]];
  if (!a || !b || a === b) return undefined;
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const [dx, dy] = [(b.x - a.x) * BEND, (b.y - a.y) * BEND];
  const [mx, my] = [(a.x + b.x) / 2 - dy * 2, (a.y + b.y) / 2 + dx * 2];
  const margin = Math.min(0.4, (radius + 9) / length);
  return (share) => {
    const s = margin + share * (1 - 2 * margin);
    const [p, q, r] = [(1 - s) ** 2, 2 * s * (1 - s), s * s];
    return { x: p * a.x + q * mx + r * b.x, y: p * a.y + q * my + r * b.y };
  };
}

/** Where a message is. @param {Places} places @param {import("oarlock/run.js").Run} run @param {string[]} lanes
 * @param {import("oarlock/flights.js").Flight} flight */
export function placeOf(places, run, lanes, flight) {
  return wayOf(places, run, lanes, flight.message)?.(flight.share);
}

/** The colour and dash of a message. @param {Picture} picture @param {import("oarlock/flights.js").Flight} flight */
function styleOf({ run, colours }, { message, fate }) {
  const term = Number(run.events[message.sent].x?.term ?? 0);
  return { colour: fate === "lost" ? colours.drop : termColour(colours, term), dash: DASHES[message.type] ?? [] };
}

/** The whole way faintly, and plainly what is behind it. @param {Picture} picture @param {import("oarlock/flights.js").Flight} flight */
function paintWay(picture, flight) {
  const { context, places, run, lanes } = picture;
  const way = wayOf(places, run, lanes, flight.message);
  if (!way) return;
  const { colour, dash } = styleOf(picture, flight);
  context.strokeStyle = colour;
  for (const [from, to, strength, width] of [[flight.share, 1, 0.25, 1], [0, flight.share, 0.85, run.events[flight.message.sent].x?.entries?.length ? 2.2 : 1.4]]) {
    if (to - from < 0.01) continue;
    context.globalAlpha = strength * flight.strength;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    for (let step = 0; step <= 16; step++) {
      const { x, y } = way(from + ((to - from) * step) / 16);
      if (step) context.lineTo(x, y);
      else context.moveTo(x, y);
    }
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** @param {Picture} picture @param {import("oarlock/flights.js").Flight[]} group @param {boolean} isNamed */
function paintFlight(picture, group, isNamed) {
  const { context, colours, places, run, lanes } = picture;
  const flight = group[0];
  const way = wayOf(places, run, lanes, flight.message);
  if (!way) return;
  const { x, y } = way(flight.share);
  const { colour } = styleOf(picture, flight);
  const count = group.length > 1 ? `×${group.length} ` : "";
  context.globalAlpha = Math.max(0.25, flight.strength);
  if (flight.fate === "lost") {
    cross(context, x, y, 6, colours.drop, 2.5);
    textBeside(picture, way, flight.share, `${count}${CAUSE_WORDS[flight.cause] ?? flight.cause}`, colours.drop, "600 11px");
  } else {
    if (flight.fate === "unknown") text(picture, "?", x + 10, y + 4, colours.faint, "600 12px");
    paintHead(picture, flight, way, colour);
    if (flight.fate === "held") textBeside(picture, way, flight.share, `${count}held up`, colours.faint, "11px");
    else if (isNamed) textBeside(picture, way, flight.share, shortName(run.events[flight.message.sent]), colours.ink, "11px");
  }
  context.globalAlpha = 1;
}

/** Words on the outer side of a bent way, unless there are some already. @param {Picture} picture @param {(share: number) => {x: number, y: number}} way @param {number} share
 * @param {string} words @param {string} colour @param {string} font */
function textBeside(picture, way, share, words, colour, font) {
  const { x, y } = way(share);
  if (picture.taken.some((each) => Math.hypot(each.x - x, (each.y - y) * 2) < 44)) return;
  picture.taken.push({ x, y });
  const angle = angleOf(way, share) + Math.PI / 2;
  const [nx, ny] = [Math.cos(angle), Math.sin(angle)];
  picture.context.textAlign = nx > 0.4 ? "left" : nx < -0.4 ? "right" : "center";
  text(picture, words, x + nx * 12, y + ny * 15 + 4, colour, font);
  picture.context.textAlign = "center";
}

/** Which way a message is heading. @param {(share: number) => {x: number, y: number}} way @param {number} share */
function angleOf(way, share) {
  const [before, after] = [way(Math.max(0, share - 0.02)), way(Math.min(1, share + 0.02))];
  return Math.atan2(after.y - before.y, after.x - before.x);
}

/** An arrow for a request, a sign in a circle for an answer. @param {Picture} picture @param {import("oarlock/flights.js").Flight} flight
 * @param {(share: number) => {x: number, y: number}} way @param {string} colour */
function paintHead({ context, colours, run }, { message, share }, way, colour) {
  const { x, y } = way(share);
  const verdict = verdictOf(run.events[message.sent]);
  if (verdict !== undefined) {
    disc(context, x, y, 7, colours.panel, 1);
    ring(context, x, y, 7, colour, 1.8, []);
    line(context, x - 3.5, y, x + 3.5, y);
    if (verdict) line(context, x, y - 3.5, x, y + 3.5);
    return;
  }
  const angle = angleOf(way, share);
  const size = run.events[message.sent].x?.entries?.length ? 10 : 7.5;
  context.fillStyle = colour;
  context.beginPath();
  for (const turn of [0, 2.5, -2.5]) context.lineTo(x + Math.cos(angle + turn) * size, y + Math.sin(angle + turn) * size);
  context.closePath();
  context.fill();
}

/** What a message is, as short as a label has to be. @param {TraceEvent} sent */
function shortName({ x = {} }) {
  if (x.type === "AppendEntries") return x.entries?.length ? `${x.entries.length} ${x.entries.length > 1 ? "entries" : "entry"}` : "heartbeat";
  const verdict = verdictOf({ id: "", t: 0, lc: 0, k: "send", x });
  if (x.type === "RequestVoteReply") return verdict ? "vote" : "no vote";
  return verdict === undefined || x.type !== "AppendEntriesReply" ? String(x.type ?? "message") : verdict ? "matches" : "refused";
}

/** A message in words. @param {import("oarlock/run.js").Run} run @param {import("oarlock/flights.js").Flight} flight */
export function messageInWords(run, { message, fate, cause }) {
  const sent = run.events[message.sent];
  const told = `${sent.x?.type ?? "a message"}${sent.x?.term === undefined ? "" : ` of term ${sent.x.term}`} from ${nameOf(run, run.lanes[message.from])} to ${nameOf(run, run.lanes[message.to])}`;
  const end = { flying: "", held: ", held up", unknown: ", its end unknown", lost: `, lost: ${CAUSE_WORDS[cause] ?? cause}` }[fate];
  return `${told} (${shortName(sent)})${end}`;
}

/** @param {{context: CanvasRenderingContext2D, colours: import("oarlock/paint.js").Palette}} picture @param {string} words
 * @param {number} x @param {number} y @param {string} colour @param {string} font Weight and size. @param {boolean} hasHalo */
function text({ context, colours }, words, x, y, colour, font, hasHalo = true) {
  context.font = `${font} system-ui, sans-serif`;
  context.setLineDash([]);
  if (hasHalo) {
    context.lineWidth = 3.5;
    context.lineJoin = "round";
    context.strokeStyle = colours.panel;
    context.strokeText(words, x, y);
  }
  context.fillStyle = colour;
  context.fillText(words, x, y);
}

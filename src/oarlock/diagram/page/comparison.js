/** Two runs side by side by what they mean, in the words of `diagram/comparison.py`; a test compares the two. */

import { firstDifference } from "oarlock/diff.js";
import { laneOf } from "oarlock/ids.js";
import { actorsOf, relation } from "oarlock/relation.js";
import { WORLD } from "oarlock/run.js";
import { apply, lastIndex } from "oarlock/state.js";

/** @typedef {import("oarlock/run.js").Run} Run */
/** @typedef {{sentence: string, one: string, other: string}} Row */
/** What a rule did, wherever it was in time, and by index the first event that did it.
 * @typedef {{rule: string, server: string, term: number, peer: string, indices: Map<number, string>}} Act */

/** Rules that act for as much of the log as there happens to be: where their stretches begin says nothing. */
const BATCHED = ["AE-4", "AE-5", "ALL-1", "L-2", "L-3", "L-3a", "L-4", "CL-Q2", "CL-Q3", "CL-Q5", "FC-5"];
/** Of one part. */
const MOST_ROWS = 40;
/** Names of operands that say where in the log; the first that a rule has counts. */
const INDICES = [
  "index", "first_index", "prev_log_index", "match_index", "last_included_index", "base_index", "next_index",
  "configuration_index", "read_index", "commit_index", "leader_commit",
];
/** Names of operands that are servers. */
const SERVERS = ["peer", "source", "leader", "candidate", "to", "voted_for"];
const WHICH = ["first", "second"];

/** What a run comes to. */
class Seen {
  /** @param {Run} run @param {Extras} extras */
  constructor(run, extras) {
    this.extras = extras;
    /** By term, who came to lead, and when. @type {Map<number, [string, string]>} */
    this.leaders = new Map();
    /** By index: what was committed, and the event by which it first was. @type {Map<number, {term: number, payload: string | null, id: string}>} */
    this.committed = new Map();
    /** @type {Map<string, Act>} */
    this.acts = new Map();
    /** By kind of message and fate, how many. @type {Map<string, number>} */
    this.fates = new Map();
    /** By request: what was asked, what was answered, and the event. @type {Map<number, [string, string, string]>} */
    this.answers = new Map();
    /** Crashes by server. @type {Map<string, string[]>} */
    this.lives = new Map();
    /** @type {TraceEvent[]} */
    this.violations = [];
    /** @type {import("oarlock/state.js").Cluster} */
    this.cluster = { servers: new Map(), down: new Set(), cut: new Set() };
    /** @type {Map<string, string | null>} */
    this.entries = new Map();
    for (const event of run.events) {
      const lane = laneOf(event.id);
      apply(this.cluster, event, lane);
      this.#see(run, event, lane);
    }
  }

  /** @param {Run} run @param {TraceEvent} event @param {string} lane */
  #see(run, event, lane) {
    const fields = event.x ?? {};
    const state = this.cluster.servers.get(lane);
    if (event.k === "viol") this.violations.push(event);
    else if (event.k === "client" && lane === WORLD) this.#hear(event.id, fields);
    else if (event.k === "crash") push(this.lives, String(fields.server ?? lane), event.id);
    else if (event.k === "send") this.#count(`${fields.type} sent`);
    else if (event.k === "drop") {
      const sent = event.m ? run.find(event.m) : undefined;
      const cause = event.cause ?? "";
      this.#count(`${sent ? sent.x?.type : "message"} ${this.extras.words.cause[cause] ?? cause}`);
    }
    if (state) this.#note(event, lane, state);
  }

  /** @param {string} fate */
  #count(fate) {
    this.fates.set(fate, (this.fates.get(fate) ?? 0) + 1);
  }

  /** @param {string} id @param {Record<string, any>} fields */
  #hear(id, { request, op, client, kind, key = "", outcome }) {
    if (!Number.isInteger(request)) return;
    const known = this.answers.get(request);
    if (op === "call") this.answers.set(request, [`client ${client}: ${kind} ${key}`.trimEnd(), "nothing", id]);
    else if (op === "return" && known) this.answers.set(request, [known[0], String(outcome), id]);
  }

  /** @param {TraceEvent} event @param {string} lane @param {ServerState} state */
  #note(event, lane, state) {
    (event.r ?? []).forEach((rule, at) => {
      const { index, peer } = this.#where(rule, event.g?.[at] ?? []);
      const name = JSON.stringify([rule, lane, state.term, peer]);
      const act = this.acts.get(name) ?? { rule, server: lane, term: state.term, peer, indices: new Map() };
      this.acts.set(name, act);
      if (!act.indices.has(index)) act.indices.set(index, event.id);
    });
    const delta = event.w;
    for (const [index, term, , payload] of delta?.log?.app ?? []) this.entries.set(`${index} ${term}`, payload);
    if (delta?.role?.[1] === "leader" && !this.leaders.has(state.term)) this.leaders.set(state.term, [lane, event.id]);
    const [from, to] = delta?.commit ?? [0, 0];
    for (let index = from + 1; index <= to; index++) {
      const term = state.log.find(([first, last]) => first <= index && index <= last)?.[2];
      if (term === undefined || this.committed.has(index)) continue;
      this.committed.set(index, { term, payload: this.entries.get(`${index} ${term}`) ?? null, id: event.id });
    }
  }

  /** The index in the log, or 0, and the other server that a rule was about. @param {string} rule @param {any[]} operands */
  #where(rule, operands) {
    const names = this.extras.rules[rule]?.operands ?? [];
    const valueOf = (/** @type {string} */ name) => (names.includes(name) ? operands[names.indexOf(name)] : undefined);
    const index = BATCHED.includes(rule) ? 0 : (INDICES.map(valueOf).find(Number.isInteger) ?? 0);
    const peer = names.filter((name) => SERVERS.includes(name)).map(valueOf).find((each) => each !== null && each !== undefined);
    return { index, peer: String(peer ?? "") };
  }
}

/** Compare two runs; of runs without a server in common, only what is of no server.
 * @param {Run} one @param {Run} other @param {Extras} extras @returns {Comparison} */
export function compare(one, other, extras) {
  const ours = new Seen(one, extras);
  const theirs = new Seen(other, extras);
  const note = relation(one, other);
  const theirActors = actorsOf(other);
  const areRelated = actorsOf(one).some((name) => theirActors.includes(name));
  /** @type {[string, (ours: Seen, theirs: Seen) => Row[]][]} */
  const all = [
    ["Properties", properties], ["Who led", leaders], ["What was committed", commits], ["What clients were told", answers],
    ["Where servers ended", ends], ["Crashes", crashes], ["Rules that acted", rules], ["Messages", messages],
  ];
  const parts = all.filter(([title]) => areRelated || title === "Properties" || title === "Messages").map(([title, find]) => {
    const rows = find(ours, theirs);
    return { title, rows: rows.slice(0, MOST_ROWS), left_out: Math.max(0, rows.length - MOST_ROWS) };
  });
  return { note, first: areRelated ? firstDifference(one, other, extras) : null, parts: parts.filter((part) => part.rows.length) };
}

/** @param {string} sentence @param {string} [one] @param {string} [other] @returns {Row} */
function row(sentence, one = "", other = "") {
  return { sentence, one, other };
}

/** A row of what only one run has. @param {number} number 0 for the first run. @param {string} sentence @param {string} id */
function alone(number, sentence, id) {
  return number ? row(sentence, "", id) : row(sentence, id);
}

/** @param {Seen} ours @param {Seen} theirs */
function properties(ours, theirs) {
  return [[ours, theirs], [theirs, ours]].flatMap(([seen, besides], number) => {
    const known = new Set(besides.violations.map((event) => event.x?.property));
    return seen.violations.filter((event) => !known.has(event.x?.property))
      .map((event) => alone(number, `${event.x?.property} falls only in the ${WHICH[number]} run`, event.id));
  });
}

/** @param {Seen} ours @param {Seen} theirs */
function leaders(ours, theirs) {
  return ascending([...ours.leaders.keys(), ...theirs.leaders.keys()]).flatMap((term) => {
    const [[here, one], [there, other]] = [ours, theirs].map((seen) => seen.leaders.get(term) ?? ["nobody", ""]);
    return here === there ? [] : [row(`term ${term} is led by ${here} in the first run, by ${there} in the second`, one, other)];
  });
}

/** @param {Seen} ours @param {Seen} theirs */
function commits(ours, theirs) {
  const entry = (/** @type {Seen} */ seen, /** @type {number} */ index) => {
    const { term, payload } = /** @type {{term: number, payload: string | null}} */ (seen.committed.get(index));
    return { term, text: JSON.stringify([term, payload]) };
  };
  const both = ascending([...ours.committed.keys()]).filter((index) => theirs.committed.has(index) && entry(ours, index).text !== entry(theirs, index).text);
  const found = stretches(both).map(([first, last]) => {
    const span = Array.from({ length: last - first + 1 }, (_, at) => first + at);
    const [here, there] = [ours, theirs].map((seen) => span.map((index) => entry(seen, index)));
    const [termsHere, termsThere] = [here, there].map((entries) => ascending(entries.map((each) => each.term)).join(" and "));
    const noun = here.length > 1 ? "entries" : "an entry";
    const areSame = here.map((each) => each.text).sort().join() === there.map((each) => each.text).sort().join();
    const told = termsHere !== termsThere ? `${noun} of term ${termsHere} in the first run, ${noun} of term ${termsThere} in the second`
      : areSame ? "the same commands in another order" : "other commands";
    return row(`${spanOf(first, last)}: ${told}`, ours.committed.get(first)?.id, theirs.committed.get(first)?.id);
  });
  for (const [number, [seen, besides]] of [[ours, theirs], [theirs, ours]].entries()) {
    const only = ascending([...seen.committed.keys()]).filter((index) => !besides.committed.has(index));
    for (const [first, last] of stretches(only)) {
      found.push(alone(number, `${spanOf(first, last)} committed only in the ${WHICH[number]} run`, seen.committed.get(first)?.id ?? ""));
    }
  }
  return found;
}

/** @param {Seen} ours @param {Seen} theirs */
function answers(ours, theirs) {
  return ascending([...ours.answers.keys(), ...theirs.answers.keys()]).flatMap((request) => {
    const here = ours.answers.get(request);
    const there = theirs.answers.get(request);
    if (here && there) return here[1] === there[1] ? [] : [row(`${here[0]}: ${here[1]} in the first run, ${there[1]} in the second`, here[2], there[2])];
    const [asked, , id] = here ?? there ?? ["", "", ""];
    return [alone(here ? 0 : 1, `${asked}: asked only in the ${WHICH[here ? 0 : 1]} run`, id)];
  });
}

/** @param {Seen} ours @param {Seen} theirs */
function ends(ours, theirs) {
  const names = [...new Set([...ours.cluster.servers.keys(), ...theirs.cluster.servers.keys()])].sort();
  return names.flatMap((server) => {
    const [here, there] = [ours, theirs].map(({ cluster: { servers, down } }) => {
      const state = servers.get(server);
      if (!state) return "nothing known";
      return `${down.has(server) ? "down" : state.role} of term ${state.term}, log up to ${lastIndex(state)}, committed ${state.commit}`;
    });
    return here === there ? [] : [row(`${server} ends as ${here} in the first run, as ${there} in the second`)];
  });
}

/** @param {Seen} ours @param {Seen} theirs */
function crashes(ours, theirs) {
  const times = (/** @type {string[]} */ all) => ["never", "once", "twice"][all.length] ?? `${all.length} times`;
  return [...new Set([...ours.lives.keys(), ...theirs.lives.keys()])].sort().flatMap((server) => {
    const [here, there] = [ours, theirs].map((seen) => seen.lives.get(server) ?? []);
    if (here.length === there.length) return [];
    return [row(`${server} crashed ${times(here)} in the first run, ${times(there)} in the second`, here.at(-1), there.at(-1))];
  });
}

/** Each act that only one run has, neighbours in the log as one; first those that the other has nowhere.
 * @param {Seen} ours @param {Seen} theirs */
function rules(ours, theirs) {
  /** @type {{isElsewhere: boolean, rule: string, row: Row}[]} */
  const found = [];
  for (const [number, [seen, besides]] of [[ours, theirs], [theirs, ours]].entries()) {
    for (const [name, act] of seen.acts) {
      const known = besides.acts.get(name);
      for (const [first, last] of stretches(ascending([...act.indices.keys()].filter((index) => !known?.indices.has(index))))) {
        const told = `${act.rule} at ${act.server} in term ${act.term}${first ? ` at ${spanOf(first, last)}` : ""}${act.peer ? ` with ${act.peer}` : ""}`;
        const sentence = `${told}: only in the ${WHICH[number]} run`;
        found.push({ isElsewhere: Boolean(known), rule: act.rule, row: alone(number, sentence, act.indices.get(first) ?? "") });
      }
    }
  }
  found.sort((a, b) => Number(a.isElsewhere) - Number(b.isElsewhere) || inOrder(a.rule, b.rule) || inOrder(a.row.sentence, b.row.sentence));
  return found.map((each) => each.row);
}

/** @param {Seen} ours @param {Seen} theirs */
function messages(ours, theirs) {
  return [...new Set([...ours.fates.keys(), ...theirs.fates.keys()])].sort().flatMap((fate) => {
    const [here, there] = [ours, theirs].map((seen) => seen.fates.get(fate) ?? 0);
    return here === there ? [] : [row(`${fate}: ${here} in the first run, ${there} in the second`)];
  });
}

/** Neighbours together. @param {number[]} indices Ascending. */
function stretches(indices) {
  /** @type {[number, number][]} */
  const found = [];
  for (const index of indices) {
    const last = found.at(-1);
    if (last && last[1] === index - 1) last[1] = index;
    else found.push([index, index]);
  }
  return found;
}

/** @param {number} first @param {number} last */
function spanOf(first, last) {
  return first === last ? `index ${first}` : `indices ${first} to ${last}`;
}

/** Each once, in order. @param {number[]} values */
function ascending(values) {
  return [...new Set(values)].sort((a, b) => a - b);
}

/** @param {string} one @param {string} other */
function inOrder(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** @template V @param {Map<string, V[]>} held @param {string} name @param {V} value */
function push(held, name, value) {
  const known = held.get(name);
  if (known) known.push(value);
  else held.set(name, [value]);
}

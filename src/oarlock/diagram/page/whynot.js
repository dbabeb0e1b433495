/** Why has something not happened? As `diagram/whynot.py` answers it; a test compares the two. */

import { areMajorities, votersOf } from "oarlock/majorities.js";
import { WORLD } from "oarlock/run.js";
import { lastIndex, leaderAmong, termAt } from "oarlock/state.js";
import { ruleSentence } from "oarlock/words.js";

const REFUSALS = ["RV-2", "RV-1", "PV-2", "CQ-2", "NS-1"];
/** How far back a lost message is looked for. */
const REACH = 5000;
/** So long after a deadline whoever had to act has not, in microseconds; by the run's clock, as clocks of live servers differ. @type {Record<string, number>} */
const OVERDUE = { virtual: 100_000, wall: 1_000_000 };

/** @typedef {{sentence: string, id: string, rule?: string}} Missing One thing that was missing, and since when or by what it is
 * known; the rule that had to act by then and did not, if one is known to. */
/** @typedef {{sentence: string, missing: Missing[]}} Answer */

/** @param {import("oarlock/run.js").Run} run @param {Extras} extras @param {string} question @param {number} position
 * @returns {Answer} Throws an Error for another question. */
export function whyNot(run, extras, question, position) {
  const asked = question.trim().toLowerCase();
  const moment = new Moment(run, extras, position);
  if (asked === "leader" || asked === "no leader") return moment.noLeader();
  const found = /^(?:index\s+)?(\d+)(?:\s+committed)?$/.exec(asked);
  if (found) return moment.notCommitted(Number(found[1]));
  throw new Error(`"${question}": ask "leader" or "index 17 committed"`);
}

class Moment {
  /** @param {import("oarlock/run.js").Run} run @param {Extras} extras @param {number} position */
  constructor(run, extras, position) {
    this.run = run;
    this.extras = extras;
    this.position = position;
    const { servers, down } = run.track.at(position);
    this.states = servers;
    this.down = down;
    this.names = [...servers.keys()].sort();
  }

  /** Why an index is not committed. @param {number} index @returns {Answer} */
  notCommitted(index) {
    const known = this.names.filter((name) => this.#state(name).commit >= index);
    if (known.length) return { sentence: `Index ${index} is committed: ${known.join(", ")} know it.`, missing: [] };
    const leader = this.#leader();
    if (leader === undefined) {
      const answer = this.noLeader();
      return { sentence: `Index ${index} is not committed: ${answer.sentence}`, missing: answer.missing };
    }
    const state = this.#state(leader);
    if (index > lastIndex(state)) return { sentence: `Index ${index} is not committed: the leader's log ends at ${lastIndex(state)}.`, missing: [] };
    const voters = votersOf(state.conf);
    const holding = voters.filter((voter) => (voter === leader ? state.durable : state.match[voter] ?? 0) >= index);
    if (areMajorities(state.conf, holding)) return this.#guarded(leader, index, holding);
    const missing = voters.filter((voter) => !holding.includes(voter)).flatMap((voter) => this.#whyBehind(leader, voter, index));
    return { sentence: `Index ${index} is not committed: ${holding.length} of the ${majority(state.conf)} needed hold it.`, missing };
  }

  /** A majority holds it, and yet it may not be committed by counting.
   * @param {string} leader @param {number} index @param {string[]} holding @returns {Answer} */
  #guarded(leader, index, holding) {
    const state = this.#state(leader);
    const term = termAt(state, index);
    const held = `${holding.join(", ")} hold index ${index}`;
    if (term !== undefined && term < state.term) {
      return {
        sentence: `Index ${index} is not committed: ${held}, but its term ${term} is older than the leader's, ${state.term}. `
          + "Counting is allowed only for entries of the leader's own term (L-4, Figure 8).",
        missing: [],
      };
    }
    return { sentence: `Index ${index} is not committed yet: ${held}; the leader has not counted since.`, missing: [] };
  }

  /** What keeps a voter from holding an index. @param {string} leader @param {string} voter @param {number} index @returns {Missing[]} */
  #whyBehind(leader, voter, index) {
    const state = this.#state(leader);
    if (voter === leader) {
      return [{ sentence: `${voter} itself has it on disk only up to ${state.durable}`, id: this.#last(voter, (event) => event.k === "fsync") }];
    }
    const match = state.match[voter] ?? 0;
    const id = this.#last(leader, (event) => Boolean(event.w?.match && voter in event.w.match));
    return [{ sentence: `${voter} has acknowledged up to ${match}, ${index - match} short`, id }, ...this.#obstacles(leader, voter)];
  }

  /** Why nobody leads. @returns {Answer} */
  noLeader() {
    const leader = this.#leader();
    if (leader !== undefined) return { sentence: `${leader} leads term ${this.#state(leader).term}.`, missing: [] };
    const missing = this.names.flatMap((name) =>
      this.down.has(name) ? [{ sentence: `${name} is down`, id: this.#last(name, (event) => event.k === "crash") }] : this.#whyNoLead(name));
    const told = missing.map((each) => `${each.sentence} ${each.id}`);
    return { sentence: "Nobody leads.", missing: missing.filter((_, at) => told.indexOf(told[at]) === at) };
  }

  /** @param {string} name @returns {Missing[]} */
  #whyNoLead(name) {
    const state = this.#state(name);
    if (state.role === "learner") return [{ sentence: `${name} only learns, and has no vote`, id: "" }];
    if (state.role === "follower") return [this.#waiting(name, state)];
    const granted = Object.keys(state.votes).filter((voter) => state.votes[voter]).sort().join(", ") || "nobody";
    const does = state.role === "pre_candidate" ? `asks who would vote for it in term ${state.term + 1}: ${granted} would`
      : `campaigns for term ${state.term} with the votes of ${granted}`;
    /** @type {Missing[]} */
    const missing = [{ sentence: `${name} ${does}; it needs ${majority(state.conf)}`, id: this.#last(name, (event) => Boolean(event.w?.role)) }];
    for (const voter of votersOf(state.conf).filter((each) => each !== name)) {
      if (state.votes[voter] === false) missing.push(this.#refusal(voter, name));
      else if (!(voter in state.votes)) missing.push(...this.#obstacles(name, voter));
    }
    return missing;
  }

  /** What a follower waits for, or should have done meanwhile. @param {string} name @param {ServerState} state @returns {Missing} */
  #waiting(name, state) {
    const told = `${name} follows in term ${state.term}`;
    const id = this.#last(name, (event) => Boolean(event.r?.includes("F-1") || event.r?.includes("RV-2")));
    if (!votersOf(state.conf).includes(name)) return { sentence: `${told}, without a vote`, id };
    if (state.timer === null) return { sentence: told, id };
    const at = `${((state.timer - this.run.t.data[0]) / 1e6).toFixed(3)} s`;
    const overdue = this.run.t.data[this.position] - state.timer;
    if (overdue > (OVERDUE[this.run.header.clock ?? "virtual"] ?? 0)) {
      return { sentence: `${told}; its election timer ran out at ${at}, and it has not campaigned since`, id, rule: "F-2" };
    }
    return { sentence: `${told}; its election timer runs out at ${at}`, id };
  }

  /** By which rule a voter refused. @param {string} voter @param {string} candidate @returns {Missing} */
  #refusal(voter, candidate) {
    for (const event of this.#before(voter)) {
      if (event.src !== candidate) continue;
      const at = (event.r ?? []).findIndex((rule) => REFUSALS.includes(rule));
      if (at < 0) continue;
      const rule = (event.r ?? [])[at];
      return { sentence: `${voter} ${ruleSentence(this.extras, rule, event.g?.[at] ?? [])} (${rule})`, id: event.id };
    }
    return { sentence: `${voter} refused`, id: "" };
  }

  /** What stands between two servers, in either direction. @param {string} source @param {string} to @returns {Missing[]} */
  #obstacles(source, to) {
    const found = this.down.has(to) ? [{ sentence: `${to} is down`, id: this.#last(to, (event) => event.k === "crash") }] : [];
    for (const [here, there] of [[source, to], [to, source]]) {
      const cut = this.#cutSince(here, there);
      if (cut) found.push({ sentence: `nothing gets from ${here} to ${there}`, id: cut });
      else found.push(...this.#lastLoss(here, there));
    }
    return found;
  }

  /** @param {string} source @param {string} to */
  #cutSince(source, to) {
    const column = this.run.positions[this.run.laneOf.get(WORLD) ?? 0];
    const isIt = (/** @type {string[]} */ link) => link[0] === source && link[1] === to;
    let since = "";
    for (const position of column.data.subarray(0, column.length)) {
      if (position > this.position) break;
      const event = this.run.events[position];
      if (event.k === "part" && event.x?.links?.some(isIt)) since ||= event.id;
      else if (event.k === "heal" && (!event.x?.links || event.x.links.some(isIt))) since = "";
    }
    return since;
  }

  /** The last message one way, if it was lost. @param {string} source @param {string} to @returns {Missing[]} */
  #lastLoss(source, to) {
    for (let at = this.position; at > Math.max(-1, this.position - REACH); at--) {
      const event = this.run.events[at];
      if (event.k === "recv" && event.src === source && event.id.startsWith(`${to}.`)) return [];
      if (event.k === "drop" && event.src === source && event.to === to) {
        const cause = this.extras.words.cause[event.cause ?? ""] ?? event.cause ?? "";
        return [{ sentence: `the last message from ${source} to ${to} was ${cause}`, id: event.id }];
      }
    }
    return [];
  }

  /** @param {string} name */
  #state(name) {
    return /** @type {ServerState} */ (this.states.get(name));
  }

  #leader() {
    return leaderAmong({ servers: this.states, down: this.down }, [...this.names].reverse());
  }

  /** A lane's events, latest first, from the moment asked about. @param {string} name */
  *#before(name) {
    const lane = this.run.laneOf.get(name) ?? 0;
    for (let at = this.run.alongLane(lane, this.position + 1, -1); at >= 0; at = this.run.alongLane(lane, at, -1)) yield this.run.events[at];
  }

  /** @param {string} name @param {(event: TraceEvent) => boolean} isIt */
  #last(name, isIt) {
    for (const event of this.#before(name)) if (isIt(event)) return event.id;
    return "";
  }
}

/** How many of the larger half are needed. @param {ConfigurationView} conf */
function majority(conf) {
  return Math.floor(Math.max(conf.voters?.length ?? 0, conf.outgoing?.length ?? 0) / 2) + 1;
}

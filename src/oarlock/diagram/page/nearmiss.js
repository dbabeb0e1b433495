/** Near-misses, as `diagram/near_miss.py` finds them: guards that refused something from which harm would have come. */

import { Disks } from "oarlock/disks.js";
import { laneOf } from "oarlock/ids.js";
import { WORLD } from "oarlock/run.js";
import { lastIndex, termAt, wholeState } from "oarlock/state.js";
import { ruleSentence } from "oarlock/words.js";

/** @typedef {{id: string, rule: string, property: string, sentence: string, harm: string, isClose: boolean}} NearMiss */

const MOST = 10_000;
/** Events that tell of a disk. */
const DISK = new Set(["restart", "ready", "fsync"]);

/** @param {import("oarlock/run.js").Run} run @param {Extras} extras @returns {NearMiss[]} */
export function nearMisses(run, extras) {
  return new Search(run, extras).search();
}

class Search {
  /** @param {import("oarlock/run.js").Run} run @param {Extras} extras */
  constructor(run, extras) {
    this.run = run;
    this.extras = extras;
    /** @type {NearMiss[]} */
    this.found = [];
    /** @type {TraceEvent} */
    this.event = { id: "", t: 0, lc: 0, k: "" };
    this.lane = "";
    /** Who came to lead each term, in all of the run. @type {Map<number, string>} */
    this.leaders = new Map();
    /** The highest index that is committed anywhere, and its term. @type {[number, number]} */
    this.committed = [0, 0];
    this.guarded = new Set();
    this.disks = new Disks();
    /** @type {Map<string, ServerState>} */
    this.states = new Map();
  }

  search() {
    const { run } = this;
    for (const position of run.elections.data.subarray(0, run.elections.length)) {
      const lane = laneOf(run.events[position].id);
      const term = run.track.at(position).servers.get(lane)?.term ?? 0;
      if (!this.leaders.has(term)) this.leaders.set(term, lane);
    }
    for (let position = 0; position < run.length && this.found.length < MOST; position++) {
      const event = run.events[position];
      this.event = event;
      this.lane = laneOf(event.id);
      if (this.lane === WORLD) continue;
      if (event.r?.length || event.k === "restart") {
        this.states = run.track.at(position - 1).servers;
        const before = this.states.get(this.lane);
        if (before) this.#look(event, before);
      }
      if (!event.w && !DISK.has(event.k)) continue;
      const after = run.track.at(position).servers.get(this.lane);
      if (!after) continue;
      this.disks.follow(this.lane, event, after);
      if (event.w) this.#note(event.w, after);
    }
    return this.found.slice(0, MOST);
  }

  /** @param {Delta} delta @param {ServerState} state */
  #note(delta, state) {
    if (delta.commit && state.commit > this.committed[0]) this.committed = [state.commit, termAt(state, state.commit) ?? 0];
    if (state.role === "leader" && (delta.match || delta.durable)) this.#lookAtCount(state);
  }

  /** @param {string} rule @param {string} property @param {string} sentence @param {string} harm @param {boolean} isClose */
  #add(rule, property, sentence, harm, isClose) {
    this.found.push({ id: this.event.id, rule, property, sentence, harm, isClose });
  }

  /** @param {TraceEvent} event @param {ServerState} state */
  #look(event, state) {
    if (event.k === "restart") this.#lookAtLoss(event, state);
    (event.r ?? []).forEach((rule, at) => {
      const guards = event.g?.[at] ?? [];
      const names = this.extras.rules[rule]?.operands ?? [];
      this.#lookAt(rule, Object.fromEntries(names.slice(0, guards.length).map((name, place) => [name, guards[place]])), guards, state);
    });
  }

  /** @param {string} rule @param {Record<string, any>} named @param {any[]} guards @param {ServerState} state */
  #lookAt(rule, named, guards, state) {
    const { event, lane } = this;
    const told = () => `${lane} ${ruleSentence(this.extras, rule, guards)}`;
    const source = event.src ?? "";
    const number = (/** @type {any} */ value) => Number(value ?? 0);
    if (rule === "RV-2" && named.granted === false) {
      this.#refusedVote(told(), named, Math.max(state.term, number(this.#message().term)), state);
    } else if (rule === "RV-1") {
      this.#add(rule, "election safety", told(), `${source} could have won a term that is over, beside whoever led it`, this.leaders.has(number(named.term)));
    } else if (rule === "AE-1" || rule === "IS-1") {
      const isClose = rule === "IS-1" || Boolean(this.#message().entries?.length);
      this.#add(rule, "log matching", told(), `entries of ${source}, which was replaced, would have reached a log that has moved on`, isClose);
    } else if (rule === "AE-2") {
      const isOther = named.held_term !== null && named.held_term !== undefined;
      const what = isOther ? "on top of an entry of another history" : "with a gap before them";
      this.#add(rule, "log matching", told(), `entries ${what} would have broken what one agreement says of all before it`, isOther);
    } else if (rule === "AE-5" && number(named.leader_commit) > number(named.last_new_index)) {
      const verified = number(named.last_new_index);
      this.#add(rule, "committed entries never change", told(),
        `what ${lane} holds after index ${verified} would have been taken for committed unchecked`, lastIndex(state) > verified);
    } else if (rule === "IS-5" && number(named.last_included_index) <= number(named.commit_index)) {
      this.#add(rule, "monotone applied_index", told(), "a snapshot from before would have turned the state machine back", true);
    } else if (rule === "NS-1") {
      this.#add(rule, "committed on a durable quorum", told(),
        `a disk that has forgotten what ${source} promised would have counted towards a majority`, true);
    } else if (rule === "CL-Q2") {
      this.#add(rule, "reads are linearizable", told(),
        "a new leader that does not know how far its log is committed would have answered from behind", this.committed[0] > state.commit);
    } else if (rule === "CL-Q4" && named.confirmed === false) {
      this.#add(rule, "reads are linearizable", told(),
        "a leader that was replaced without knowing would have answered with what has changed since", this.#isReplaced(state));
    } else if (rule === "CQ-1") {
      this.#add(rule, "leadership settles", told(), `${lane}, cut off, would have gone on taking commands that it cannot commit`, this.#isReplaced(state));
    } else if (rule === "CQ-2") {
      this.#add(rule, "leadership settles", told(), `${source} would have deposed a leader that does well`, false);
    } else if (rule === "PV-2" && named.granted === false) {
      this.#add(rule, "leadership settles", told(), `${source} would have raised its term in vain, and with it deposed whoever leads`, false);
    } else if (rule === "MC-3" || rule === "MC-4") {
      this.#add(rule, "one change at a time", told(),
        "two changes of members under way at once can elect and commit apart from each other", rule === "MC-4");
    } else if (rule === "RS-1" && this.#isOldAcknowledgement(state)) {
      this.#add(rule, "committed on a durable quorum", told(),
        `an acknowledgement of an older term would have counted for what ${lane} sends now`, state.role === "leader");
    }
  }

  /** @param {string} told @param {Record<string, any>} named @param {number} term @param {ServerState} state */
  #refusedVote(told, named, term, state) {
    const candidate = this.event.src ?? "";
    const message = this.#message();
    /** @type {[number, number]} */
    const theirs = [Number(message.last_log_term ?? 0), Number(message.last_log_index ?? 0)];
    if (isBefore(theirs, [state.log.at(-1)?.[2] ?? state.base[1], lastIndex(state)])) {
      const [index, ofTerm] = this.committed;
      const lacks = index > 0 && isBefore(theirs, [ofTerm, index]);
      const harm = lacks ? `${candidate} could have led without index ${index}, which is committed`
        : `${candidate} could have led without entries that ${this.lane} holds`;
      this.#add("RV-2", "leader completeness", told, harm, lacks);
    } else if (named.voted_for && named.voted_for !== candidate) {
      const leader = this.leaders.get(term);
      this.#add("RV-2", "election safety", told, `${candidate} and ${named.voted_for} could both have won term ${term}`, leader !== undefined && leader !== candidate);
    }
  }

  /** The guard that no event tells of: an entry of an older term on a majority is not committed by counting. @param {ServerState} state */
  #lookAtCount(state) {
    const index = onMajority(this.lane, state);
    const term = termAt(state, index);
    const key = `${this.lane} ${state.term} ${index}`;
    if (index <= state.commit || term === undefined || term >= state.term || this.guarded.has(key)) return;
    this.guarded.add(key);
    this.#add("L-4", "only the current term is committed",
      `${this.lane} did not commit index ${index} of term ${term}, though a majority holds it: it leads term ${state.term}`,
      "a server with a newer entry in its place could still win and overwrite it (Figure 8)", true);
  }

  /** A crash that took what nobody had been told of. @param {TraceEvent} event @param {ServerState} state Before it. */
  #lookAtLoss(event, state) {
    const disk = this.disks.of(this.lane);
    if (!event.s || !disk) return;
    const began = wholeState(event.s);
    // If the disk has lied, others may well have been told.
    if (began.term !== disk.term || began.vote !== disk.vote || lastIndex(began) < disk.last) return;
    const lost = [];
    if (began.term !== state.term || began.vote !== state.vote) {
      lost.push(`term ${state.term}${state.vote === null ? "" : ` and its vote for ${state.vote}`}`);
    }
    if (lastIndex(began) < lastIndex(state)) lost.push(`its log from ${lastIndex(began) + 1} to ${lastIndex(state)}`);
    if (!lost.length) return;
    this.#add("P-1", "nothing promised before it is durable",
      `${this.lane} had ${lost.join(" and ")} in memory alone when it crashed, and had told nobody`,
      "others would have counted on what this server has forgotten", true);
  }

  /** The fields of the message that the event received. @returns {Record<string, any>} */
  #message() {
    const { event } = this;
    const sent = event.m && !event.x ? this.run.find(event.m) : undefined;
    return (sent ? sent.x : event.x) ?? {};
  }

  /** @param {ServerState} state */
  #isOldAcknowledgement(state) {
    const message = this.#message();
    return message.type === "AppendEntriesReply" && Boolean(message.success) && Number(message.term ?? 0) < state.term;
  }

  /** Whether another server leads a later term by now. @param {ServerState} state */
  #isReplaced(state) {
    return [...this.states].some(([lane, other]) => lane !== this.lane && other.role === "leader" && other.term > state.term);
  }
}

/** @param {[number, number]} one Term and index. @param {[number, number]} other */
function isBefore(one, other) {
  return one[0] < other[0] || (one[0] === other[0] && one[1] < other[1]);
}

/** The highest index that a majority holds; while joint, of both halves. @param {string} lane @param {ServerState} state */
function onMajority(lane, state) {
  const halves = [state.conf.voters ?? [], state.conf.outgoing ?? []].filter((half) => half.length);
  if (!state.conf.voters?.length) return 0;
  return Math.min(...halves.map((half) => half.map((voter) => (voter === lane ? state.durable : state.match[voter] ?? 0)).sort((a, b) => b - a)[Math.floor(half.length / 2)]));
}

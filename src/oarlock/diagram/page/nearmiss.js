/** Near-misses, as `diagram/near_miss.py` finds them: guards that refused something from which harm would have come. */

import { Disks } from "oarlock/disks.js";
import { Known, Recent } from "oarlock/known.js";
import { onMajority, votersOf } from "oarlock/majorities.js";
import { lastIndex, termAt, wholeState } from "oarlock/state.js";
import { ruleSentence } from "oarlock/words.js";

/** @typedef {{id: string, rule: string, property: string, sentence: string, harm: string, isClose: boolean, doubt: string}} NearMiss
 * `doubt` says what would have to be known to tell that it was close; empty if nothing is missing. */

/** So many are kept. */
export const MOST_MISSES = 10_000;
/** Terms of which it is open who comes to lead them. */
const MOST_PENDING = 1024;
/** Events that tell of a disk. */
const DISK = new Set(["restart", "key", "ready", "fsync"]);

/** @param {import("oarlock/run.js").Run} run @param {Extras} extras @returns {NearMiss[]} */
export function nearMisses(run, extras) {
  const known = new Known(run.header);
  const search = new NearMissSearch(known, extras);
  for (const event of run.events) known.take(event, [search]);
  return search.found;
}

export class NearMissSearch {
  /** @param {Known} known @param {Extras} extras @param {boolean} keepsNewest Whether, beyond so many, older ones make room. */
  constructor(known, extras, keepsNewest = false) {
    this.known = known;
    this.extras = extras;
    this.keepsNewest = keepsNewest;
    /** @type {NearMiss[]} */
    this.found = [];
    /** How many were found, by rule, and how many of them were close. @type {Map<string, [number, number]>} */
    this.counts = new Map();
    /** Changes with what was found. */
    this.version = 0;
    /** @type {TraceEvent} */
    this.event = { id: "", t: 0, lc: 0, k: "" };
    this.lane = "";
    /** Who came to lead each term. @type {Recent<number, string>} */
    this.leaders = new Recent();
    /** By term, those that turn out to be close when somebody comes to lead it, and who that must not be.
     * @type {Recent<number, [NearMiss, string][]>} */
    this.pending = new Recent(MOST_PENDING);
    /** In terms up to this one, somebody may have led unseen. */
    this.blindTerm = 0;
    /** Whether it is known how far anybody has committed: it is again when a leader commits, above all that was. */
    this.knowsCommitted = true;
    /** The highest index that is committed anywhere, and its term. @type {[number, number]} */
    this.committed = [0, 0];
    /** @type {Recent<string, true>} */
    this.guarded = new Recent();
    this.disks = new Disks();
  }

  /** @param {TraceEvent} _event @param {string} lane */
  lost(_event, lane) {
    this.disks.forget(lane);
    if (this.known.isPartial) this.knowsCommitted = false;
  }

  /** @param {TraceEvent} event @param {string} lane @param {ServerState | undefined} state */
  before(event, lane, state) {
    this.event = event;
    this.lane = lane;
    if (state && (event.r?.length || event.k === "restart")) this.#look(event, state);
  }

  /** @param {TraceEvent} event @param {string} lane @param {ServerState | undefined} state */
  after(event, lane, state) {
    if (!state || (!event.w && !DISK.has(event.k))) return;
    this.disks.follow(lane, event, state);
    if (event.s) this.#noteWhole(state);
    if (event.w) this.#note(event.w, state);
  }

  /** @param {ServerState} state */
  #noteWhole(state) {
    const sight = this.known.sights.sights.get(this.lane);
    if (sight?.since === state.term) this.blindTerm = Math.max(this.blindTerm, state.term);
    if (state.commit > this.committed[0]) this.committed = [state.commit, termAt(state, state.commit) ?? 0];
    if (state.role === "leader") this.#noteLeader(state.term);
  }

  /** @param {number} term */
  #noteLeader(term) {
    if (this.leaders.has(term)) return;
    this.leaders.set(term, this.lane);
    for (const [miss, candidate] of this.pending.get(term) ?? []) {
      miss.doubt = "";
      if (this.lane !== candidate) this.#close(miss);
    }
    this.pending.delete(term);
    this.version += 1;
  }

  /** @param {NearMiss} miss */
  #close(miss) {
    miss.isClose = true;
    const counts = this.counts.get(miss.rule);
    if (counts) counts[1] += 1;
  }

  /** @param {Delta} delta @param {ServerState} state */
  #note(delta, state) {
    if (delta.role?.[1] === "leader") this.#noteLeader(state.term);
    if (delta.commit && state.role === "leader" && !this.knowsCommitted) this.knowsCommitted = this.#isNewest(state);
    if (delta.commit && state.commit > this.committed[0]) this.committed = [state.commit, termAt(state, state.commit) ?? 0];
    if (state.role === "leader" && (delta.match || delta.durable)) this.#lookAtCount(state);
  }

  /** @param {string} rule @param {string} property @param {string} sentence @param {string} harm @param {boolean} isClose
   * @param {string} doubt */
  #add(rule, property, sentence, harm, isClose, doubt = "") {
    if (this.found.length >= MOST_MISSES) {
      if (!this.keepsNewest) return undefined;
      this.found.splice(0, MOST_MISSES / 2);
    }
    const miss = { id: this.event.id, rule, property, sentence, harm, isClose: false, doubt: isClose ? "" : doubt };
    if (!this.counts.has(rule)) this.counts.set(rule, [0, 0]);
    const counts = /** @type {[number, number]} */ (this.counts.get(rule));
    counts[0] += 1;
    this.found.push(miss);
    this.version += 1;
    if (isClose) this.#close(miss);
    return miss;
  }

  /** One that is close if somebody leads a term, then or later, other than one candidate.
   * @param {string} rule @param {string} sentence @param {string} harm @param {number} term @param {string} candidate */
  #addOfTerm(rule, sentence, harm, term, candidate) {
    const leader = this.leaders.get(term);
    const isOpen = leader === undefined;
    const doubt = isOpen && term <= this.blindTerm ? `who led term ${term} is not here` : "";
    const miss = this.#add(rule, "election safety", sentence, harm, !isOpen && leader !== candidate, doubt);
    if (!miss || !isOpen) return;
    if (!this.pending.has(term)) this.pending.set(term, []);
    this.pending.get(term)?.push([miss, candidate]);
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
      this.#addOfTerm(rule, told(), `${source} could have won a term that is over, beside whoever led it`, number(named.term), "");
    } else if (rule === "AE-1" || rule === "IS-1") {
      const isClose = rule === "IS-1" || Boolean(this.#message().entries?.length);
      const doubt = this.known.message(event) ? "" : `whether ${source} sent any is not here`;
      this.#add(rule, "log matching", told(), `entries of ${source}, which was replaced, would have reached a log that has moved on`, isClose, doubt);
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
        "a new leader that does not know how far its log is committed would have answered from behind",
        this.committed[0] > state.commit, this.#doubtOfCommitted());
    } else if (rule === "CL-Q4" && named.confirmed === false) {
      this.#add(rule, "reads are linearizable", told(),
        "a leader that was replaced without knowing would have answered with what has changed since", this.#isReplaced(state), this.#doubtOfLeader(state));
    } else if (rule === "CQ-1") {
      this.#add(rule, "leadership settles", told(), `${lane}, cut off, would have gone on taking commands that it cannot commit`, this.#isReplaced(state), this.#doubtOfLeader(state));
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
      this.#add("RV-2", "leader completeness", told, harm, lacks, this.#doubtOfCommitted());
    } else if (named.voted_for && named.voted_for !== candidate) {
      this.#addOfTerm("RV-2", told, `${candidate} and ${named.voted_for} could both have won term ${term}`, term, candidate);
    }
  }

  /** The guard that no event tells of: an entry of an older term on a majority is not committed by counting. @param {ServerState} state */
  #lookAtCount(state) {
    const index = onMajority(this.lane, state);
    const term = termAt(state, index);
    const key = `${this.lane} ${state.term} ${index}`;
    if (index <= state.commit || term === undefined || term >= state.term || this.guarded.has(key)) return;
    this.guarded.set(key, true);
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
    return this.known.message(this.event) ?? {};
  }

  /** @param {ServerState} state */
  #isOldAcknowledgement(state) {
    const message = this.#message();
    return message.type === "AppendEntriesReply" && Boolean(message.success) && Number(message.term ?? 0) < state.term;
  }

  /** Whether nobody can have come further than a leader. @param {ServerState} state */
  #isNewest(state) {
    const { states, sights } = this.known;
    return votersOf(state.conf).every((voter) => sights.isWhole(voter) && (states.get(voter)?.term ?? Infinity) <= state.term);
  }

  #doubtOfCommitted() {
    return this.knowsCommitted ? "" : "how far others had committed is not here";
  }

  /** @param {ServerState} state */
  #doubtOfLeader(state) {
    const unseen = votersOf(state.conf).filter((voter) => voter !== this.lane && !this.known.sights.isWhole(voter));
    return unseen.length ? `whether ${unseen.join(" or ")} led by then is not here` : "";
  }

  /** Whether another server leads a later term by now. @param {ServerState} state */
  #isReplaced(state) {
    return [...this.known.states].some(([lane, other]) => lane !== this.lane && other.role === "leader" && other.term > state.term);
  }
}

/** @param {[number, number]} one Term and index. @param {[number, number]} other */
function isBefore(one, other) {
  return one[0] < other[0] || (one[0] === other[0] && one[1] < other[1]);
}

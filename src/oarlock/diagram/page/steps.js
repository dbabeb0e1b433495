/** Single steps of servers, judged against their own state before, as `diagram/steps.py` judges them. */

import { Recent } from "oarlock/known.js";
import { lastIndex, termAt } from "oarlock/state.js";

const REFUSALS = new Set(["NotLeader", "Overloaded", "MembershipRefused"]);
const DEAF = new Set(["CQ-2", "RS-1", "NS-1", "MC-8"]);
export const TERMLESS = new Set(["PreVote", "PreVoteReply"]);
/** Messages that the core does not see if they come too late. */
const FORWARDED = new Set(["ForwardReply"]);
/** Votes of servers in terms that are remembered. */
const MOST_VOTES = 8192;
const FORGIVEN = new Set(["DL-1", "MC-9", "NS-1", "NS-3"]);

/** @typedef {{kind: string, property: string, id: string, sentence: string, witnesses: string[]}} Deviation A step that the rules do not allow. */

/** What a log holds at an index. @param {number | undefined} term */
export function inWords(term) {
  return term === undefined ? "nothing" : `an entry of term ${term}`;
}

/** @typedef {{id: string, sentence: string}} Doubt A question that cannot be judged, since earlier events are not here. */

/** Of doubts, so many are told. */
const MOST_DOUBTS = 100;

export class Steps {
  /** @param {import("oarlock/known.js").Known} known */
  constructor(known) {
    this.known = known;
    /** @type {Deviation[]} */
    this.found = [];
    /** @type {Doubt[]} */
    this.doubts = [];
    this.doubtsUntold = 0;
    /** @type {TraceEvent} */
    this.event = { id: "", t: 0, lc: 0, k: "" };
    this.lane = "";
    /** By voter and term: for whom, the event, and its place. @type {Recent<string, [string, string, number]>} */
    this.votes = new Recent(MOST_VOTES);
  }

  /** @param {string} kind @param {string} property @param {string} sentence @param {...string} witnesses */
  add(kind, property, sentence, ...witnesses) {
    this.found.push({ kind, property, id: this.event.id, sentence, witnesses: witnesses.filter(Boolean) });
  }

  /** What cannot be judged is told. @param {string} sentence */
  doubt(sentence) {
    if (this.doubts.length < MOST_DOUBTS) this.doubts.push({ id: this.event.id, sentence });
    else this.doubtsUntold += 1;
  }

  /** The fields of the message that the event received; undefined if it is none, or not in the trace. */
  message() {
    return this.known.message(this.event);
  }

  /** @param {TraceEvent} event @param {ServerState} state Before it. */
  checkStep(event, state) {
    const message = this.message();
    const delta = event.w;
    if (message && Object.keys(message).length) this.#checkMessage(message, state, delta);
    if (delta) {
      this.#checkFalls(state, delta);
      if (delta.log?.trunc) this.#checkCut(delta.log.trunc, message ?? {}, state, delta);
    }
    this.checkGuards(event, state, message ?? {});
    const error = event.k === "crash" ? "" : String(event.x?.error ?? "").split(":")[0];
    if (error && !REFUSALS.has(error)) this.add("raised", "no call raises", `${this.lane} found itself where no server can be: ${event.x?.error}`);
  }

  /** What rules that acted rest on; see `guards.js`. @param {TraceEvent} _event @param {ServerState} _state @param {Record<string, any>} _message */
  checkGuards(_event, _state, _message) {}

  /** @param {Record<string, any>} message @param {ServerState} state @param {Delta | undefined} delta */
  #checkMessage(message, state, delta) {
    const kind = message.type;
    const term = Number(message.term ?? 0);
    if (kind === "RequestVote") {
      this.#checkVote(message, term, state, delta);
    } else if (kind === "AppendEntries" || kind === "InstallSnapshot") {
      if (term < state.term && delta?.timer) {
        this.add(kind === "AppendEntries" ? "timer-for-old-leader" : "timer-for-old-snapshot", "leader in time",
          `${this.lane}, in term ${state.term}, let ${this.event.src}, which leads the old term ${term}, set its election timer anew`);
      }
      if (kind === "AppendEntries" && delta) this.#checkAppend(message, term, state, delta);
    }
    const reached = delta?.term ? delta.term[1] : state.term;
    const rules = this.event.r ?? [];
    const isHeard = !rules.some((rule) => DEAF.has(rule)) && (!FORWARDED.has(kind) || rules.length > 0);
    if (term > reached && !TERMLESS.has(kind) && isHeard) {
      this.add("newer-term-ignored", "leader in time", `${this.lane} heard of term ${term} and stayed in term ${reached}`);
    }
  }

  /** @param {Record<string, any>} message @param {number} term @param {ServerState} state @param {Delta | undefined} delta */
  #checkVote(message, term, state, delta) {
    const { event, lane } = this;
    const isGranted = delta?.vote?.[1] === event.src || (event.r ?? []).some((rule, at) => rule === "RV-2" && event.g?.[at]?.at(-1) === true);
    const theirs = { term: Number(message.last_log_term ?? 0), index: Number(message.last_log_index ?? 0) };
    const ours = { term: state.log.at(-1)?.[2] ?? state.base[1], index: lastIndex(state) };
    const isOlder = theirs.term < ours.term || (theirs.term === ours.term && theirs.index < ours.index);
    if (isGranted && term < state.term) {
      this.add("voted-in-older-term", "election safety",
        `${lane}, in term ${state.term} already, gave ${event.src} its vote for the older term ${term}`);
    } else if (isGranted && isOlder) {
      this.add("voted-for-older-log", "leader completeness",
        `${lane}, whose log ends at index ${ours.index} of term ${ours.term}, voted for ${event.src}, whose log ends at index ${theirs.index} of term ${theirs.term}`);
    } else if (!isGranted && delta?.timer && !delta.role && state.role === "follower") {
      this.add("timer-without-vote", "leader in time", `${lane} gave ${event.src} no vote, and set its election timer anew all the same`);
    }
  }

  /** @param {Record<string, any>} message @param {number} term @param {ServerState} state @param {Delta} delta */
  #checkAppend(message, term, state, delta) {
    const { lane } = this;
    const previous = Number(message.prev_log_index ?? 0);
    const previousTerm = Number(message.prev_log_term ?? 0);
    const hasAppended = Boolean(delta.log?.app?.length);
    if (hasAppended && term < state.term) {
      this.add("obeyed-old-leader", "log matching",
        `${lane}, in term ${state.term}, appended entries of ${this.event.src}, which leads the old term ${term}`);
    }
    const held = termAt(state, previous);
    if (hasAppended && previous > state.base[0] && held !== previousTerm) {
      this.add("appended-on-mismatch", "log matching",
        `${lane} appended entries that follow index ${previous} of term ${previousTerm}, where it holds ${inWords(held)}`);
    }
    const vouched = previous + (message.entries?.length ?? 0);
    if (delta.commit && delta.commit[1] > vouched && !delta.log?.base) {
      this.add("committed-unverified", "committed entries never change",
        `${lane} took index ${delta.commit[1]} for committed from a message that vouches only for its log up to index ${vouched}`);
    }
  }

  /** @param {ServerState} state @param {Delta} delta */
  #checkFalls(state, delta) {
    const { lane } = this;
    if (delta.term && delta.term[1] < state.term) {
      this.add("term-fell", "monotone term", `${lane} went back from term ${state.term} to term ${delta.term[1]}`);
    } else if (!delta.term && delta.vote && delta.vote[0] !== null) {
      const what = delta.vote[1] === null ? "forgot that" : `changed its vote to ${delta.vote[1]}`;
      const [, id] = this.votes.get(`${lane} ${state.term}`) ?? ["", ""];
      this.add(delta.vote[1] === null ? "forgot-vote" : "changed-vote", "one vote a term", `${lane} had voted for ${delta.vote[0]} in term ${state.term}, and ${what} within the term`, id);
    }
    if (delta.commit && delta.commit[1] < state.commit) {
      this.add("commit-fell", "monotone commit_index",
        `${lane} took everything up to ${state.commit} for committed, and then only up to ${delta.commit[1]}`);
    }
    if (delta.applied && delta.applied[1] < state.applied) {
      this.add("applied-fell", "monotone applied_index", `${lane} had applied up to ${state.applied}, and then stood at ${delta.applied[1]}`);
    }
    if (state.role !== "leader" || delta.role || (this.event.r ?? []).some((rule) => FORGIVEN.has(rule))) return;
    for (const [peer, [old, now]] of Object.entries(delta.match ?? {})) {
      if (old === null || now === null || now >= old) continue;
      this.add("match-fell", "monotone match_index", `${lane} knew that ${peer} holds its log up to ${old}, and then only up to ${now}`);
    }
  }

  /** Deleting entries: only on a real conflict, never what is committed, never by a leader.
   * @param {number} first @param {Record<string, any>} message @param {ServerState} state @param {Delta} delta */
  #checkCut(first, message, state, delta) {
    const { lane } = this;
    const row = (message.entries ?? []).find((/** @type {any[]} */ each) => Number(each[0]) === first);
    const held = termAt(state, first);
    if (first <= state.commit) {
      this.add("cut-committed", "committed entries never change",
        `${lane} deleted its log from index ${first} on, though it took everything up to ${state.commit} for committed`);
    } else if (state.role === "leader" && !delta.role) {
      this.add("leader-cut", "leader append-only", `${lane} deleted its log from index ${first} on while leading`);
    } else if (held !== undefined && row && Number(row[1]) === held) {
      this.add("cut-without-conflict", "nothing promised before it is durable",
        `${lane} deleted its log from index ${first} on, though its entry there has term ${held}, as the leader's`);
    }
  }
}

/** Where a run left the rules: each step is judged anew, as `diagram/audit.py` judges it; a test compares the two.
 * Of a running cluster the events are judged as they come (`judge.js`). */

import { Disks } from "oarlock/disks.js";
import { actsOf, Guards } from "oarlock/guards.js";
import { Known, Recent } from "oarlock/known.js";
import { areMajorities, votersOf } from "oarlock/majorities.js";
import { lastIndex, termAt } from "oarlock/state.js";
import { inWords, TERMLESS } from "oarlock/steps.js";

const DURABLE = "nothing promised before it is durable";
const ANSWERED_US = 100_000;
/** Deviations that are found; the first are what matters. */
export const MOST_FOUND = 50;
/** Requests to one server that wait for its answer, and are remembered. */
const MOST_UNANSWERED = 1024;
/** Committed entries that are taken from the first state that is seen of a server. */
const MOST_COMMITTED = 1000;

/** @param {import("oarlock/run.js").Run} run @param {Extras} extras @returns {import("oarlock/steps.js").Deviation[]} */
export function audit(run, extras, most = MOST_FOUND) {
  const known = new Known(run.header);
  const judge = new Audit(known, extras);
  for (const event of run.events) {
    if (judge.found.length >= most) break;
    known.take(event, [judge]);
  }
  return judge.found.slice(0, most);
}

export class Audit extends Guards {
  /** @param {Known} known @param {Extras} extras */
  constructor(known, extras) {
    super(known);
    this.extras = extras;
    this.disks = new Disks();
    /** The last crash of each server, and its place. @type {Map<string, [string, number]>} */
    this.crashed = new Map();
    /** By term: who leads it, and since which event. @type {Recent<number, [string, string]>} */
    this.leaders = new Recent();
    /** By index and term: the term before, the payload, and the event that wrote it first. @type {Recent<string, [number | undefined, any, string]>} */
    this.entries = new Recent();
    /** By index: the term, and the event by which it was first taken for committed. @type {Recent<number, [number, string]>} */
    this.committed = new Recent();
    /** The highest of them. */
    this.mostCommitted = 0;
    /** The highest index that any server applied, and the event; where clocks differ, by server. @type {Map<string, [number, string]>} */
    this.applied = new Map();
    /** By server, then by read: what had been applied when it was asked, by which event, the asking, and, of a leader, what was committed.
     * @type {Map<string, Recent<string, [number, string, string, number]>>} */
    this.asked = new Map();
    /** Servers that began anew with an empty disk, and are to forget: another disk is a fault, but nobody's step. @type {Set<string>} */
    this.emptied = new Set();
    /** By server: the requests of leaders that wait for its answer, with event and time, and how many came since.
     * @type {Map<string, Recent<string, [string, number, number]>>} */
    this.unanswered = new Map();
    /** Questions about disks that were told to be open. @type {Recent<string, true>} */
    this.doubted = new Recent(MOST_UNANSWERED);
    /** Servers of whose lives the end was not seen. @type {Set<string>} */
    this.endless = new Set();
  }

  /** @param {TraceEvent} event @param {string} lane @param {import("oarlock/sights.js").Seen} seen */
  lost(event, lane, seen) {
    this.event = event;
    this.lane = lane;
    this.forget(lane);
    this.asked.delete(lane);
    this.unanswered.delete(lane);
    if (seen === "cut" && this.disks.of(lane)) {
      this.endless.add(lane); // what its disk had for certain still counts
    } else {
      this.endless.delete(lane);
      this.disks.forget(lane);
      for (const key of [...this.votes.keys()]) if (key.startsWith(`${lane} `)) this.votes.delete(key);
    }
    if (event.k === "restart") this.crashed.set(lane, [event.id, this.known.count]);
  }

  /** @param {TraceEvent} event @param {string} lane @param {ServerState | undefined} state */
  before(event, lane, state) {
    this.event = event;
    this.lane = lane;
    if (state && event.k !== "viol") this.checkStep(event, state);
  }

  /** @param {TraceEvent} event @param {string} lane @param {ServerState | undefined} state */
  after(event, lane, state) {
    if (!state || event.k === "viol") return;
    const delta = event.w;
    const fields = event.x ?? {};
    if (event.k === "restart") {
      this.#checkMemory(state);
      this.unanswered.delete(lane);
    } else if (event.k === "crash") {
      this.crashed.set(lane, [event.id, this.known.count]);
    } else if (event.k === "recv") {
      this.#expectAnswer(event, state);
    } else if (event.k === "ready") {
      this.#checkReads(fields.reads ?? []);
    } else if (event.k === "send") {
      this.#checkPromise(event, state);
      this.unanswered.get(lane)?.delete(`${event.to} ${Number(fields.request_id ?? 0)}`);
    } else if (event.k === "client" && fields.op === "read") {
      if (!this.asked.has(lane)) this.asked.set(lane, new Recent());
      const applied = this.applied.get(this.#witness()) ?? [0, ""];
      this.asked.get(lane)?.set(String(fields.context), [...applied, event.id, state.role === "leader" ? state.commit : 0]);
    }
    this.#checkHanded(event);
    this.disks.follow(lane, event, state);
    if (delta?.log) this.#noteEntries(delta.log.app ?? [], state);
    if (event.s) this.#noteWhole(state);
    if (event.s || delta?.vote || delta?.term) this.#noteVote(state);
    if (delta) this.#noteChanges(state, delta);
  }

  /** @param {ServerState} state @param {Delta} delta */
  #noteChanges(state, delta) {
    if (delta.role?.[1] === "leader") this.#checkLeader(state);
    if (delta.commit) this.#checkCommit(delta.commit[0], delta.commit[1], state);
    if (delta.durable) this.#checkDurable(delta.durable[1] ?? 0, state);
    if (delta.match && state.role === "leader") {
      for (const [peer, [, now]] of Object.entries(delta.match)) this.#checkMatch(peer, now ?? 0, state);
    }
    const who = this.#witness();
    if (delta.applied && delta.applied[1] > (this.applied.get(who)?.[0] ?? 0)) this.applied.set(who, [delta.applied[1], this.event.id]);
  }

  /** Whose word counts for what came before what: where servers have clocks of their own, only the server's own. */
  #witness() {
    return this.known.isLive ? this.lane : "";
  }

  /** A whole state tells of what was before it. @param {ServerState} state */
  #noteWhole(state) {
    const { id } = this.event;
    if (state.role === "leader" && !this.leaders.has(state.term)) this.leaders.set(state.term, [this.lane, id]);
    for (let index = state.commit; index > Math.max(state.base[0], state.commit - MOST_COMMITTED); index--) {
      const term = termAt(state, index);
      if (this.committed.has(index)) break;
      if (term !== undefined) this.#noteCommitted(index, term);
    }
  }

  /** @param {number} index @param {number} term */
  #noteCommitted(index, term) {
    this.committed.set(index, [term, this.event.id]);
    this.mostCommitted = Math.max(this.mostCommitted, index);
  }

  /** What the state machine is given is on disk. @param {TraceEvent} event */
  #checkHanded(event) {
    const disk = this.disks.of(this.lane);
    for (const [rule, operands] of actsOf(event)) {
      if (rule !== "ALL-1" || !disk || Number(operands[1]) <= disk.last) continue;
      this.add("handed-before-disk", "applied only what is on disk",
        `${this.lane} handed entries up to ${operands[1]} to its state machine with its log up to ${disk.last} on its disk`);
    }
  }

  /** A leader's request is answered before two later ones are taken, the disk being idle, and time going by.
   * @param {TraceEvent} event @param {ServerState} state */
  #expectAnswer(event, state) {
    const message = this.message() ?? {};
    if (message.type !== "AppendEntries" || !(event.r ?? []).includes("F-1") || "error" in (event.x ?? {})) return;
    if (!this.unanswered.has(this.lane)) this.unanswered.set(this.lane, new Recent(MOST_UNANSWERED));
    const waiting = /** @type {Recent<string, [string, number, number]>} */ (this.unanswered.get(this.lane));
    const disk = this.disks.of(this.lane);
    for (const [place, [id, at, later]] of disk && !disk.writes.length ? [...waiting] : []) {
      if (!place.startsWith(`${event.src} `)) continue;
      waiting.set(place, [id, at, later + 1]);
      if (later < 2 || event.t - at <= ANSWERED_US) continue;
      waiting.delete(place);
      this.add("left-unanswered", "laggards catch up", `${this.lane} never answered what ${event.src} sent it in term ${state.term}`, id);
    }
    waiting.set(`${event.src} ${Number(message.request_id ?? 0)}`, [event.id, event.t, 0]);
  }

  /** @param {number} durable @param {ServerState} state */
  #checkDurable(durable, state) {
    const disk = this.disks.of(this.lane);
    if (!disk || this.event.k !== "advance" || durable <= Math.max(disk.last, state.base[0])) return;
    this.add("believed-durable", DURABLE, `${this.lane} took its log up to ${durable} for durable, of which its disk has only ${disk.last}`);
  }

  /** @override */
  isReady() {
    return this.disks.of(this.lane)?.writes.length === 0;
  }

  /** A server that begins a life remembers what was on its disk. @param {ServerState} state */
  #checkMemory(state) {
    const { lane } = this;
    const disk = this.disks.of(lane);
    const isEndless = this.endless.delete(lane);
    if (!disk) return;
    if (!state.term && state.vote === null && !lastIndex(state)) {
      this.emptied.add(lane);
      return;
    }
    const [crash] = this.crashed.get(lane) ?? [""];
    if (state.term < disk.term || (state.term === disk.term && disk.vote !== null && state.vote !== disk.vote)) {
      this.add("forgot-term", "durability",
        `${lane} had term ${disk.term} and a vote for ${disk.vote ?? "nobody"} on its disk, and began anew in term ${state.term} with ${state.vote ?? "none"}`, crash);
    }
    // The end of a log may have been deleted on the disk; terms and votes stay.
    if (isEndless && lastIndex(state) < disk.last) {
      this.doubt(`whether ${lane} has forgotten its log from ${lastIndex(state) + 1} on: what it did last before is not here`);
    } else if (lastIndex(state) < disk.last) {
      this.add("forgot-log", "durability",
        `${lane} had its log up to ${disk.last} on its disk, and began anew with one that ends at ${lastIndex(state)}`, crash);
    }
  }

  /** @param {ServerState} state */
  #noteVote(state) {
    if (state.vote === null) return;
    const { event, lane } = this;
    const key = `${lane} ${state.term}`;
    if (!this.votes.has(key)) this.votes.set(key, [state.vote, event.id, this.known.count]);
    const [whom, id, place] = this.votes.get(key) ?? ["", "", 0];
    if (whom === state.vote || !event.w?.vote) return;
    const told = `${lane} voted for ${whom} in term ${state.term}, and for ${state.vote} in the same term`;
    const [crash, crashPlace] = this.crashed.get(lane) ?? ["", 0];
    if (this.emptied.has(lane)) return;
    if (crash && crashPlace > place) {
      this.add("vote-forgotten", "one vote a term", `${told}: a crash between had it forget`, id, crash);
    } else if (event.w.term || event.w.vote[0] === null) {
      this.add("second-vote", "one vote a term", told, id);
    }
  }

  /** @param {ServerState} state */
  #checkLeader(state) {
    const { lane, event } = this;
    const { term } = state;
    if (!this.leaders.has(term)) this.leaders.set(term, [lane, event.id]);
    const [other, since] = this.leaders.get(term) ?? ["", ""];
    if (other !== lane) this.add("second-leader", "election safety", `${lane} leads term ${term}, which ${other} leads already`, since);
    this.#checkElected(term, state);
    for (let index = this.mostCommitted; index > state.base[0]; index--) {
      const [committed, id] = this.committed.get(index) ?? [Infinity, ""];
      if (committed > term || termAt(state, index) === committed) continue;
      this.add("leader-lacks", "leader completeness",
        `${lane} leads term ${term} and holds ${inWords(termAt(state, index))} at index ${index}, where an entry of term ${committed} is committed`, id);
      break;
    }
  }

  /** @param {number} term @param {ServerState} state */
  #checkElected(term, state) {
    const { lane } = this;
    const granted = this.#granted(term);
    if (areMajorities(state.conf, granted)) return;
    const unseen = votersOf(state.conf).filter((voter) => !granted.includes(voter) && !this.known.sights.isWholeSince(voter, term));
    if (areMajorities(state.conf, [...granted, ...unseen])) {
      this.doubt(`whether a majority elected ${lane} in term ${term}: not all that ${unseen.join(", ")} did in that term is here`);
      return;
    }
    this.add("no-majority-elected", "election safety", `${lane} leads term ${term} with the votes of ${granted.join(", ")} alone, which is no majority`);
  }

  /** Who gave the server its vote in its term, by what voters did; itself included. @param {number} term */
  #granted(term) {
    const found = new Set([this.lane]);
    for (const [key, [whom]] of this.votes) if (key.endsWith(` ${term}`) && whom === this.lane) found.add(key.split(" ")[0]);
    return [...found].sort();
  }

  /** @param {number} before @param {number} commit @param {ServerState} state */
  #checkCommit(before, commit, state) {
    const { lane } = this;
    for (let index = Math.max(before, state.base[0]) + 1; index <= commit; index++) {
      const here = termAt(state, index);
      if (here === undefined) continue;
      if (!this.committed.has(index)) this.#noteCommitted(index, here);
      const [there, id] = this.committed.get(index) ?? [0, ""];
      if (there === here) continue;
      this.add("committed-otherwise", "state machine safety",
        `${lane} took an entry of term ${here} for committed at index ${index}, where one of term ${there} is`, id);
      break;
    }
    const term = termAt(state, commit);
    if (state.role === "leader" && commit > before && term !== undefined) this.#checkCounted(commit, term, state);
  }

  /** A leader counts to a majority. @param {number} commit @param {number} term @param {ServerState} state */
  #checkCounted(commit, term, state) {
    const { lane, event } = this;
    if (term < state.term) {
      this.add("counted-older-term", "only the current term is committed",
        `${lane} committed index ${commit} by counting, an entry of term ${term}, while leading term ${state.term}`);
    }
    const voters = votersOf(state.conf);
    const unseen = voters.filter((voter) => !this.#isSeen(voter));
    const holding = voters.filter((voter) => unseen.includes(voter) || this.#holds(voter, commit, term));
    if (!areMajorities(state.conf, holding)) {
      this.add("no-majority-committed", "committed on a durable quorum",
        `${lane} committed index ${commit} when ${only(holding)} had it on disk`);
      return;
    }
    if (unseen.length && !areMajorities(state.conf, holding.filter((voter) => !unseen.includes(voter)))) {
      this.#doubtDisks(unseen, `a majority had on disk what ${lane} committed in term ${state.term}`);
    }
    const conf = event.w?.conf?.[0] ?? state.conf;
    const known = votersOf(conf).filter((voter) => (voter === lane ? state.durable : state.match?.[voter] ?? 0) >= commit);
    if (!areMajorities(conf, known)) {
      this.add("counted-no-majority", "committed on a durable quorum",
        `${lane} committed index ${commit} when it knew of ${only(known)} among the voters to hold it`);
    }
  }

  /** Once for each question and term. @param {string[]} servers @param {string} question */
  #doubtDisks(servers, question) {
    if (this.doubted.has(question)) return;
    this.doubted.set(question, true);
    this.doubt(`whether ${question}: what ${servers.join(", ")} had there is not known`);
  }

  /** Whether it is known what a server's disk holds. @param {string} server */
  #isSeen(server) {
    return Boolean(this.disks.of(server)) && this.known.sights.isWhole(server);
  }

  /** @param {string} voter @param {number} index @param {number} term */
  #holds(voter, index, term) {
    const state = this.known.states.get(voter);
    const disk = this.disks.of(voter);
    if (!state || !disk) return true;
    return index <= state.base[0] || (disk.last >= index && termAt(state, index) === term);
  }

  /** @param {string} peer @param {number} index @param {ServerState} state */
  #checkMatch(peer, index, state) {
    const theirs = this.known.states.get(peer);
    const disk = this.disks.of(peer);
    if (!theirs || !disk || !this.#isSeen(peer) || theirs.term !== state.term || index <= theirs.base[0]) return;
    const ours = termAt(state, index);
    const told = `${this.lane} counts on ${peer} to hold its log up to ${index}, `;
    if (disk.last < index) {
      this.add("match-too-high", "match_index is durable", `${told}of which ${peer}'s disk has only ${disk.last}`);
    } else if (ours !== undefined && termAt(theirs, index) !== ours) {
      this.add("match-of-other-entry", "match_index is durable", `${told}where ${peer} holds ${inWords(termAt(theirs, index))}`);
    }
  }

  /** @param {[number, number, number, string | null][]} rows @param {ServerState} state */
  #noteEntries(rows, state) {
    const { lane, event } = this;
    for (const [index, term, , shown] of rows) {
      const payload = shown ?? null;
      const before = termAt(state, index - 1);
      const key = `${index} ${term}`;
      if (!this.entries.has(key)) this.entries.set(key, [before, payload, event.id]);
      const there = /** @type {[number | undefined, any, string]} */ (this.entries.get(key));
      if (payload !== there[1]) {
        this.add("other-entry", "log matching", `${lane} holds another entry at index ${index} of term ${term} than was first written there`, there[2]);
      } else if (before !== undefined && there[0] !== undefined && before !== there[0]) {
        this.add("other-prefix", "log matching",
          `${lane} has ${inWords(before)} before index ${index} of term ${term}, where others have ${inWords(there[0])}`, there[2]);
      }
    }
  }

  /** Nothing leaves that depends on what is not on disk (P-1). @param {TraceEvent} event @param {ServerState} state */
  #checkPromise(event, state) {
    const { lane } = this;
    const disk = this.disks.of(lane);
    const fields = event.x ?? {};
    const kind = String(fields.type);
    if (!disk || !(kind in this.extras.messages) || kind === "AppendEntries" || kind === "PreVote" || !("term" in fields)) return;
    if (TERMLESS.has(kind) && fields.vote_granted) return;
    const term = Number(fields.term);
    const isAlone = state.conf.voters?.length === 1 && state.conf.voters[0] === lane;
    const whom = kind === "RequestVote" ? lane : fields.vote_granted ? event.to : undefined;
    const match = kind === "AppendEntriesReply" && fields.success ? Number(fields.match_index ?? 0) : 0;
    if (disk.term < term && !isAlone) {
      this.add("term-before-disk", DURABLE, `${lane} sent ${event.to} a message of term ${term} with term ${disk.term} on its disk`);
    } else if (whom !== undefined && disk.term === term && disk.vote !== whom && !isAlone) {
      this.add("vote-before-disk", DURABLE, `${lane} told ${event.to} of its vote for ${whom} with ${disk.vote ?? "no vote"} on its disk`);
    }
    if (term < state.term) return; // it says what was true in that term
    if (match > Math.max(disk.last, state.base[0])) {
      this.add("acknowledged-before-disk", DURABLE, `${lane} acknowledged index ${match} to ${event.to} with its log up to ${disk.last} on its disk`);
    } else if (match) {
      this.#checkAgreement(event.to ?? "", match, term, state);
    }
  }

  /** What is acknowledged is what the leader has. @param {string} leader @param {number} match @param {number} term @param {ServerState} state */
  #checkAgreement(leader, match, term, state) {
    const theirs = this.known.states.get(leader);
    if (!theirs || theirs.role !== "leader" || theirs.term !== term || state.term !== term) return;
    const wanted = termAt(theirs, match);
    const held = termAt(state, match);
    if (wanted === undefined || match <= state.base[0] || held === wanted) return;
    this.add("agreed-wrongly", "log matching",
      `${this.lane} acknowledged index ${match}, where it holds ${inWords(held)} and its leader ${leader} ${inWords(wanted)}`);
  }

  /** @param {[string | number, number | null][]} reads */
  #checkReads(reads) {
    for (const [context, index] of reads) {
      const asked = this.asked.get(this.lane)?.get(String(context));
      this.asked.get(this.lane)?.delete(String(context));
      if (!asked || index === null || Number(index) >= asked[0]) continue;
      this.add(Number(index) < asked[3] ? "read-behind-commit" : "stale-read", "reads are linearizable",
        `${this.lane} answered a read as of index ${index}; when it was asked, ${asked[0]} was applied already`, asked[2], asked[1]);
    }
  }
}

/** @param {string[]} servers */
function only(servers) {
  return servers.length ? `only ${servers.join(", ")}` : "nobody";
}

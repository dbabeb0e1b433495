/** The rules that acted in a step, each judged anew, as `diagram/guards.py` judges them. */

import { Recent } from "oarlock/known.js";
import { lastIndex, termAt } from "oarlock/state.js";
import { inWords, Steps } from "oarlock/steps.js";

const LEADER = "leader in time";
const LAGGARDS = "laggards catch up";
const ASLEEP = ["F-2", "C-4", "PV-1", "MC-8", "NS-1"];
const NUMBERED = ["AppendEntries", "RequestVote", "PreVote"];
/** Snapshots of one server of which parts are remembered. */
const MOST_PARTS = 64;
const FIRST = ["RV-2", "F-1", "AE-4", "AE-5", "IS-2", "IS-3"];
const REFUSALS = /** @type {Record<string, string>} */ ({ AppendEntries: "AE-1", InstallSnapshot: "IS-1", RequestVote: "RV-1" });

/** @typedef {Map<string, any[]>} Acts Rules that acted, with the operands of the last time. */

/** @param {TraceEvent} event @returns {[string, any[]][]} */
export function actsOf(event) {
  return (event.r ?? []).map((rule, at) => [rule, event.g?.[at] ?? []]);
}

export class Guards extends Steps {
  /** @param {import("oarlock/known.js").Known} known */
  constructor(known) {
    super(known);
    /** By receiver, then by snapshot: whether more is to come after the part received last, and that part's offset.
     * @type {Map<string, Recent<number, [boolean, number]>>} */
    this.chunks = new Map();
    /** By leader, then by follower and snapshot: the offset that the follower asked for last. @type {Map<string, Recent<string, number>>} */
    this.askedFor = new Map();
    /** By server: the highest id of a request of this life to others. @type {Map<string, number>} */
    this.newest = new Map();
  }

  /** @override @param {TraceEvent} event @param {ServerState} state @param {Record<string, any>} message */
  checkGuards(event, state, message) {
    const delta = event.w ?? {};
    const acts = new Map(actsOf(event));
    const kind = String(message.type ?? "");
    if (event.k === "restart") this.newest.delete(this.lane);
    if (acts.has("IS-0") || delta.role) this.askedFor.delete(this.lane); // it begins again
    if (event.k === "recv" && !kind) {
      // It may have been a part of a snapshot, or have asked for one.
      this.chunks.delete(this.lane);
      this.askedFor.delete(this.lane);
    }
    if (kind === "InstallSnapshot" || kind === "InstallSnapshotReply") this.#checkChunk(event, message);
    else if (event.k === "send" && event.x?.type === "InstallSnapshot") this.#checkChunk(event, event.x);
    if (kind in REFUSALS) this.#checkRefusal(kind, Number(message.term ?? 0), acts, state);
    if (kind === "InstallSnapshot" && acts.has("F-1") && !acts.has("IS-3") && !acts.has("IS-5")) {
      this.add("ignored-snapshot", LAGGARDS, `${this.lane}, committed up to ${state.commit}, did not take ${event.src}'s snapshot up to ${message.metadata[0]}`);
    }
    if (kind === "AppendEntries" && acts.has("F-1")) this.#checkTaking(message, acts, state, delta);
    if (acts.has("RV-2") || acts.has("PV-2")) {
      if (kind) this.#checkVoter(message, acts, state);
      else this.doubt(`whether ${this.lane} answered ${event.src} rightly: what ${event.src} had asked is not here`);
    }
    if (kind === "AppendEntriesReply" || kind === "PreVoteReply") this.#checkReply(message, acts, state, delta);
    if (acts.has("C-1")) this.#checkCampaign(event, acts, state, delta);
    if (delta.term && !acts.has("C-1")) this.#checkAdoption(event, state, delta);
    this.#checkEnds(event, acts, state, delta);
    this.#checkReading(event, acts, state, delta);
  }

  /** Only what is of an older term may be refused for its term. @param {string} kind @param {number} term @param {Acts} acts @param {ServerState} state */
  #checkRefusal(kind, term, acts, state) {
    if (!acts.has(REFUSALS[kind]) || term < state.term) return;
    const told = `${this.lane}, ${state.role} of term ${state.term}, refused a message of ${this.event.src} as outdated, `;
    if (kind !== "RequestVote" && state.role !== "follower") this.add("did-not-follow", LEADER, `${told}which leads term ${term}: it had to follow`);
    else this.add("refused-current-term", LEADER, `${told}whose term is ${term}`);
  }

  /** AppendEntries of a leader that is current: what it follows must match, or be refused; the rest be taken.
   * @param {Record<string, any>} message @param {Acts} acts @param {ServerState} state @param {Delta} delta */
  #checkTaking(message, acts, state, delta) {
    const { lane, event } = this;
    const previous = Number(message.prev_log_index ?? 0);
    const previousTerm = Number(message.prev_log_term ?? 0);
    const held = termAt(state, previous);
    const rows = /** @type {any[][]} */ (message.entries ?? []);
    const after = `entries that follow index ${previous} of term ${previousTerm}`;
    if (acts.has("AE-2")) {
      if (previous < state.base[0]) {
        this.add("refused-below-base", LAGGARDS, `${lane} refused ${after}, though its snapshot up to ${state.base[0]} covers that`);
      } else if (held === previousTerm) {
        this.add("refused-matching", LAGGARDS, `${lane} refused ${after}, which is what it holds there`);
      }
      return;
    }
    if (previous >= state.base[0] && held !== previousTerm && !delta.log?.app?.length) {
      this.add("agreed-on-mismatch", "log matching", `${lane} agreed to a message of ${event.src} about ${after}, where it holds ${inWords(held)}`);
    }
    const owed = Math.min(Number(message.leader_commit ?? 0), previous + rows.length);
    const commit = delta.commit ? delta.commit[1] : state.commit;
    const hasFailed = "error" in (event.x ?? {});
    if (commit < owed && !hasFailed) {
      this.add("commit-not-raised", "followers apply promptly",
        `${lane} heard from ${event.src} that its log up to ${owed} is committed, and took only ${commit} for it`);
    }
    const first = Number(acts.get("AE-4")?.[0]);
    if (acts.has("AE-4") && !acts.has("AE-3")) {
      const sent = rows.find((row) => Number(row[0]) === first);
      if (sent && termAt(state, first) === Number(sent[1])) {
        this.add("rewrote-held", "log matching",
          `${lane} wrote its log anew from index ${first} on, though it held that entry of term ${sent[1]} already: what followed it is lost`);
      }
    }
    if (acts.has("AE-3") || hasFailed) return;
    for (const [index, term] of rows.map((row) => row.map(Number))) {
      const there = termAt(state, index);
      if (index <= state.base[0] || there === undefined || there === term) continue;
      this.add("kept-conflict", "log matching", `${lane} kept ${inWords(there)} at index ${index}, where its leader ${event.src} sent one of term ${term}`);
      break;
    }
  }

  /** Votes and pre-votes: by the own log as it is, and not refused without a reason.
   * @param {Record<string, any>} message @param {Acts} acts @param {ServerState} state */
  #checkVoter(message, acts, state) {
    const { lane } = this;
    const source = this.event.src ?? "";
    const ours = [state.log.at(-1)?.[2] ?? state.base[1], lastIndex(state)];
    const theirs = [Number(message.last_log_term ?? 0), Number(message.last_log_index ?? 0)];
    const isPre = acts.has("PV-2");
    const operands = acts.get(isPre ? "PV-2" : "RV-2") ?? [];
    if (operands.length < (isPre ? 6 : 4)) return;
    const judged = operands[isPre ? 3 : 2];
    const logs = `whose log ends at index ${theirs[1]} of term ${theirs[0]}`;
    if (compare(judged, ours) !== 0) {
      this.add("misread-own-log", "leader completeness",
        `${lane} compared ${source}'s log with one that ends at index ${judged[1]} of term ${judged[0]}, but its own ends at index ${ours[1]} of term ${ours[0]}`);
    } else if (isPre) {
      this.#checkPreVote(operands, theirs, ours, logs, state);
    } else if (!operands.at(-1) && compare(theirs, ours) >= 0 && (acts.has("ALL-2") || state.vote === null || state.vote === source)) {
      if (operands[0] === null || operands[0] === source) {
        this.add("refused-vote", LEADER, `${lane} refused its vote to ${source}, ${logs}, though its own log is no longer and its vote was free`);
      } else {
        this.add("vote-outlived-term", LEADER,
          `${lane}, which has just learnt of term ${message.term}, refused its vote for the sake of the one for ${operands[0]} in term ${state.term}`);
      }
    }
  }

  /** @param {any[]} operands @param {number[]} theirs @param {number[]} ours @param {string} logs @param {ServerState} state */
  #checkPreVote(operands, theirs, ours, logs, state) {
    const { lane } = this;
    const source = this.event.src;
    const term = Number(operands[1]);
    const isGranted = Boolean(operands[5]);
    const isHeard = Boolean(operands[4]) && source !== state.leader;
    const isOlder = compare(theirs, ours) < 0;
    if (isGranted && isOlder) {
      this.add("pre-voted-for-older-log", "leader completeness",
        `${lane}, whose log ends at index ${ours[1]} of term ${ours[0]}, would vote for ${source}, ${logs}`);
    } else if (isGranted && term <= state.term) {
      this.add("pre-voted-in-older-term", "who cannot win raises no term",
        `${lane}, in term ${state.term}, would vote for ${source} in term ${term}, which has begun already`);
    } else if (isGranted && isHeard) {
      this.add("pre-voted-against-leader", "a leader is not deposed without need", `${lane} would vote for ${source}, though it hears its leader ${state.leader}`);
    } else if (!isGranted && !isOlder && term > state.term && !isHeard) {
      this.add("refused-pre-vote", LEADER, `${lane} would not vote for ${source} in term ${term}, ${logs}, though nothing speaks against it`);
    }
  }

  /** What a leader concludes from a reply, and what a server learns from one that refuses.
   * @param {Record<string, any>} message @param {Acts} acts @param {ServerState} state @param {Delta} delta */
  #checkReply(message, acts, state, delta) {
    const { lane } = this;
    const source = this.event.src ?? "";
    const term = Number(message.term ?? 0);
    if (message.type === "PreVoteReply") {
      const reached = delta.term ? delta.term[1] : state.term;
      if (term > reached && !message.vote_granted) {
        this.add("refusal-taught-nothing", LEADER, `${lane} heard of term ${term} in ${source}'s refusal and stayed in term ${reached}`);
      }
      return;
    }
    const [old, now] = delta.match?.[source] ?? [null, null];
    const said = Number(message.match_index ?? 0);
    if (acts.has("L-3a") && now !== null && now > Math.max(said, old ?? 0)) {
      this.add("match-beyond-reply", "match_index is durable", `${lane} took ${source} to hold its log up to ${now}, of whom it heard only ${said}`);
    }
    if (!acts.has("L-3b") || delta.role) return;
    const following = (delta.next?.[source] ?? [null, state.next?.[source] ?? null])[1];
    const refused = Number(message.prev_log_index ?? 0);
    if (following !== null && following > Math.max(refused, (state.match?.[source] ?? 0) + 1)) {
      this.add("did-not-step-back", LAGGARDS, `${lane} was refused by ${source} at index ${refused}, and goes on from ${following} all the same`);
    }
  }

  /** A campaign has four parts: a new term, a vote for oneself, a new timeout, and all are asked.
   * @param {TraceEvent} event @param {Acts} acts @param {ServerState} state @param {Delta} delta */
  #checkCampaign(event, acts, state, delta) {
    const { lane } = this;
    const before = !delta.term || !acts.has("ALL-2") ? state.term : Number(acts.get("C-1")?.[0]);
    if (state.role === "leader" && !acts.has("ALL-2")) this.add("campaigned-as-leader", "election safety", `${lane} campaigned, though it leads term ${state.term}`);
    const term = delta.term ? delta.term[1] : state.term;
    if (term <= before) {
      this.add("campaigned-in-old-term", "election safety", `${lane} campaigned in term ${term}, which had begun before: its new term had to be ${before + 1}`);
    }
    const vote = delta.vote ? delta.vote[1] : state.vote;
    if (vote !== lane) this.add("no-own-vote", "one vote a term", `${lane} campaigned without voting for itself`);
    if (delta.role?.[1] === "leader") return;
    if (!delta.timer) this.add("timer-not-reset", LEADER, `${lane} campaigned without setting its election timer anew`);
    const asked = actsOf(event).filter(([rule]) => rule === "C-1d").map(([, operands]) => String(operands[0]));
    const others = new Set([...(state.conf.voters ?? []), ...(state.conf.outgoing ?? [])]);
    const missing = [...others].filter((voter) => voter !== lane && !asked.includes(voter)).sort();
    if (missing.length) this.add("asked-too-few", LEADER, `${lane} campaigned, and did not ask ${missing.join(", ")} for a vote`);
  }

  /** A newer term comes before everything else in its message, and without a vote.
   * @param {TraceEvent} event @param {ServerState} state @param {Delta} delta */
  #checkAdoption(event, state, delta) {
    const { lane } = this;
    const rules = event.r ?? [];
    const term = delta.term?.[1];
    if (event.k === "recv" && rules.includes("ALL-2")) {
      const early = rules.slice(0, rules.indexOf("ALL-2")).filter((rule) => FIRST.includes(rule));
      if (early.length) {
        this.add("adopted-late", "election safety",
          `${lane} acted upon a message of term ${term} (${early.join(", ")}) while still in term ${state.term}`);
      }
    }
    if (state.vote !== null && !delta.vote && !rules.includes("RV-2") && !rules.includes("C-1b")) {
      this.add("vote-outlived-term", LEADER, `${lane} came to term ${term} and kept its vote for ${state.vote}, which it gave in term ${state.term}`);
    }
  }

  /** What is handed to the machine, deadlines, snapshots and changes of members.
   * @param {TraceEvent} event @param {Acts} acts @param {ServerState} state @param {Delta} delta */
  #checkEnds(event, acts, state, delta) {
    const { lane } = this;
    const handed = acts.get("ALL-1");
    if (handed && Number(handed[0]) !== state.handed + 1) {
      this.add("handed-out-of-order", "applied in order, once",
        `${lane} handed entries from index ${handed[0]} on to its state machine, which had all up to ${state.handed}`);
    } else if (handed && (delta.handed ? delta.handed[1] : state.handed) !== Number(handed[1])) {
      this.add("handed-unnoted", "applied in order, once", `${lane} handed entries up to ${handed[1]} to its state machine, and forgot that it has`);
    }
    const next = acts.get("VL-1");
    if (next && Number(next[0]) !== lastIndex(state) + 1) {
      this.add("next-elsewhere", LAGGARDS, `${lane}, newly elected, would send from index ${next[0]} on, though its log ends at ${lastIndex(state)}`);
    }
    if (acts.has("MC-6") && !delta.log?.app?.length && !acts.has("MC-7")) {
      this.add("joint-not-left", "changes of members end", `${lane} saw the joint configuration committed, and appended none to leave it`);
    }
    const isDue = event.k === "timer" && state.role !== "leader" && state.timer !== null && event.t >= state.timer;
    if (isDue && delta.timer && !(event.r ?? []).some((rule) => ASLEEP.includes(rule)) && this.isReady()) {
      this.add(state.role === "candidate" ? "slept-as-candidate" : "slept-on", LEADER, `${lane}, ${state.role} of term ${state.term}, let its election timeout pass without campaigning`);
    }
    this.#checkSnapshot(acts, state, delta);
  }

  /** @param {Acts} acts @param {ServerState} state @param {Delta} delta */
  #checkSnapshot(acts, state, delta) {
    const { lane, event } = this;
    if (delta.log?.base) {
      const [index, term] = delta.log.base;
      const held = termAt(state, index);
      if (acts.has("IS-7") && held === term) {
        this.add("dropped-agreeing-log", "durability",
          `${lane} discarded its log for a snapshot up to ${index}, whose last entry it held: what followed it is lost`);
      } else if (acts.has("IS-6") && held !== term) {
        this.add("kept-another-history", "log matching", `${lane} kept its log after a snapshot up to ${index} of term ${term}, where it held ${inWords(held)}`);
      }
    }
    const taken = acts.get("IS-2");
    if (taken && Number(taken[0]) <= state.commit) {
      this.add("took-older-snapshot", "monotone applied_index", `${lane}, committed up to ${state.commit}, took a snapshot that ends at ${taken[0]}`);
    }
    const [isMore, offset] = this.chunks.get(lane)?.get(Number(event.x?.index ?? 0)) ?? [false, 0];
    if (acts.has("IS-8") && event.k === "snapshot" && isMore) {
      this.add("installed-in-part", "a snapshot is whole when it is installed",
        `${lane} installed a snapshot of which it has only what begins at offset ${offset}: more was to come`);
    }
  }

  /** Reads: who may take them, from when on, and what confirms them.
   * @param {TraceEvent} event @param {Acts} acts @param {ServerState} state @param {Delta} delta */
  #checkReading(event, acts, state, delta) {
    const { lane } = this;
    const name = "reads are linearizable";
    const fields = event.x ?? {};
    const sent = event.k === "send" ? String(fields.type ?? "") : "";
    if (sent === "ReadIndexReply" && state.role !== "leader" && Number(fields.term ?? 0) === state.term) {
      if (Number(fields.read_index ?? 0)) {
        this.add("answered-read-as-follower", name,
          `${lane}, ${state.role} of term ${state.term}, told ${event.to} to read at ${fields.read_index}: only a leader can know`);
      }
    } else if (NUMBERED.includes(sent)) {
      this.newest.set(lane, Math.max(this.newest.get(lane) ?? 0, Number(fields.request_id ?? 0)));
    }
    if (event.k === "client" && fields.op === "read" && state.role !== "leader" && !acts.has("CL-Q1")) {
      this.add("read-where-it-is", name, `${lane}, ${state.role} of term ${state.term}, took a read without asking its leader`);
    }
    const term = delta.term ? delta.term[1] : state.term;
    const index = acts.get("CL-Q3")?.[0];
    if (index !== undefined && termAt(state, Number(index)) !== term) {
      this.add("read-before-own-entry", name, `${lane} took ${index} for a read's index, before it had committed anything in its term ${term}`);
    }
    const confirming = acts.get("RI-2");
    if (confirming && Number(confirming[0]) <= (this.newest.get(lane) ?? 0)) {
      this.add("confirmed-by-older", name, `${lane} lets answers confirm a read whose requests it had sent before the read came`);
    }
    const lease = acts.get("LS-1");
    if (lease && (lease[1] === null || lease[0] >= lease[1])) this.add("read-without-lease", name, `${lane} answered a read by a lease that it does not hold`);
    const run = acts.get("CL-Q5");
    if (run && Number(run[0]) > Number(run[1])) {
      this.add("read-before-applied", name, `${lane} let a read run at ${run[0]}, having applied only up to ${run[1]}`);
    }
  }

  /** Parts of snapshots, sent and received: each where the receiver asked for it. @param {TraceEvent} event @param {Record<string, any>} message */
  #checkChunk(event, message) {
    const { lane } = this;
    const offset = Number(message.offset ?? 0);
    if (message.type === "InstallSnapshot") {
      const index = Number(message.metadata[0]);
      const asked = this.askedFor.get(lane)?.get(`${event.to} ${index}`) ?? 0;
      if (event.k === "recv") {
        if (!this.chunks.has(lane)) this.chunks.set(lane, new Recent(MOST_PARTS));
        this.chunks.get(lane)?.set(index, [!message.done, offset]);
      } else if (offset < asked) {
        this.add("sent-old-part", LAGGARDS,
          `${lane} sent ${event.to} the part of its snapshot at offset ${offset}, though ${event.to} has that and asked for the one at ${asked}`);
      }
    } else if (event.k === "recv" && !(event.r ?? []).includes("RS-1") && !message.done) {
      if (!this.askedFor.has(lane)) this.askedFor.set(lane, new Recent(MOST_PARTS));
      this.askedFor.get(lane)?.set(`${event.src} ${Number(message.last_included_index ?? 0)}`, Number(message.next_offset ?? 0));
    }
  }

  /** Events of a server are missing: what it did since is not known. @param {string} lane */
  forget(lane) {
    this.chunks.delete(lane);
    this.askedFor.delete(lane);
    this.newest.delete(lane);
  }

  /** Whether nothing keeps the server from campaigning that a trace tells of. @returns {boolean} */
  isReady() {
    return true;
  }
}

/** Which of two logs ends later: by term, then by index. @param {number[]} one @param {number[]} other */
function compare(one, other) {
  return one[0] - other[0] || one[1] - other[1];
}

/** Why did this happen? The chain of what was read, as `oarlock.trace.provenance` follows it; a test compares the two. */

import { laneOf, readsOf, sentId } from "oarlock/ids.js";

/** @typedef {{variable: string, id: string}} Because One reason: what was read, and the event that last wrote it. */
/** @typedef {{event: TraceEvent, rules: string[], because: Because[], depth: number}} Step */
/** @typedef {{server: string, variable: string, id: string, sentence: string}} Collapsed */
/** @typedef {{steps: Step[], collapsed: Collapsed[], unresolved: Because[], truncated: boolean}} Explanation */
/** @typedef {{variable?: string, fields?: string[], rules?: string[], peer?: string, entry?: number}} Want
 * `entry` is the index of the one asked about; 0 for all. */

/** @param {import("oarlock/run.js").Run} run @param {Extras} extras @param {string} id @param {string} variable
 * @returns {Explanation} */
export function why(run, extras, id, variable = "", most = 2000) {
  return new Search(run, extras, most).answer(id, variable);
}

class Search {
  /** @param {import("oarlock/run.js").Run} run @param {Extras} extras @param {number} most */
  constructor(run, extras, most) {
    this.run = run;
    this.extras = extras;
    this.most = most;
    this.perServer = new Set(extras.perServer);
    /** @type {Map<string, Step>} */
    this.steps = new Map();
    /** @type {Map<string, Collapsed>} */
    this.collapsed = new Map();
    /** @type {Map<string, Because>} */
    this.unresolved = new Map();
    this.done = new Set();
    /** @type {{id: string, want: Want, depth: number}[]} */
    this.queue = [];
    this.term = 0;
  }

  /** Follow reasons breadth-first. @param {string} id @param {string} variable @returns {Explanation} */
  answer(id, variable) {
    this.term = this.#termAt(this.run.position(id));
    this.queue.push({ id: sentId(id), want: { variable }, depth: 0 });
    let truncated = false;
    for (let at = 0; at < this.queue.length; at++) {
      const { id: next, want, depth } = this.queue[at];
      const key = JSON.stringify([next, want.variable ?? "", want.fields ?? [], want.rules ?? [], want.peer ?? "", want.entry ?? 0]);
      if (this.done.has(key)) continue;
      this.done.add(key);
      const event = this.run.find(next);
      if (!event) continue;
      if (!this.steps.has(event.id) && this.steps.size >= this.most) {
        truncated = true;
        continue;
      }
      let step = this.steps.get(event.id);
      if (!step) this.steps.set(event.id, (step = { event, rules: [], because: [], depth }));
      if (event.k === "send") this.#ofMessage(step, want);
      else this.#ofEvent(step, want);
    }
    return {
      steps: [...this.steps.values()], collapsed: [...this.collapsed.values()],
      unresolved: [...this.unresolved.values()], truncated,
    };
  }

  /** @param {Step} step @param {string} variable @param {string} id @param {Want} want */
  #follow(step, variable, id, want) {
    if (id === step.event.id) return;
    if (!step.because.some((each) => each.variable === variable && each.id === id)) step.because.push({ variable, id });
    const head = headOf(variable);
    const sentence = this.extras.inductive[head] || (step.depth ? this.#superseded(head, id) : "");
    if (sentence) {
      const server = laneOf(step.event.id);
      const key = `${server} ${head}`;
      if (!this.collapsed.has(key)) this.collapsed.set(key, { server, variable, id, sentence });
      return;
    }
    if (!this.run.find(id)) {
      this.unresolved.set(`${variable} ${id}`, { variable, id });
      return;
    }
    this.queue.push({ id: sentId(id), want, depth: step.depth + 1 });
  }

  /** The term in which an event's server was after it. @param {number} position */
  #termAt(position) {
    const lane = this.run.lane.data[position];
    for (let at = position; at >= 0; at = this.run.alongLane(lane, at, -1)) {
      const term = termWritten(this.run.events[at]);
      if (term >= 0) return term;
    }
    return 0;
  }

  /** Why a read of what was before needs no explanation here; empty if it does. @param {string} head @param {string} id */
  #superseded(head, id) {
    if (head === "term" && termWritten(this.run.find(id)) >= this.term) return "";
    return this.extras.superseded[head] ?? "";
  }

  /** What the fields asked about were copied from, what decided the message, what had to be durable.
   * @param {Step} step @param {Want} want */
  #ofMessage(step, want) {
    const event = step.event;
    const flow = this.extras.messages[event.x?.type ?? ""];
    const fields = want.fields?.length ? want.fields : Object.keys(flow?.fields ?? {});
    const heads = new Set(fields.flatMap((field) => (flow?.fields[field] ?? []).map(headOf)));
    if (!this.extras.claimless.includes(event.x?.type)) heads.add("disk");
    const reads = Object.entries(readsOf(event));
    const entry = entryOf(reads.map(([variable]) => variable), want.entry ?? 0);
    for (const [variable, writer] of reads) {
      const isBesides = variable.startsWith("log.") && variable !== entry;
      if (heads.has(headOf(variable)) && !isBesides) this.#follow(step, variable, writer, { variable });
    }
    if (event.by) this.#follow(step, "decided", event.by, { rules: flow?.rules ?? [], peer: event.to, entry: want.entry });
  }

  /** @param {Step} step @param {Want} want */
  #ofEvent(step, want) {
    const event = step.event;
    const rules = event.r ?? [];
    const chosen = this.#chosen(event, want);
    step.rules = rules.filter((rule, at) => chosen.has(at) || step.rules.includes(rule));
    if (!rules.length || !chosen.size) return this.#ofRuleless(step, want);
    const reads = readsOf(event);
    /** @type {Set<string>} */
    const fields = new Set();
    for (const at of [...chosen].sort((a, b) => a - b)) {
      for (const read of this.extras.rules[rules[at]]?.reads ?? []) {
        if (read.startsWith("m.")) {
          fields.add(read.slice(2));
          continue;
        }
        for (const variable of named(read, event.g?.[at] ?? [], reads)) {
          if (want.entry && variable.startsWith("log.")) continue; // the message itself says whose entries it took
          this.#follow(step, variable, reads[variable], { variable });
        }
      }
    }
    const asked = headOf(want.variable ?? "") === "log" ? Number((want.variable ?? "").slice(4)) : 0;
    if (fields.size && event.m) this.#follow(step, "message", event.m, { fields: [...fields], entry: asked });
    for (const variable of ["disk", "forward"]) {
      const writer = reads[variable];
      if (writer && (event.k === "advance" || event.k === "client")) this.#follow(step, variable, writer, {});
    }
  }

  /** An event without a rule that matters: all it read may matter. @param {Step} step @param {Want} want */
  #ofRuleless(step, want) {
    const event = step.event;
    if (event.k === "fsync") return;
    for (const [variable, writer] of Object.entries(readsOf(event))) {
      if (event.k !== "restart" || variable === want.variable) this.#follow(step, variable, writer, { variable });
    }
    if (event.m && !want.rules?.length) this.#follow(step, "message", event.m, {});
  }

  /** The rules that matter: those up to the last that wrote what is asked about. @param {TraceEvent} event @param {Want} want */
  #chosen(event, want) {
    const rules = event.r ?? [];
    const all = rules.map((_, at) => at);
    if (want.rules?.length) {
      return new Set(all.filter((at) => want.rules?.includes(rules[at]) && !this.#isOfAnother(event, at, want.peer ?? "")));
    }
    if (!want.variable) return new Set(all);
    const head = headOf(want.variable);
    const peer = this.perServer.has(head) ? want.variable.slice(head.length + 1) : "";
    const wrote = all.filter((at) => this.extras.rules[rules[at]]?.writes.includes(head) && !this.#isOfAnother(event, at, peer));
    if (!wrote.length) return new Set(event.k === "advance" && (head === "durable" || head === "disk") ? [] : all);
    return new Set(all.filter((at) => at <= wrote[wrote.length - 1] && !this.#isOfAnother(event, at, peer)));
  }

  /** Whether a rule acted for another server than the one asked about.
   * @param {TraceEvent} event @param {number} at @param {string} peer */
  #isOfAnother(event, at, peer) {
    const operands = event.g?.[at] ?? [];
    if (!peer || !operands.length) return false;
    const first = this.extras.rules[event.r?.[at] ?? ""]?.operands[0];
    return ["peer", "source", "to"].includes(first) && operands[0] !== peer;
  }
}

/** The term that an event left behind; -1 if it did not touch it. @param {TraceEvent | undefined} event */
function termWritten(event) {
  if (event?.s) return event.s.term ?? 0;
  return event?.w?.term ? event.w.term[1] : -1;
}

/** Which of the runs of entries that a message carried holds the one asked about; the last if none is.
 * @param {string[]} variables @param {number} index */
function entryOf(variables, index) {
  const firsts = variables.filter((each) => each.startsWith("log.")).map((each) => Number(each.slice(4))).sort((a, b) => a - b);
  const held = firsts.filter((first) => !index || first <= index);
  return held.length ? `log.${held[held.length - 1]}` : "";
}

/** The part of a variable before its dot. @param {string} variable */
export function headOf(variable) {
  const dot = variable.indexOf(".");
  return dot < 0 ? variable : variable.slice(0, dot);
}

/** The variables that a pattern stands for, of those that were read.
 * @param {string} read @param {any[]} operands @param {Record<string, string>} reads */
function named(read, operands, reads) {
  const dot = read.indexOf(".");
  if (dot < 0) return read in reads ? [read] : [];
  const [head, rest] = [read.slice(0, dot), read.slice(dot + 1)];
  if (rest === "*") return Object.keys(reads).filter((variable) => variable.startsWith(`${head}.`));
  const position = Number(rest.slice(1, rest.indexOf("}")));
  if (position >= operands.length) return [];
  const operand = rest.endsWith("-1") && typeof operands[position] === "number" ? operands[position] - 1 : operands[position];
  const variable = `${head}.${operand}`;
  return variable in reads ? [variable] : [];
}

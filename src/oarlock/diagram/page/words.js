/** Events as sentences, in the words of `diagram/sentences.py`; a test compares the two. */

import { laneOf } from "oarlock/ids.js";
import { WORLD } from "oarlock/run.js";

const PART = /\{(\w+)\?((?:[^{}|]|\{\w+\})*)\|((?:[^{}|]|\{\w+\})*)\}|\{(\w+)\}/g;

/** A template with its operands. @param {string} template @param {Record<string, any>} operands @returns {string} */
export function fill(template, operands) {
  return template.replace(PART, (_, asked, yes, no, name) => {
    if (name !== undefined) return name in operands ? shown(operands[name]) : "?";
    return fill(isTrue(operands[asked]) ? yes : no, operands);
  });
}

/** True as in Python. @param {any} value */
function isTrue(value) {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

/** A value as people read it. @param {any} value @returns {string} */
export function shown(value) {
  if (value === null || value === undefined) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number" && !Number.isInteger(value)) return value.toFixed(3);
  if (Array.isArray(value)) return `(${value.map(shown).join(", ")})`;
  return String(value);
}

/** What a server did by a rule, without the subject. @param {Extras} extras @param {string} rule @param {any[]} operands */
export function ruleSentence(extras, rule, operands) {
  const known = extras.rules[rule];
  if (!known) return rule;
  if (!known.says) return known.sentence;
  return fill(known.says, Object.fromEntries(known.operands.slice(0, operands.length).map((name, at) => [name, operands[at]])));
}

/** What happened, in one sentence. @param {Extras} extras @param {TraceEvent} event @param {Record<string, string>} [names] */
export function sentence(extras, event, names = {}) {
  const subject = laneOf(event.id);
  const opening = openingOf(extras, event);
  if (subject === WORLD) return named(`${opening.slice(0, 1).toUpperCase()}${opening.slice(1)}.`, names);
  const rules = toldRules(event);
  const told = opening ? [opening] : [];
  told.push(...rules.map(([rule, operands]) => ruleSentence(extras, rule, operands)));
  const changes = changesOf(event);
  if (changes && !rules.length) told.push(changes);
  return named(`${names[subject] || subject} ${told.join("; ") || event.k}.`, names);
}

/** Ids of live servers, which nobody can read, by their names. @param {string} text @param {Record<string, string>} names */
export function named(text, names) {
  return text.replace(/\bn[0-9a-f]{12,16}\b/g, (id) => names[id] || id);
}

/** Rules with operands; one that repeats for other servers is told once. @param {TraceEvent} event @returns {[string, any[]][]} */
function toldRules(event) {
  /** @type {Map<string, any[]>} */
  const told = new Map();
  (event.r ?? []).forEach((rule, at) => {
    if (!told.has(rule)) told.set(rule, event.g?.[at] ?? []);
  });
  return [...told];
}

/** @param {Extras} extras @param {TraceEvent} event @returns {string} */
function openingOf(extras, event) {
  const fields = event.x ?? {};
  switch (event.k) {
    case "send": return `sent ${event.to} ${messageWords(fields)}`;
    case "recv": return `received ${event.x ? messageWords(fields) : "a message"} from ${event.src}`;
    case "drop": {
      const fate = extras.words.cause[event.cause ?? ""] ?? event.cause ?? "";
      if (laneOf(event.id) === event.src) return `lost a message to ${event.to}: it was ${fate}`;
      return `a message from ${event.src} to ${event.to} was ${fate}`;
    }
    case "dup": return `a message from ${event.src} to ${event.to} was doubled`;
    case "restart": return "began a life, from what its disk held";
    case "crash": return fields.server ? `the process of ${fields.server} ended${fields.why ? ` (${fields.why})` : ""}` : "crashed";
    case "fsync": return `had everything up to write ${fields.number} on disk`;
    case "advance": return "learnt that its writes are durable";
    case "apply": return `applied up to index ${fields.index}`;
    case "ready": return event.r?.length ? "" : "handed its effects out";
    case "part": return `the network was cut: ${linksOf(fields.links ?? [])}`;
    case "heal": return "the network was healed";
    case "viol": return `${fields.property} does not hold: ${fields.sentence}`;
    case "gap": return `could not keep ${fields.lost} events`;
    case "link": return `lost its connection to ${fields.peer}`;
    case "client": return callWords(fields);
    case "key": return "wrote down its whole state";
    case "timer": return "";
    case "fault": return faultWords(fields);
    default: return `${event.k} ${Object.entries(fields).map(([name, value]) => `${name} ${shown(value)}`).join(" ")}`.trim();
  }
}

/** A message in a few words. @param {Record<string, any>} fields */
export function messageWords(fields) {
  const kind = String(fields.type ?? "a message");
  const entries = fields.entries;
  if (kind === "AppendEntries") {
    const count = entries?.length ?? 0;
    const noun = count === 1 ? "entry" : "entries";
    const what = count ? `${count} ${noun} after ${fields.prev_log_index}` : "nothing new";
    return `AppendEntries of term ${fields.term} with ${what}`;
  }
  if (kind === "AppendEntriesReply") {
    if (fields.success) return `AppendEntriesReply: agrees up to ${fields.match_index ?? 0}`;
    return `AppendEntriesReply: refuses, ask from ${fields.conflict_index ?? "?"}`;
  }
  if (kind.endsWith("VoteReply")) return `${kind} of term ${fields.term}: ${fields.vote_granted ? "granted" : "refused"}`;
  return fields.term === undefined ? kind : `${kind} of term ${fields.term}`;
}

/** @param {Record<string, any>} fields */
function callWords(fields) {
  const operation = String(fields.op ?? "call");
  if (operation === "call") return `client ${fields.client} asked: ${fields.kind} ${fields.key ?? ""}`.trimEnd();
  if (operation === "return") return `client ${fields.client} was answered: ${fields.outcome}`;
  if (operation === "propose") return `was given ${fields.count ?? 1} commands${fields.for ? ` by ${fields.for}` : ""}`;
  return `was asked: ${operation}`;
}

/** @param {Record<string, any>} fields */
function faultWords(fields) {
  const kind = String(fields.kind).replaceAll("_", " ");
  if (fields.ended) return kind === "all" ? "all faults ended" : `fault ${fields.number} ended: ${kind}`;
  const servers = (fields.servers ?? []).join(" ") || "all";
  return `fault ${fields.number} began: ${kind} of ${servers} for ${shown(fields.seconds ?? 0)} s`;
}

/** @param {[string, string][]} links */
function linksOf(links) {
  const both = new Set(links.map((link) => [...link].sort().join(" and ")));
  return [...both].sort().join(", ");
}

/** @param {TraceEvent} event */
function changesOf(event) {
  const delta = event.w;
  if (!delta) return "";
  return /** @type {const} */ (["term", "role", "vote", "leader", "commit", "applied", "durable"])
    .filter((name) => delta[name])
    .map((name) => `${name} ${shown(delta[name]?.[0])} → ${shown(delta[name]?.[1])}`)
    .join(", ");
}

/** How an event is called where its id would be too long. @param {TraceHeader} header @param {string} id */
export function labelOf(header, id) {
  const [lane, , number] = id.split(".");
  const name = header.kind === "live" ? header.nodes?.[lane] : undefined;
  return name ? `${name} #${number}` : id;
}

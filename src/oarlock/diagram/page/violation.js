/** A property that fell, explained in the words of `diagram/violation.py`; a test compares the two. */

import { audit } from "oarlock/audit.js";
import { laneOf } from "oarlock/ids.js";
import { lastIndex, leaderAmong } from "oarlock/state.js";
import { why } from "oarlock/provenance.js";
import { whyNot } from "oarlock/whynot.js";
import { sentence } from "oarlock/words.js";

/** @typedef {import("oarlock/steps.js").Deviation} Deviation */
/** @typedef {{id: string, sentence: string}} Witness An event that shows it. */
/** @typedef {{id: string, property: string, figure3: string, means: string, lesson: string, claim: string, sentence: string,
 * witnesses: Witness[], firstDivergence: Witness | null, asked: string, tree: import("oarlock/provenance.js").Explanation | null,
 * missing: import("oarlock/whynot.js").Answer | null, rule: string, parted: Parted | null, isStep: boolean}} Violated
 * `isStep`: nobody has seen a property fall, but a step that the rules do not allow. */
/** @typedef {{one: string, other: string, told_one: string, told_other: string}} Parted Where a run parts from the one without its bug. */

const MOST_WITNESSES = 6;
const MOST_CHARACTERS = 400;
/** Within this, in microseconds, a leader whose follower lacks entries sends it some. */
const LONG = 1_000_000;
const ASKED = /** @type {Record<string, string>} */ ({
  "second-leader": "role", "no-majority-elected": "role", "leader-lacks": "role",
  "second-vote": "vote", "changed-vote": "vote", "forgot-vote": "vote", "vote-forgotten": "vote", "voted-in-older-term": "vote", "voted-for-older-log": "vote",
  "committed-otherwise": "commit", "counted-older-term": "commit", "no-majority-committed": "commit",
  "committed-unverified": "commit", "commit-fell": "commit", "term-fell": "term",
});
const LAGGING = ["laggards catch up", "followers apply promptly", "one snapshot is enough"];
const WRONG = "The first step that the rules do not allow:";
const SIGN = "The first sign that something had gone wrong:";
const UNTOLD = "Each step by itself is one that the rules allow: what is wrong is what no server did, and the run alone does not tell which one had to.";
const ALLOWED = "Each step by itself is one that the rules allow; beside the run without the bug it shows where it begins:";
const PARTED = "Before that the two runs had parted already:";
const NOTHING_NEW = "Nothing that servers did differs from the run without the bug: it is in what the trace does not record.";
const LEADERLESS = ["leader in time", "leader after healing", "leadership settles", "the successor leads soon"];

/** Every violation of a run. @param {import("oarlock/run.js").Run} run @param {Extras} extras @returns {Violated[]} */
export function violations(run, extras) {
  if (!run.violations.length) return [];
  const events = [...run.violations.data.subarray(0, run.violations.length)].map((position) => run.events[position]);
  return explainAll(run, extras, events, audit(run, extras));
}

/** Violations that a run tells of, explained by the wrong steps; or, where it tells of none, the first wrong step.
 * @param {import("oarlock/run.js").Run} run @param {Extras} extras @param {TraceEvent[]} events @param {Deviation[]} deviations
 * @param {Map<string, string>} remembered Sentences of events that the run may hold no more. @returns {Violated[]} */
export function explainAll(run, extras, events, deviations, remembered = new Map()) {
  const parted = extras.compared?.is_repaired ? extras.compared.comparison.first : null;
  const [first] = deviations;
  if (events.length) return events.map((event) => ({ ...explain(run, extras, event, deviations, parted, remembered), isStep: false }));
  if (!first) return [];
  const x = { property: first.property, sentence: first.sentence };
  return [{ ...explain(run, extras, { id: first.id, t: 0, lc: 0, k: "viol", x }, deviations, parted, remembered), isStep: true }];
}

/** @param {import("oarlock/run.js").Run} run @param {Extras} extras @param {TraceEvent} event @param {Deviation[]} deviations
 * @param {Parted | null} parted @param {Map<string, string>} remembered @returns {Omit<Violated, "isStep">} */
function explain(run, extras, event, deviations, parted, remembered) {
  const property = String(event.x?.property ?? "");
  const known = propertyOf(extras, property);
  const said = String(event.x?.sentence ?? "").replace(/\.+$/, "");
  const claim = said.length <= MOST_CHARACTERS ? said : `${said.slice(0, MOST_CHARACTERS)}...`;
  const fall = fallOf(extras, property, known.figure3, deviations);
  const first = deviations[0];
  const missing = first ? null : missingAt(run, extras, property);
  const omitted = missing?.missing.find((each) => each.rule);
  const lacking = missing ? [missing.sentence] : [];
  const rule = first ? extras.words.fault[first.kind] ?? "" : omitted?.rule ?? "";
  if (omitted) lacking.push(`${capital(omitted.sentence)}: ${omitted.rule} had to act, and did not.`);
  const witnesses = witnessesOf(run, extras, event, fall ?? first, remembered);
  const asked = questionOf(run, fall ?? first, witnesses, parted);
  const [id, variable = ""] = asked.split(":");
  return {
    id: event.id, property, figure3: known.figure3, means: known.means, lesson: known.lesson, claim,
    sentence: told(claim, fall, deviations, lacking, originOf(run, first, parted), parted !== null, rule !== ""), witnesses,
    firstDivergence: first ? { id: first.id, sentence: first.sentence } : null,
    rule, parted,
    asked, tree: asked ? why(run, extras, id, variable) : null, missing,
  };
}

/** @param {Extras} extras @param {string} name @returns {PropertyText} */
function propertyOf(extras, name) {
  return extras.properties[name] ?? extras.properties[""];
}

/** The step by which the property fell, or the one of Figure 3 that it belongs to.
 * @param {Extras} extras @param {string} name @param {string} figure3 @param {Deviation[]} deviations */
function fallOf(extras, name, figure3, deviations) {
  const exact = deviations.filter((each) => each.property === name);
  const related = deviations.filter((each) => figure3 && propertyOf(extras, each.property).figure3 === figure3);
  const fall = exact.at(-1) ?? related.at(-1);
  const first = deviations[0];
  const isOne = fall && (fall.kind === first.kind || (fall.id === first.id && first.property === name));
  return isOne ? first : fall;
}

/** What was missing at the end. @param {import("oarlock/run.js").Run} run @param {Extras} extras @param {string} name */
function missingAt(run, extras, name) {
  const end = run.length - 1;
  if (LAGGING.includes(name)) return laggards(run, end);
  if (!LEADERLESS.includes(name)) return null;
  const answer = whyNot(run, extras, "leader", end);
  if (answer.missing.length) return answer;
  const commits = [...run.track.at(end).servers.values()].map((state) => state.commit);
  return whyNot(run, extras, `index ${Math.max(0, ...commits) + 1} committed`, end);
}

/** @param {import("oarlock/run.js").Run} run @param {number} end @returns {import("oarlock/whynot.js").Answer} */
function laggards(run, end) {
  const cluster = run.track.at(end);
  const states = [...cluster.servers].sort(([one], [other]) => (one < other ? -1 : 1));
  const most = Math.max(0, ...states.map(([, state]) => state.applied));
  const leader = leaderAmong(cluster, states.map(([name]) => name).reverse());
  const missing = states.filter(([, state]) => state.applied < most).flatMap(([name, state]) => [
    { sentence: `${name} has applied up to ${state.applied}`, id: lastReceived(run, name) },
    ...(leader && lastIndex(state) < most ? unsent(run, leader, name) : [])]);
  return { sentence: missing.length ? `Others have applied up to ${most}.` : "All have applied the same.", missing };
}

/** That a leader has long sent a follower neither entries nor a snapshot.
 * @param {import("oarlock/run.js").Run} run @param {string} leader @param {string} name @returns {import("oarlock/whynot.js").Missing[]} */
function unsent(run, leader, name) {
  const last = run.events.findLast(({ id, k, to, x }) => k === "send" && to === name && laneOf(id) === leader && (x?.entries?.length || x?.type === "InstallSnapshot"));
  if (!last) return [{ sentence: `${leader} leads, and has sent ${name} nothing of its log`, id: "" }];
  if (run.t.data[run.length - 1] - last.t <= LONG) return [];
  return [{ sentence: `${leader} leads, and has sent ${name} nothing more of its log`, id: last.id }];
}

/** @param {import("oarlock/run.js").Run} run @param {string} name */
function lastReceived(run, name) {
  return run.events.findLast((event) => event.k === "recv" && event.id.startsWith(`${name}.`))?.id ?? "";
}

/** @param {import("oarlock/run.js").Run} run @param {Extras} extras @param {TraceEvent} event @param {Deviation | undefined} step
 * @param {Map<string, string>} remembered */
function witnessesOf(run, extras, event, step, remembered) {
  const named = [...(step?.witnesses ?? []), step?.id ?? "", ...(event.x?.witnesses ?? [])];
  const found = [...new Set(named)].filter(Boolean).flatMap((id) => {
    const each = run.find(id);
    const told = each ? sentence(extras, each, run.header.nodes ?? {}) : remembered.get(id);
    return told === undefined ? [] : [{ id: each?.id ?? id, sentence: told }];
  });
  return found.slice(0, MOST_WITNESSES);
}

/** Where the run parts from the repaired one, unless the first wrong step is that very step or comes before.
 * @param {import("oarlock/run.js").Run} run @param {Deviation | undefined} first @param {Parted | null} parted */
function originOf(run, first, parted) {
  const event = parted ? run.find(parted.one) : undefined;
  if (!first || !event) return parted;
  const step = run.events[run.position(first.id)];
  const isSame = step.t === event.t && laneOf(step.id) === laneOf(event.id);
  return isSame || run.position(step.id) < run.position(event.id) ? null : parted;
}

/** @param {import("oarlock/run.js").Run} run @param {Deviation | undefined} step @param {Witness[]} witnesses @param {Parted | null} parted */
function questionOf(run, step, witnesses, parted) {
  if (!step && parted?.one) return parted.one;
  if (!step) return witnesses[0]?.id ?? "";
  const variable = ASKED[step.kind] ?? "";
  const delta = /** @type {Record<string, any>} */ (run.find(step.id)?.w ?? {});
  return variable && delta[variable] ? `${step.id}:${variable}` : step.id;
}

/** @param {string} claim @param {Deviation | undefined} fall @param {Deviation[]} deviations
 * @param {string[]} lacking What was missing, and which rule had to act. @param {Parted | null} origin @param {boolean} isRepaired
 * @param {boolean} hasRule Whether the first wrong step is known to go against one. */
function told(claim, fall, deviations, lacking, origin, isRepaired, hasRule) {
  const first = deviations[0];
  if (!first) {
    const begun = [`${capital(claim)}.`, ...lacking].join(" ");
    if (origin) return `${begun} ${ALLOWED} ${apart(origin)}`;
    // Who says which rule had to act has told.
    return isRepaired ? `${begun} ${NOTHING_NEW}` : lacking.length > 1 ? begun : `${begun} ${UNTOLD}`;
  }
  const before = origin ? ` ${PARTED} ${apart(origin)}` : "";
  if (!fall) return `${capital(claim)}. ${hasRule ? WRONG : SIGN} ${first.sentence} (${first.id}).${before}`;
  const text = `${capital(fall.sentence)} (${fall.id}).`;
  if (fall.id !== first.id) return `${text} It began earlier: ${first.sentence} (${first.id}).${before}`;
  const besides = deviations.find((each) => each.id === fall.id && each.kind !== fall.kind);
  return `${text}${besides ? ` What is wrong with that step: ${besides.sentence}.` : ""}${before}`;
}

/** Where two runs part, in words. @param {Parted} parted */
function apart({ one, told_one: ours, told_other: theirs }) {
  return `with the bug, ${ours.replace(/\.$/, "")}${one ? ` (${one})` : ""}; repaired, ${theirs.replace(/\.$/, "")}.`;
}

/** As a sentence begins; names of servers stay as they are. @param {string} text */
function capital(text) {
  return /^n[0-9a-f]*[0-9][0-9a-f]*\b/.test(text) ? text : text.slice(0, 1).toUpperCase() + text.slice(1);
}

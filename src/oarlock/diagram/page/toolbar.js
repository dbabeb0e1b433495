/** The filter, the jumps, the axis and playing: everything here has a key too. */

import { make } from "oarlock/dom.js";
import { matchesOf } from "oarlock/query.js";
import { sentence } from "oarlock/words.js";

/** Events in a second while playing. */
const PACE = 12;

/** @param {import("oarlock/store.js").Store} store @param {Extras} extras */
export function setUpToolbar(store, extras) {
  const nav = /** @type {HTMLElement} */ (document.getElementById("jumps"));
  const wrong = make("span", { role: "alert", class: "wrong" });
  const input = /** @type {HTMLInputElement} */ (make("input", {
    id: "query", type: "search", placeholder: "node:n2 rule:AE-2 term>=4 kind:drop idx:17", "aria-label": "Filter events", spellcheck: "false",
    oninput: () => store.set({ query: input.value }),
  }));
  const axis = /** @type {HTMLSelectElement} */ (make("select", { "aria-label": "Axis", onchange: () => store.set({ axis: axis.value }) },
    make("option", { value: "logical" }, "by event"), make("option", { value: "time" }, "by time"), make("option", { value: "gaps" }, "time, silences cut")));
  const play = make("button", { title: "Play or pause (Space)", onclick: () => store.set({ isPlaying: !store.shared.isPlaying }) }, "▶");
  const violation = jump("Violation", "v", () => go(store, store.run.faults, 1));
  const help = make("button", { title: "How to read this, and keys (?)", onclick: () => showHelp() }, "?");
  nav.append(
    input, wrong, axis,
    make("button", { title: "Show or fold heartbeats (.)", onclick: () => store.set({ showsHeartbeats: !store.shared.showsHeartbeats }) }, "♥"),
    jump("Election", "e", () => go(store, store.run.elections, 1)),
    jump("Commit", "c", () => go(store, store.run.commits, 1)),
    ...(store.run.faults.length ? [violation] : []),
    help,
  );
  setUpSteps(store, play);
  let isTold = false;
  store.subscribe((shared, changed) => {
    if (changed.has("judged") && store.run.faults.length && !violation.isConnected) help.before(violation);
    if (changed.has("query") || (changed.has("run") && shared.query)) filter(store, input, wrong);
    if (axis.value !== shared.axis) axis.value = shared.axis;
    // Set anew it would be laid out anew, in every frame.
    if (changed.has("isPlaying")) play.textContent = shared.isPlaying ? "❚❚" : "▶";
    if (changed.has("isPlaying") && shared.isPlaying) step(store);
    if ((changed.has("cursor") || !isTold) && !shared.isPlaying && !shared.follows) tell(store, extras);
    isTold = true;
  });
}

/** Beside the sentence at the foot: what fingers have no keys for. @param {import("oarlock/store.js").Store} store @param {HTMLElement} play */
function setUpSteps(store, play) {
  document.getElementById("steps")?.append(
    make("button", { "aria-label": "The event before", title: "The event before (←)", onclick: () => store.goTo(store.shared.cursor - 1, { select: true }) }, "‹"),
    play,
    make("button", { "aria-label": "The event after", title: "The event after (→)", onclick: () => store.goTo(store.shared.cursor + 1, { select: true }) }, "›"),
    make("button", { title: "Why this event? (w)", onclick: () => askWhy(store) }, "Why?"));
}

/** Ask why of the event at the cursor. @param {import("oarlock/store.js").Store} store */
export function askWhy(store) {
  store.set({ why: store.run.events[store.shared.cursor]?.id ?? "", view: "why" });
  // On a phone the panels are below.
  document.getElementById("side")?.scrollIntoView({ block: "nearest" });
}

/** @param {string} name @param {string} key @param {() => void} act */
function jump(name, key, act) {
  return make("button", { title: `Next ${name.toLowerCase()} (${key}; the one before: ${key.toUpperCase()})`, onclick: act }, name);
}

/** Go to the next of some events. @param {import("oarlock/store.js").Store} store
 * @param {import("oarlock/run.js").Column<Int32Array>} column @param {number} direction */
export function go(store, column, direction) {
  const position = store.run.along(column, store.shared.cursor, direction);
  if (position >= 0) store.goTo(position, { select: true });
}

/** @param {import("oarlock/store.js").Store} store @param {HTMLInputElement} input @param {HTMLElement} wrong */
function filter(store, input, wrong) {
  if (input.value !== store.shared.query) input.value = store.shared.query;
  try {
    store.set({ matches: matchesOf(store.run, store.shared.query) });
    const count = store.shared.matches?.reduce((sum, each) => sum + each, 0);
    wrong.textContent = count === undefined ? "" : `${count.toLocaleString("en")} events`;
    wrong.classList.remove("bad");
  } catch (error) {
    wrong.textContent = error instanceof Error ? error.message : String(error);
    wrong.classList.add("bad");
  }
}

/** One step of playing, and the next after a while. @param {import("oarlock/store.js").Store} store */
function step(store) {
  if (!store.shared.isPlaying) return;
  const next = store.shared.cursor + 1;
  if (next >= store.run.length) return store.set({ isPlaying: false });
  store.goTo(next);
  setTimeout(() => step(store), 1000 / PACE);
}

/** The event at the cursor, for eyes and for screen readers. @param {import("oarlock/store.js").Store} store @param {Extras} extras */
function tell(store, extras) {
  const event = store.run.events[store.shared.cursor];
  const foot = /** @type {HTMLElement} */ (document.getElementById("sentence"));
  foot.textContent = event ? `${event.id} · ${sentence(extras, event, store.run.header.nodes ?? {})}` : "";
}

const LEGEND = [
  ["colour", "the term, and its number beside the lane; nothing else has a colour but losses and violations"],
  ["▬ ─ ┄ ×", "a lane's width: leader, follower, candidate, down"],
  ["╲", "a message: solid AppendEntries (thick with entries), dashed RequestVote, dotted pre-vote, dash-dot snapshots and reads"],
  ["⊕ ⊖ ▸", "an answer that agrees, one that refuses, a request"],
  ["✗ ?", "a message lost, with its cause; one whose end nobody recorded"],
  ["★ ◇ ○ ✗", "a leader elected, a commit, a life begun, a crash"],
  ["▪ left, ‑ right", "a call of a client; a write that is on disk"],
  ["♥×9", "heartbeats without news, folded (key .)"],
  ["grey wall", "a partition"],
];

/** How to read it, and keys, as a dialog. */
export function showHelp() {
  const rows = [
    ["Space", "play, pause"], ["← →", "event before, after"], ["Shift ← →", "the same, on this server"], ["↑ ↓", "server left, right"],
    ["m", "from a message's sending to its arrival, and back"], ["e c v", "next election, commit, violation; capitals: the one before"],
    ["w", "why this event"], ["n", "why not"], ["d", "compare with a second run"], [".", "heartbeats"], ["/", "filter"], ["f", "follow the newest event of a running cluster"], ["b", "bookmark; B: next one"],
    ["s", "mark out a range: once at each end; its counts, and what changed between the two states"], ["z", "zoom into the range"],
    ["l", "fold this server's lane to a line; or double-click it"], ["Escape", "let go of selection, filter, question and range"], ["y", "copy a link to this view"],
    ["+ −", "zoom"], ["0", "whole run"], ["1–9", "views, in the order of their tabs; ← → walk along the tabs"], ["?", "this list"],
  ];
  const dialog = /** @type {HTMLDialogElement} */ (make("dialog", { "aria-label": "How to read this, and keys" },
    make("h2", {}, "How to read this"),
    make("dl", {}, ...LEGEND.flatMap(([sign, what]) => [make("dt", {}, sign), make("dd", {}, what)])),
    make("h2", {}, "Keys"),
    make("table", {}, ...rows.map(([key, what]) => make("tr", {}, make("th", { scope: "row" }, make("kbd", {}, key)), make("td", {}, what)))),
    make("form", { method: "dialog" }, make("button", {}, "Close"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

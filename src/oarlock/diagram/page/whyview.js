/** The why tree: from an event back along what it read, each step a sentence with the rule and its operands. */

import { follow, make } from "oarlock/dom.js";
import { why } from "oarlock/provenance.js";
import { violationAsked } from "oarlock/subject.js";
import { whatIf } from "oarlock/whatif.js";
import { ruleSentence, sentence } from "oarlock/words.js";

const WORDS = /** @type {Record<string, string>} */ ({
  message: "the message", decided: "decided by", disk: "durable by", forward: "forwarded by", term: "term", vote: "vote",
  log: "entry", match: "acknowledged", votes: "vote of",
});

export class WhyView {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.element = element;
    this.store = store;
    this.extras = extras;
    element.classList.add("why");
    follow(element, store, ["why", "cursor", "run", "view"], () => this.draw());
  }

  draw() {
    const { run, shared } = this.store;
    const asked = shared.why || run.events[shared.cursor]?.id;
    if (!asked) return;
    const fallen = violationAsked(run, this.extras, asked);
    if (fallen) return this.element.replaceChildren(...this.violated(fallen));
    const [id, variable = ""] = asked.split(":");
    const event = run.find(id);
    if (!event) return this.element.replaceChildren(make("p", { class: "hint" }, `The trace does not hold ${id}.`));
    const found = why(run, this.extras, id, variable);
    this.element.replaceChildren(
      make("div", { class: "whyhead" },
        make("h3", {}, `Why ${variable ? `${variable} at ` : ""}${event.id}?`),
        shared.why ? make("button", { onclick: () => this.store.set({ why: "" }) }, "Follow the cursor")
          : make("button", { onclick: () => this.store.set({ why: asked }), title: "Keep this question while the cursor moves" }, "Hold")),
      this.variables(event, variable),
      whatIf(run, event) ?? "",
      make("ol", { class: "steps" }, ...found.steps.map((step) => this.step(step))),
      ...this.notes(found),
    );
  }

  /** Why a property fell. @param {import("oarlock/violation.js").Violated} fallen */
  violated(fallen) {
    return [
      make("div", { class: "whyhead" }, make("h3", {}, `Why does ${fallen.figure3 || fallen.property} not hold?`),
        make("button", { onclick: () => this.store.set({ why: "" }) }, "Follow the cursor")),
      make("p", { class: "verdict" }, fallen.sentence),
      make("ol", { class: "steps" }, ...(fallen.tree?.steps ?? []).map((step) => this.step(step))),
      ...(fallen.tree ? this.notes(fallen.tree) : (fallen.missing?.missing ?? []).map((each) => make("p", { class: "hint" }, each.sentence))),
    ];
  }

  /** What else can be asked of the event. @param {TraceEvent} event @param {string} chosen */
  variables(event, chosen) {
    const names = Object.entries(event.w ?? {}).flatMap(([name, value]) =>
      this.extras.perServer.includes(name) ? Object.keys(value).map((server) => `${name}.${server}`) : name === "log" ? [] : [name]);
    if (!names.length) return make("p", {});
    return make("p", { class: "hint" }, "It changed ", ...names.flatMap((name) => [
      make("button", { "aria-pressed": name === chosen, onclick: () => this.store.set({ why: `${event.id}${name === chosen ? "" : `:${name}`}` }) }, name), " ",
    ]));
  }

  /** @param {import("oarlock/provenance.js").Step} step */
  step(step) {
    const { run } = this.store;
    const names = run.header.nodes ?? {};
    const position = run.position(step.event.id);
    const rules = step.rules.filter((rule, at) => step.rules.indexOf(rule) === at);
    return make("li", { style: `--depth:${Math.min(step.depth, 8)}` },
      make("button", { class: "event", onclick: () => this.store.goTo(position, { select: true }), title: "Go there" }, step.event.id),
      make("span", { class: "told" }, " ", sentence(this.extras, rules.length ? { ...step.event, ...chosenRules(step) } : step.event, names)),
      ...rules.map((rule) => make("details", {},
        make("summary", {}, make("code", {}, rule), " ", this.extras.rules[rule]?.sentence ?? ""),
        make("p", {}, this.extras.rules[rule]?.reason ?? "", " "),
        make("p", { class: "hint" }, ruleSentence(this.extras, rule, step.event.g?.[(step.event.r ?? []).indexOf(rule)] ?? [])))),
      step.because.length ? make("p", { class: "because" }, "because of ", ...step.because.flatMap((each, at) => [at ? ", " : "",
        `${WORDS[each.variable.split(".")[0]] ?? each.variable}${each.variable.includes(".") ? ` ${each.variable.split(".")[1]}` : ""} `,
        make("a", { href: `#e=${each.id}`, onclick: (/** @type {Event} */ click) => {
          click.preventDefault();
          this.store.goTo(run.position(each.id), { select: true });
        } }, each.id)])) : undefined,
    );
  }

  /** @param {import("oarlock/provenance.js").Explanation} found */
  notes(found) {
    const notes = found.collapsed.map((each) => make("p", { class: "hint" }, `${each.server}: ${each.sentence}. `,
      make("button", { onclick: () => this.store.set({ why: each.id }) }, `why ${each.id}?`)));
    if (found.unresolved.length) {
      notes.push(make("p", { class: "hint" }, `Unresolved, since the trace does not hold it: ${found.unresolved.map((each) => `${each.variable} from ${each.id}`).join(", ")}.`));
    }
    if (found.truncated) notes.push(make("p", { class: "hint" }, `Only the nearest ${found.steps.length} steps are shown.`));
    return notes;
  }
}

/** An event with only the rules that matter in a step. @param {import("oarlock/provenance.js").Step} step */
function chosenRules(step) {
  const { event } = step;
  const positions = (event.r ?? []).map((_, at) => at).filter((at) => step.rules.includes((event.r ?? [])[at]));
  return { r: positions.map((at) => (event.r ?? [])[at]), g: positions.map((at) => event.g?.[at] ?? []) };
}

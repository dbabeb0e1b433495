/** Has a run judged while it goes on: so much in a frame that nothing is felt of it, and whoever shows it is told. */

import { Judge } from "oarlock/judge.js";
import { explainAll } from "oarlock/violation.js";
import { sentence } from "oarlock/words.js";

/** Of one frame. */
const BUDGET_MS = 4;
/** Nobody sees a hidden page, and it is woken seldom. */
const HIDDEN_BUDGET_MS = 100;
const FRAME_MS = 16;
/** Between two looks at the clock. */
const STRIDE = 32;
/** Events that wait to be judged; beyond, the older ones are missing, and that is told as of any others. */
const MOST_WAITING = 200_000;

export class Watch {
  /** @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(store, extras) {
    this.store = store;
    this.extras = extras;
    this.judge = new Judge(store.run.header, extras);
    /** @type {TraceEvent[]} */
    this.waiting = [];
    /** How many of them are judged. */
    this.done = 0;
    this.timer = 0;
    this.faults = 0;
    this.forgotten = 0;
    /** @type {import("oarlock/violation.js").Violated[]} */
    this.explained = [];
    /** Sentences of events that show a violation: they may be let go before it. @type {Map<string, string>} */
    this.told = new Map();
  }

  /** Events came. @param {TraceEvent[]} events */
  take(events) {
    if (this.waiting.length - this.done > MOST_WAITING) {
      this.waiting = [];
      this.done = 0;
    }
    for (const event of events) this.waiting.push(event);
    if (!this.timer) this.#work();
  }

  /** How many wait. */
  get behind() {
    return this.waiting.length - this.done;
  }

  #work() {
    const { judge, store } = this;
    const end = performance.now() + (document.hidden ? HIDDEN_BUDGET_MS : BUDGET_MS);
    do {
      const most = Math.min(this.done + STRIDE, this.waiting.length);
      while (this.done < most) judge.take(this.waiting[this.done++]);
    } while (this.done < this.waiting.length && performance.now() < end);
    this.timer = this.behind ? window.setTimeout(() => this.#work(), FRAME_MS) : 0;
    if (!this.behind) {
      this.waiting = [];
      this.done = 0;
    }
    if (judge.faults !== this.faults) this.#explain();
    else if (store.run.forgotten !== this.forgotten) this.#mark();
    store.judged();
  }

  /** What is wrong is red. */
  #mark() {
    const { judge, store: { run } } = this;
    this.forgotten = run.forgotten;
    for (const { id } of judge.audit.found) run.markWrong(id);
  }

  #explain() {
    const { judge, store: { run }, extras } = this;
    this.faults = judge.faults;
    this.#mark();
    this.explained = explainAll(run, extras, judge.violations, judge.audit.found, this.told);
    for (const { id } of this.explained.flatMap((each) => each.witnesses)) {
      const event = run.find(id);
      if (event) this.told.set(id, sentence(extras, event, run.header.nodes ?? {}));
    }
  }
}

/** Judges a run event by event, as it comes: wrong steps, near-misses, and what cannot be judged since it is not here. */

import { Audit, MOST_FOUND } from "oarlock/audit.js";
import { Known } from "oarlock/known.js";
import { NearMissSearch } from "oarlock/nearmiss.js";

/** Of what is missing, and of violations that the run itself tells of, so many are kept. */
const MOST = 50;

/** @typedef {import("oarlock/steps.js").Doubt} Doubt */

export class Judge {
  /** @param {TraceHeader} header @param {Extras} extras */
  constructor(header, extras) {
    this.known = new Known(header);
    this.audit = new Audit(this.known, extras);
    this.search = new NearMissSearch(this.known, extras, true);
    /** Violations that the run itself tells of. @type {TraceEvent[]} */
    this.violations = [];
    /** What is missing of the past. @type {Doubt[]} */
    this.gaps = [];
    this.gapsUntold = 0;
    /** @type {Set<string>} */
    this.lanes = new Set();
  }

  /** The next event. @param {TraceEvent} event */
  take(event) {
    const { violations, audit, search } = this;
    if (event.k === "viol" && violations.length < MOST && !violations.some((each) => each.id === event.id)) violations.push(event);
    this.known.take(event, audit.found.length < MOST_FOUND ? [audit, search, this] : [search, this]);
  }

  /** Changes when something is found to be wrong. */
  get faults() {
    return this.audit.found.length + this.violations.length;
  }

  /** Events that the rules do not allow: some in more than one way. */
  get wrongSteps() {
    return [...new Set(this.audit.found.map((each) => each.id))];
  }

  /** What could not be judged. @returns {Doubt[]} */
  get doubts() {
    return this.audit.doubts;
  }

  /** @param {TraceEvent} event @param {string} lane @param {import("oarlock/sights.js").Seen} seen */
  lost(event, lane, seen) {
    const isFirst = !this.lanes.has(lane);
    this.lanes.add(lane);
    if (isFirst && event.id.endsWith(".1")) return;
    if (this.gaps.length >= MOST) {
      this.gapsUntold += 1;
      return;
    }
    const sentence = isFirst ? `${lane} is seen from this event on; what it did and had on its disk before is not here`
      : seen === "cut" ? `${lane} begins anew; what it did last before was not recorded`
        : `events of ${lane} are missing before this one`;
    this.gaps.push({ id: event.id, sentence });
  }

  before() {}

  after() {}
}

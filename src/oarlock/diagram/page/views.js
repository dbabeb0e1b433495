/** All views there are, in the order of their keys; that of two runs is the first where there are two from the begin. Each draws into its element and follows the store by itself. */

import { Between } from "oarlock/between.js";
import { Card } from "oarlock/card.js";
import { DiffView } from "oarlock/diffview.js";
import { ClientHistory } from "oarlock/history.js";
import { KeyValue } from "oarlock/keyvalue.js";
import { LogMatrix } from "oarlock/matrix.js";
import { NearMissView } from "oarlock/nearmissview.js";
import { SpaceTime } from "oarlock/spacetime.js";
import { Ring } from "oarlock/ring.js";
import { EventTable } from "oarlock/table.js";
import { TermTape } from "oarlock/tape.js";
import { WhyNotView } from "oarlock/whynotview.js";
import { WhyView } from "oarlock/whyview.js";

/** @typedef {{id: string, name: string, where: "scene" | "tape" | "side",
 * make: (element: HTMLElement, store: import("oarlock/store.js").Store, extras: Extras) => unknown, isWanted?: (extras: Extras) => boolean}} View
 * `isWanted`, if it is there, says whether a page has the view. */

/** @type {View[]} */
export const VIEWS = [
  { id: "spacetime", name: "Space-time", where: "scene", make: (element, store, extras) => new SpaceTime(element, store, extras) },
  { id: "tape", name: "Terms", where: "tape", make: (element, store) => new TermTape(element, store) },
  { id: "diff", name: "Two runs", where: "side", make: (element, store, extras) => new DiffView(element, store, extras), isWanted: (extras) => Boolean(extras.compared) },
  { id: "matrix", name: "Logs", where: "side", make: (element, store) => new LogMatrix(element, store) },
  { id: "card", name: "Figure 2", where: "side", make: (element, store, extras) => new Card(element, store, extras) },
  { id: "why", name: "Why", where: "side", make: (element, store, extras) => new WhyView(element, store, extras) },
  { id: "whynot", name: "Why not", where: "side", make: (element, store, extras) => new WhyNotView(element, store, extras) },
  { id: "history", name: "Clients", where: "side", make: (element, store) => new ClientHistory(element, store) },
  { id: "ring", name: "Ring", where: "side", make: (element, store) => new Ring(element, store) },
  { id: "table", name: "Events", where: "side", make: (element, store, extras) => new EventTable(element, store, extras) },
  { id: "between", name: "Between", where: "side", make: (element, store) => new Between(element, store) },
  { id: "nearmiss", name: "Near-misses", where: "side", make: (element, store, extras) => new NearMissView(element, store, extras) },
  { id: "diff", name: "Compare", where: "side", make: (element, store, extras) => new DiffView(element, store, extras), isWanted: (extras) => !extras.compared && !extras.live },
  { id: "kv", name: "Key-value", where: "side", make: (element, _, extras) => new KeyValue(element, extras), isWanted: (extras) => Boolean(extras.live?.kv) },
];

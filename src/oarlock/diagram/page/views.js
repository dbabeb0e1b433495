/** All views there are, in the order of their keys. Each draws into its element and follows the store by itself. */

import { SpaceTime } from "oarlock/spacetime.js";
import { EventTable } from "oarlock/table.js";

/** @typedef {{id: string, name: string, where: "scene" | "side",
 * make: (element: HTMLElement, store: import("oarlock/store.js").Store, extras: Extras) => unknown}} View */

/** @type {View[]} */
export const VIEWS = [
  { id: "spacetime", name: "Space-time", where: "scene", make: (element, store, extras) => new SpaceTime(element, store, extras) },
  { id: "table", name: "Events", where: "side", make: (element, store, extras) => new EventTable(element, store, extras) },
];

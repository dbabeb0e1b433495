/** The page as a whole: loads the run, sets up the views, and ties them to one cursor. */

import { listenToKeys } from "oarlock/keys.js";
import { keepLink } from "oarlock/link.js";
import { make } from "oarlock/dom.js";
import { readRun } from "oarlock/load.js";
import { Live } from "oarlock/live.js";
import { Store } from "oarlock/store.js";
import { Tabs, viewsInTabs } from "oarlock/tabs.js";
import { setUpToolbar } from "oarlock/toolbar.js";
import { Verdict } from "oarlock/verdict.js";
import { VIEWS } from "oarlock/views.js";
import { ViolationBanner } from "oarlock/violationview.js";
import { Watch } from "oarlock/watch.js";
import { welcome } from "oarlock/welcome.js";

/** Begin. */
export async function boot() {
  const extras = /** @type {Extras} */ (JSON.parse(text("extras")));
  try {
    const run = await readRun(text("trace"), (events) => say(`Loading: ${events.toLocaleString("en")} events`));
    say("");
    const store = new Store(run);
    const views = setUp(store, extras);
    // For whoever tests or extends the page.
    Object.assign(window, { oarlock: { store, run, extras, views } });
    if (extras.live) {
      const live = new Live(store, extras, say);
      Object.assign(views, { live });
      live.connect();
    }
  } catch (error) {
    say(`This run cannot be shown: ${error instanceof Error ? error.message : error}`);
    throw error;
  }
  welcome();
  document.documentElement.dataset.ready = "true";
}

/** @param {string} id */
function text(id) {
  return document.getElementById(id)?.textContent ?? "";
}

/** @param {string} sentence */
function say(sentence) {
  const notice = /** @type {HTMLElement} */ (document.getElementById("notice"));
  notice.textContent = sentence;
  notice.hidden = !sentence;
}

/** @param {Store} store @param {Extras} extras */
function setUp(store, extras) {
  const run = store.run;
  const servers = run.servers.length;
  const facts = /** @type {HTMLElement} */ (document.getElementById("facts"));
  facts.textContent = extras.live ? "" : `${run.header.kind === "sim" ? "simulated" : "live"}, ${servers} server${servers === 1 ? "" : "s"}, ${run.length.toLocaleString("en")} events`;
  if (extras.back) facts.prepend(make("a", { href: extras.back }, "← all"), " · ");
  if (run.truncated) say(`Only the first ${run.length} events are shown; ${run.truncated} more are in the trace.`);
  /** @type {Record<string, unknown>} */
  const views = {};
  // What goes on, or was recorded of what may go on, is judged a little at a time.
  if (extras.live || run.header.kind === "live") store.watch = new Watch(store, extras);
  if (store.watch) views.verdict = new Verdict(facts, store, store.watch);
  // Before the views, so that they know whether they are seen.
  const tabs = new Tabs(/** @type {HTMLElement} */ (document.getElementById("tabs")), /** @type {HTMLElement} */ (document.getElementById("panels")), store);
  for (const { id, name, make, where, isWanted } of VIEWS) {
    if (isWanted && !isWanted(extras)) continue;
    const element = where === "side" ? tabs.add(id, name) : /** @type {HTMLElement} */ (document.getElementById(where));
    views[id] = make(element, store, extras);
  }
  views.violations = new ViolationBanner(/** @type {HTMLElement} */ (document.getElementById("violations")), store, extras);
  setUpToolbar(store, extras);
  listenToKeys(store);
  store.set({ view: viewsInTabs()[0] });
  keepLink(store, extras);
  store.watch?.take(run.events);
  return views;
}

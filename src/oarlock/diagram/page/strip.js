/** The servers of a running cluster at a glance and, where the page may give orders, what can be done to them. */

import { make, termClass } from "oarlock/dom.js";
import { order } from "oarlock/orders.js";
import { glyph } from "oarlock/spacetime.js";
import { lastIndex } from "oarlock/state.js";

export class Strip {
  /** @param {import("oarlock/store.js").Store} store @param {Extras} extras @param {import("oarlock/pulse.js").Pulse} pulse */
  constructor(store, extras, pulse) {
    this.store = store;
    this.extras = extras;
    this.pulse = pulse;
    /** By lane. @type {Map<string, ServerProcess>} */
    this.processes = new Map();
    this.isConnected = false;
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    this.servers = make("div", { class: "servers" });
    this.rates = make("dl", { class: "rates" });
    this.wrong = make("span", { class: "wrong", role: "alert" });
    this.connection = make("span", { class: "connection", role: "status" });
    this.following = /** @type {HTMLButtonElement} */ (make("button", {
      id: "follow", title: "Keep the newest event in view (f)", onclick: () => store.set({ follows: !store.shared.follows }),
    }, "Follow"));
    const orders = make("div", { class: "orders" }, this.connection, this.following);
    if (extras.live?.control) {
      this.heal = /** @type {HTMLButtonElement} */ (make("button", { id: "heal", title: "Let all servers talk to each other again", onclick: () => this.#order("heal", []) }, "Heal"));
      orders.append(this.heal, this.wrong);
    }
    const strip = make("section", { id: "live", "aria-label": "The cluster now" }, this.servers, make("div", { class: "pulse" }, this.rates, orders));
    document.getElementById("tape")?.before(strip);
    store.subscribe((shared, changed) => {
      if (changed.has("follows")) this.following.setAttribute("aria-pressed", String(shared.follows));
      if (changed.has("run")) this.draw();
    });
  }

  /** @param {ServerProcess[]} processes */
  setProcesses(processes) {
    this.processes = new Map(processes.map((each) => [each.lane, each]));
    this.draw();
  }

  /** @param {boolean} isConnected */
  setConnection(isConnected) {
    this.isConnected = isConnected;
    this.draw();
  }

  /** @param {string} action @param {string[]} servers */
  async #order(action, servers) {
    this.wrong.textContent = (await order(this.extras, this.extras.live?.control ?? "", { action, servers })).error ?? "";
  }

  draw() {
    const { run } = this.store;
    const names = new Set([...run.servers, ...this.processes.keys()]);
    for (const lane of [...names].sort((a, b) => run.compare(a, b))) {
      let card = this.cards.get(lane);
      if (!card) {
        card = new Card(this, lane);
        this.cards.set(lane, card);
        this.servers.append(card.element);
      }
      card.draw(run.track.latest);
    }
    this.connection.textContent = this.isConnected ? "● live" : "○ not connected";
    if (this.heal) this.heal.disabled = !run.track.latest.cut.size;
    this.#drawRates();
  }

  #drawRates() {
    const pulse = this.pulse.now();
    const rows = [
      ["commits", `${short(pulse.commits)}/s`], ["messages", `${short(pulse.messages)}/s`],
      ["commit takes", pulse.median === undefined ? "–" : `${short(pulse.median)} ms`],
      ["slowest 1 %", pulse.slowest === undefined ? "–" : `${short(pulse.slowest)} ms`],
      ["in flight", String(pulse.inFlight)], ["unresolved", String(pulse.unresolved)],
    ];
    this.rates.replaceChildren(...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  }

  /** Cut a server off from all others. @param {string} name */
  cutOff(name) {
    void this.#order("partition", [name]);
  }

  /** @param {string} action @param {string} name */
  act(action, name) {
    void this.#order(action, [name]);
  }
}

/** One server. Its buttons stay, so that a pointer or the focus on them does too. */
class Card {
  /** @param {Strip} strip @param {string} lane */
  constructor(strip, lane) {
    this.strip = strip;
    this.lane = lane;
    const { header } = strip.store.run;
    this.name = header.nodes?.[lane] || lane;
    this.role = make("span", { class: "role" });
    this.marks = make("span", { class: "marks" });
    this.element = make("article", { class: "server", "aria-label": this.name }, make("h2", {}, this.name), this.role, this.marks);
    this.element.dataset.server = this.name;
    if (strip.extras.live?.control) this.#addButtons();
  }

  #addButtons() {
    const button = (/** @type {string} */ title, /** @type {() => void} */ act) => /** @type {HTMLButtonElement} */ (make("button", { title, onclick: act }));
    this.kill = button("End its process as kill -9 does; or start it again", () => this.strip.act(this.state === "down" ? "restart" : "kill", this.name));
    this.pause = button("Have its process stand still, or go on", () => this.strip.act(this.state === "paused" ? "resume" : "pause", this.name));
    this.restart = button("Stop it in order, and start it again", () => this.strip.act("restart", this.name));
    this.cut = button("Let nothing pass between it and the others", () => this.strip.cutOff(this.name));
    this.restart.textContent = "Restart";
    this.cut.textContent = "Cut off";
    this.element.append(make("div", { class: "orders" }, this.kill, this.pause, this.restart, this.cut));
  }

  /** How its process is; without a supervisor only what the events tell. */
  get state() {
    const process = this.strip.processes.get(this.lane);
    return process?.state ?? (this.strip.store.run.track.latest.down.has(this.lane) ? "down" : "running");
  }

  /** From whom nothing comes. @param {import("oarlock/state.js").Cluster} cluster */
  #cutFrom(cluster) {
    const { run } = this.strip.store;
    const others = run.servers.filter((other) => other !== this.lane);
    const gone = others.filter((other) => cluster.cut.has(`${other}>${this.lane}`));
    if (!gone.length) return "";
    if (gone.length === others.length) return " · cut off";
    return ` · cut from ${gone.map((each) => run.header.nodes?.[each] || each).join(", ")}`;
  }

  /** @param {import("oarlock/state.js").Cluster} cluster */
  draw(cluster) {
    const known = cluster.servers.get(this.lane);
    const state = this.state;
    const isUp = state === "running" || state === "starting";
    this.element.className = `server ${known && isUp ? termClass(known.term) : "term-0"} ${isUp ? "" : "off"} ${known?.role === "leader" && isUp ? "leads" : ""}`;
    this.role.textContent = !isUp ? (state === "down" ? "× down" : "❚❚ paused") : known ? `${glyph(known.role)} ${known.role.replace("_", "-")}, term ${known.term}` : state === "starting" ? "starting" : "unknown";
    const isCut = this.#cutFrom(cluster);
    this.marks.textContent = known ? `log ${lastIndex(known)} · commit ${known.commit} · applied ${known.applied}${isCut}` : "";
    if (!this.kill || !this.pause || !this.restart || !this.cut) return;
    this.kill.textContent = state === "down" ? "Start" : "Kill";
    this.pause.textContent = state === "paused" ? "Resume" : "Pause";
    this.pause.disabled = this.restart.disabled = state === "down";
    this.cut.disabled = state === "down";
  }
}

/** @param {number} value */
function short(value) {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value >= 10 ? value.toFixed(0) : value.toFixed(1);
}

/** The events as a table: whatever is drawn can be read here too. Only the rows that are seen exist. */

const ROW_HEIGHT = 26;

export class EventTable {
  /** @param {HTMLElement} element @param {import("oarlock/store.js").Store} store @param {Extras} extras */
  constructor(element, store, extras) {
    this.store = store;
    this.extras = extras;
    this.element = element;
    element.classList.add("table");
    this.body = document.createElement("div");
    element.append(this.body);
    element.parentElement?.addEventListener("scroll", () => this.draw());
    store.subscribe((shared, changed) => {
      if (changed.has("cursor") || changed.has("run") || changed.has("view")) this.draw();
    });
  }

  draw() {
    if (this.element.hidden) return;
    const run = this.store.run;
    const panel = /** @type {HTMLElement} */ (this.element.parentElement);
    const first = Math.max(0, Math.floor(panel.scrollTop / ROW_HEIGHT) - 5);
    const last = Math.min(run.length, first + Math.ceil(panel.clientHeight / ROW_HEIGHT) + 10);
    this.body.style.height = `${run.length * ROW_HEIGHT}px`;
    this.body.style.position = "relative";
    this.body.replaceChildren(...Array.from({ length: last - first }, (_, at) => this.row(first + at)));
  }

  /** @param {number} position */
  row(position) {
    const event = this.store.run.events[position];
    const row = document.createElement("div");
    row.style.cssText = `position:absolute;top:${position * ROW_HEIGHT}px;height:${ROW_HEIGHT}px;white-space:nowrap`;
    row.textContent = `${event.id} ${event.k} ${(event.r ?? []).join(" ")}`;
    row.addEventListener("click", () => this.store.goTo(position, { select: true }));
    return row;
  }
}

/** The views beside the diagram, one in front: the tabs pattern of WAI-ARIA, with one stop for the Tab key. */

import { make } from "oarlock/dom.js";

/** The views that can be in front, in the order of their tabs. */
export function viewsInTabs() {
  return [...document.querySelectorAll("#tabs [role=tab]")].map((tab) => tab.id.replace("tab-", ""));
}

export class Tabs {
  /** @param {HTMLElement} list @param {HTMLElement} panels @param {import("oarlock/store.js").Store} store */
  constructor(list, panels, store) {
    this.list = list;
    this.panels = panels;
    this.store = store;
    /** In their order, by the id of their view. @type {Map<string, {tab: HTMLElement, panel: HTMLElement}>} */
    this.all = new Map();
    list.addEventListener("keydown", (event) => this.#press(event));
    store.subscribe((shared, changed) => {
      if (changed.has("view")) this.#bringToFront(shared.view);
    });
  }

  /** Add a view. @param {string} id @param {string} name @returns {HTMLElement} What it draws into. */
  add(id, name) {
    // Until one is in front, none has reason to draw.
    const panel = make("div", { id: `panel-${id}`, role: "tabpanel", "aria-labelledby": `tab-${id}`, tabindex: 0, hidden: true });
    const tab = make("button", {
      id: `tab-${id}`, role: "tab", "aria-controls": panel.id, "aria-selected": "false", tabindex: -1,
      onclick: () => this.store.set({ view: id }),
    }, name);
    this.all.set(id, { tab, panel });
    this.list.append(tab);
    this.panels.append(panel);
    return panel;
  }

  /** @param {string} chosen */
  #bringToFront(chosen) {
    const hadFocus = this.list.contains(document.activeElement);
    for (const [id, { tab, panel }] of this.all) {
      const isChosen = id === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      panel.hidden = !isChosen;
      if (!isChosen) continue;
      if (hadFocus) tab.focus({ preventScroll: true });
      this.#show(tab);
    }
  }

  /** On narrow screens the list scrolls sideways; the page itself is to stay where it is. @param {HTMLElement} tab */
  #show(tab) {
    const { list } = this;
    const left = tab.offsetLeft;
    if (left < list.scrollLeft) list.scrollLeft = left;
    else if (left + tab.offsetWidth > list.scrollLeft + list.clientWidth) list.scrollLeft = left + tab.offsetWidth - list.clientWidth;
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const ids = [...this.all.keys()];
    const at = ids.findIndex((id) => this.all.get(id)?.tab === event.target);
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: ids.length - 1 }[event.key];
    if (at < 0 || next === undefined) return;
    // Here these keys move along the tabs, not along the run.
    event.preventDefault();
    event.stopPropagation();
    const id = ids[(next + ids.length) % ids.length];
    this.all.get(id)?.tab.focus({ preventScroll: true });
    this.store.set({ view: id });
  }
}

/** Three steps for whoever sees such a page for the first time; once closed they do not come back. */

import { make } from "oarlock/dom.js";

const CLOSED = "oarlock.welcome.closed";

/** Show them, unless this browser has seen them, or nobody is looking for the first time. */
export function welcome() {
  // A browser that a program drives has no first visit; a frame's page shows it, if anybody, to its own visitors.
  if (wasClosed() || navigator.webdriver || window.top !== window) return;
  const box = make("aside", { id: "welcome", "aria-label": "How to begin" },
    make("h2", {}, "Reading this page"),
    make("ol", {},
      make("li", {}, "Each ", make("b", {}, "lane"), " is a server, and time goes down. Colour and number are the term, the widest lane leads, lines are messages."),
      make("li", {}, "Click or touch a ", make("b", {}, "mark"), " or the end of a line, then ", make("b", {}, "Why?"), " below: the rules of Figure 2 that led to it, with their values."),
      make("li", {}, make("kbd", {}, "←"), " ", make("kbd", {}, "→"), " step, ", make("kbd", {}, "Space"), " plays, ", make("kbd", {}, "e"), " finds an election; ", make("kbd", {}, "?"), " lists all signs and keys.")),
    make("button", { onclick: () => close(box) }, "Got it"));
  document.body.append(box);
}

/** @param {HTMLElement} box */
function close(box) {
  box.remove();
  try {
    localStorage.setItem(CLOSED, "1");
  } catch { /* Where nothing can be kept it is closed for this time. */ }
}

function wasClosed() {
  try {
    return localStorage.getItem(CLOSED) !== null;
  } catch {
    return false;
  }
}

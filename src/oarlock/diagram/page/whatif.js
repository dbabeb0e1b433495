/** For a message of a simulated run: the command that runs it again with another fate for that one message. */

import { make } from "oarlock/dom.js";
import { sentId } from "oarlock/ids.js";

/** The sending that an event is about, of a run that can be repeated; undefined if there is none.
 * @param {import("oarlock/run.js").Run} run @param {TraceEvent} event */
export function messageOf(run, event) {
  if (!run.header.schedule) return undefined;
  const sent = event.k === "send" ? event : event.m ? run.find(sentId(event.m)) : undefined;
  return sent?.k === "send" ? sent : undefined;
}

/** @param {import("oarlock/run.js").Run} run @param {TraceEvent} event @returns {HTMLElement | undefined} */
export function whatIf(run, event) {
  const message = messageOf(run, event);
  if (!message) return undefined;
  const isLost = run.endsOf(message.id).some((end) => run.events[end].k === "drop");
  const command = make("code", {}, commandFor(message.id, isLost ? "--deliver" : "--drop"));
  const choices = [["lost", "--drop"], ["delivered", "--deliver"], ["50 ms late", "--delay 50"], ["doubled", "--duplicate"]];
  return make("details", { class: "whatif" },
    make("summary", {}, `What if message ${message.id} had another fate?`),
    make("p", {}, "Run the same seed again, with it ", ...choices.flatMap(([name, option], at) => [at ? " " : "", make("button", {
      onclick: () => {
        command.textContent = commandFor(message.id, option);
        void navigator.clipboard?.writeText(command.textContent);
      },
      title: "Show the command, and copy it",
    }, name)])),
    make("p", {}, command),
    make("p", { class: "hint" }, "RUN is the trace that this page was made from."));
}

/** @param {string} id @param {string} option */
function commandFor(id, option) {
  return `oarlock trace what-if RUN --message ${id} ${option} -o what-if.html`;
}

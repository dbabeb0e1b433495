/** From the bytes in the page to a run. */

import { Run } from "oarlock/run.js";
import { unpackBeside } from "oarlock/unpack.js";

/** Beyond this many events the page says that it shows only the first. */
export const MAX_EVENTS = 500_000;

/** The servers of a trace, as they are to stand side by side. @param {TraceHeader} header */
export function serverNames(header) {
  const names = header.nodes ?? {};
  return Object.keys(names).sort((a, b) => (names[a] || a).localeCompare(names[b] || b, "en", { numeric: true }));
}

/** Read a whole packed trace. @param {string} base64 @param {(events: number) => void} progress Is told how many events are read.
 * @returns {Promise<Run>} */
export async function readRun(base64, progress) {
  /** @type {Run | undefined} */
  let run;
  const page = /** @type {{oarlockUnpacker?: Worker}} */ (self);
  const worker = page.oarlockUnpacker;
  page.oarlockUnpacker = undefined; // it ends with the first run
  await unpackBeside(worker, base64, (text) => {
    run = readLines(run, text);
    progress(run.length);
  });
  if (!run) throw new Error("the trace is empty");
  return run;
}

/** Take whole lines in; the first of all is the header. @param {Run | undefined} known @param {string} text */
function readLines(known, text) {
  let run = known;
  for (let at = 0; at < text.length;) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    if (!run) run = begin(text.slice(at, end));
    else if (run.length >= MAX_EVENTS) run.truncated += 1;
    else if (end > at) run.append(JSON.parse(text.slice(at, end)));
    at = end + 1;
  }
  if (!run) throw new Error("the trace is empty");
  return run;
}

/** @param {string} line */
function begin(line) {
  const header = /** @type {TraceHeader} */ (JSON.parse(line));
  if (header.v !== 1) throw new Error(`this page reads raft-trace/1, and the file says version ${header.v}`);
  return new Run(header, serverNames(header));
}

/** From the bytes in the page, or those of a file that somebody opens in it, to a run. */

import { Run } from "oarlock/run.js";
import { bytesOf, unpack, unpackBeside } from "oarlock/unpack.js";

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

/** Read a file: a trace, gzipped or not, or a page of one. Its errors are the second half of a sentence about it.
 * @param {File} file @param {(events: number) => void} progress @returns {Promise<Run>} */
export async function readFile(file, progress) {
  /** @type {Run | undefined} */
  let run;
  await unpack(await traceIn(file), (text, isLast) => {
    // A line without its end is one that a crash cut off.
    run = readLines(run, isLast ? text.slice(0, text.lastIndexOf("\n") + 1) : text);
    progress(run.length);
  });
  if (!run) throw new Error("it is empty");
  return run;
}

/** The trace in a page, or the file itself. @param {File} file @returns {Promise<Blob>} */
async function traceIn(file) {
  if (!/^\s*<!doctype html/i.test(await file.slice(0, 100).text())) return file;
  const held = new DOMParser().parseFromString(await file.text(), "text/html").getElementById("trace")?.textContent;
  if (!held) throw new Error("it is a page without a run");
  return new Blob([bytesOf(held)]);
}

/** Take whole lines in; the first of all is the header. @param {Run | undefined} known @param {string} text */
function readLines(known, text) {
  let run = known;
  for (let at = 0; at < text.length;) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    if (!run) run = begin(text.slice(at, end));
    else if (run.length >= MAX_EVENTS) run.truncated += 1;
    else if (end > at) run.append(eventIn(text.slice(at, end), run.length + 2));
    at = end + 1;
  }
  if (!run) throw new Error("it is empty");
  return run;
}

/** @param {string} line */
function begin(line) {
  /** @type {TraceHeader} */
  let header;
  try {
    header = JSON.parse(line);
  } catch {
    throw new Error("it is no trace: its first line is no JSON");
  }
  if (typeof header?.run !== "string") throw new Error("it is no trace: its first line names no run");
  if (header.v !== 1) throw new Error(`this page reads raft-trace/1, and the file says version ${header.v}`);
  return new Run(header, serverNames(header));
}

/** @param {string} line @param {number} number Of the line, from 1. @returns {TraceEvent} */
function eventIn(line, number) {
  /** @type {unknown} */
  let reason = "it lacks id, time or kind";
  try {
    const event = JSON.parse(line);
    if (typeof event?.id === "string" && typeof event.t === "number" && typeof event.k === "string") return event;
  } catch (error) {
    reason = error instanceof Error ? error.message : error;
  }
  throw new Error(`its line ${number.toLocaleString("en")} is no event: ${reason}`);
}

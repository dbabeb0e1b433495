/** From the bytes in the page to a run. */

import { Run } from "oarlock/run.js";

/** Beyond this many events the page says that it shows only the first. */
export const MAX_EVENTS = 500_000;
/** Lines parsed before the browser gets its turn. */
const SLICE = 20_000;

/** The text of a gzipped, base64-encoded file. @param {string} base64 */
export async function unpack(base64) {
  const packed = atob(base64.trim());
  const bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at++) bytes[at] = packed.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).text();
}

/** The servers of a trace, as they are to stand side by side. @param {TraceHeader} header */
export function serverNames(header) {
  const names = header.nodes ?? {};
  return Object.keys(names).sort((a, b) => (names[a] || a).localeCompare(names[b] || b, "en", { numeric: true }));
}

/** Read a whole trace. @param {string} text @param {(done: number) => void} progress Is told the share that is done.
 * @returns {Promise<Run>} */
export async function readRun(text, progress) {
  let end = text.indexOf("\n");
  if (end < 0) end = text.length;
  const header = /** @type {TraceHeader} */ (JSON.parse(text.slice(0, end)));
  if (header.v !== 1) throw new Error(`this page reads raft-trace/1, and the file says version ${header.v}`);
  const run = new Run(header, serverNames(header));
  let at = end + 1;
  while (at < text.length) {
    for (let line = 0; line < SLICE && at < text.length; line++) {
      end = text.indexOf("\n", at);
      if (end < 0) end = text.length;
      if (end > at) {
        if (run.length >= MAX_EVENTS) run.truncated += 1;
        else run.append(JSON.parse(text.slice(at, end)));
      }
      at = end + 1;
    }
    progress(Math.min(1, at / text.length));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return run;
}

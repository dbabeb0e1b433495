/** A trace as text, piece by piece: a file, or the packed trace of a page, which a worker reads where that is allowed. */

/** @typedef {(text: string, isLast: boolean) => void} Take Is handed whole lines. */

/** Read a file, which may be gzipped. @param {Blob} file @param {Take} take */
export async function unpack(file, take) {
  const magic = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const isGzipped = magic[0] === 0x1f && magic[1] === 0x8b;
  const bytes = isGzipped ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream();
  const reader = bytes.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      rest += value;
      // Few and long pieces: each costs the page a message.
      if (rest.length < PIECE) continue;
      const end = rest.lastIndexOf("\n") + 1;
      if (end) take(flattened(rest.slice(0, end)), false);
      else if (rest.length > LONGEST_LINE) throw new Error(`it has a line of more than ${LONGEST_LINE.toLocaleString("en")} characters`);
      rest = rest.slice(end);
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
  take(flattened(rest), true);
}

/** Lines in which what events read is one string each: no two of those objects have the same fields, which costs the
 * page a third of its time to read, and few are ever asked for. @param {string} text */
function flattened(text) {
  return text.replace(/"rd":\{([^}]*)\}/g, (_, reads) => `"rd":"${reads.replaceAll('"', "")}"`);
}

const PIECE = 1_000_000;
const LONGEST_LINE = 64_000_000;

/** Unpack beside the page, which meanwhile reads what is there already.
 * @param {Worker | undefined} worker Was begun with this very module; undefined where none may be.
 * @param {string} base64 @param {Take} take @returns {Promise<void>} */
export function unpackBeside(worker, base64, take) {
  return new Promise((resolve, reject) => {
    const here = () => unpack(new Blob([bytesOf(base64)]), take).then(resolve, reject);
    if (!worker) return here();
    worker.onerror = (event) => {
      event.preventDefault();
      worker.terminate();
      void here();
    };
    worker.onmessage = ({ data }) => {
      if (data.wrong) return reject(new Error(data.wrong));
      try {
        take(data.text, data.isLast);
      } catch (error) {
        worker.terminate();
        return reject(error);
      }
      if (data.isLast) {
        worker.terminate();
        resolve();
      }
    };
    const bytes = bytesOf(base64);
    worker.postMessage(bytes, [bytes.buffer]);
  });
}

/** @param {string} base64 */
export function bytesOf(base64) {
  const packed = atob(base64.trim());
  const bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at++) bytes[at] = packed.charCodeAt(at);
  return bytes;
}

if (typeof document === "undefined") {
  self.onmessage = ({ data }) => {
    unpack(new Blob([data]), (text, isLast) => self.postMessage({ text, isLast })).catch((error) => self.postMessage({ wrong: String(error.message ?? error) }));
  };
}

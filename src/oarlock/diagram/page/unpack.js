/** The packed trace of a page as text, piece by piece; in a worker of its own, where that is allowed. */

/** @typedef {(text: string, isLast: boolean) => void} Take Is handed whole lines. */

/** Unpack a gzipped file. @param {Uint8Array<ArrayBuffer>} bytes @param {Take} take */
async function unpack(bytes, take) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")).pipeThrough(new TextDecoderStream());
  let rest = "";
  for (let reader = stream.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    rest += value;
    // Few and long pieces: each costs the page a message.
    if (rest.length < PIECE) continue;
    const end = rest.lastIndexOf("\n") + 1;
    take(flattened(rest.slice(0, end)), false);
    rest = rest.slice(end);
  }
  take(flattened(rest), true);
}

/** Lines in which what events read is one string each: no two of those objects have the same fields, which costs the
 * page a third of its time to read, and few are ever asked for. @param {string} text */
function flattened(text) {
  return text.replace(/"rd":\{([^}]*)\}/g, (_, reads) => `"rd":"${reads.replaceAll('"', "")}"`);
}

const PIECE = 1_000_000;

/** Unpack beside the page, which meanwhile reads what is there already.
 * @param {Worker | undefined} worker Was begun with this very module; undefined where none may be.
 * @param {string} base64 @param {Take} take @returns {Promise<void>} */
export function unpackBeside(worker, base64, take) {
  return new Promise((resolve, reject) => {
    const here = () => unpack(bytesOf(base64), take).then(resolve, reject);
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
function bytesOf(base64) {
  const packed = atob(base64.trim());
  const bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at++) bytes[at] = packed.charCodeAt(at);
  return bytes;
}

if (typeof document === "undefined") {
  self.onmessage = ({ data }) => {
    unpack(data, (text, isLast) => self.postMessage({ text, isLast })).catch((error) => self.postMessage({ wrong: String(error.message ?? error) }));
  };
}

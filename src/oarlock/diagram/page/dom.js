/** A few words for making elements. */

/** @param {string} tag @param {Record<string, any>} attributes @param {(Node | string | undefined)[]} children */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((each) => each !== undefined));
  return element;
}

/** Draw when something that matters changed and the panel is seen.
 * @param {HTMLElement} element @param {import("oarlock/store.js").Store} store
 * @param {string[]} names What the drawing depends on. @param {() => void} draw */
export function follow(element, store, names, draw) {
  let isStale = true;
  store.subscribe((_, changed) => {
    isStale ||= names.some((name) => changed.has(name));
    if (isStale && !element.hidden) {
      isStale = false;
      draw();
    }
  });
}

/** The class of a term's colour. @param {number} term */
export function termClass(term) {
  return `term-${term > 0 ? ((term - 1) % 8) + 1 : 0}`;
}

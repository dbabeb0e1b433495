/** The ids of events: `n2.3.187` is server, boot epoch and number; copies of a message have `#2` and so on behind it. */

/** The lane of an event, or of a message's sending. @param {string} id */
export function laneOf(id) {
  return id.slice(0, id.indexOf("."));
}

/** The id of the sending of a message or of any copy of it. @param {string} id */
export function sentId(id) {
  const mark = id.indexOf("#");
  return mark < 0 ? id : id.slice(0, mark);
}

/** What an event read, by variable: the ids of those who had written it. @param {TraceEvent} event @returns {Record<string, string>} */
export function readsOf(event) {
  if (typeof event.rd !== "string") return event.rd ?? {};
  return Object.fromEntries(event.rd.split(",").filter(Boolean).map((each) => each.split(":")));
}

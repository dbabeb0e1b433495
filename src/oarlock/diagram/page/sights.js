/** From where on each server is seen without a gap, as `diagram/sights.py` follows it: what was before cannot be judged. */

/** @typedef {"next" | "cut" | "anew" | "again"} Seen How an event joins what was seen of its server: it follows; a life
 * begins, and the end of the one before was not recorded; something is missing; or it was here before. */
/** @typedef {{epoch: number, number: number, hasEnded: boolean, since: number}} Sight `since`: the term in which the
 * server was when the view of it began that lasts until now; Infinity while its state is not known. */

/** Epoch and number of an event, or of a message's sending. @param {string} id @returns {[number, number]} */
function placeOf(id) {
  const first = id.indexOf(".");
  const second = id.indexOf(".", first + 1);
  return [Number(id.slice(first + 1, second)), Number.parseInt(id.slice(second + 1), 10)];
}

export class Sights {
  constructor() {
    /** @type {Map<string, Sight>} */
    this.sights = new Map();
    /** By server: the latest event of it that others know of, by a message. @type {Map<string, [number, number]>} */
    this.heard = new Map();
  }

  /** An event of a server comes. @param {string} lane @param {TraceEvent} event
   * @param {boolean} isLive Whether lives are numbered by the clock, and not one after the other. @returns {Seen} */
  take(lane, event, isLive) {
    const [epoch, number] = placeOf(event.id);
    const sight = this.sights.get(lane);
    if (!sight) {
      this.sights.set(lane, { epoch, number, hasEnded: event.k === "crash", since: Infinity });
      return "anew";
    }
    const isSuccessor = isLive ? (this.heard.get(lane)?.[0] ?? 0) <= sight.epoch || this.heard.get(lane)?.[0] === epoch : epoch === sight.epoch + 1;
    const seen = this.#join(sight, epoch, number, event, isSuccessor);
    if (seen === "again") return seen;
    if (seen !== "next") sight.since = Infinity;
    sight.hasEnded = event.k === "crash" || (sight.hasEnded && epoch === sight.epoch);
    sight.epoch = epoch;
    sight.number = number;
    return seen;
  }

  /** @param {Sight} sight @param {number} epoch @param {number} number @param {TraceEvent} event
   * @param {boolean} isSuccessor Whether no life between is known of. @returns {Seen} */
  #join(sight, epoch, number, event, isSuccessor) {
    if (epoch === sight.epoch) return number <= sight.number ? "again" : number === sight.number + 1 ? "next" : "anew";
    if (epoch < sight.epoch) return event.k === "restart" ? "anew" : "again"; // with another disk, lives are counted anew
    if (number > 1) return "anew";
    if (sight.hasEnded) return "next";
    return isSuccessor ? "cut" : "anew";
  }

  /** Its whole state is known now. @param {string} lane @param {number} term */
  whole(lane, term) {
    const sight = this.sights.get(lane);
    if (sight) sight.since = Math.min(sight.since, term);
  }

  /** Somebody received a message: its sender has come at least so far. @param {string} lane The sender's. @param {string} id */
  hear(lane, id) {
    const place = placeOf(id);
    const heard = this.heard.get(lane);
    if (!heard || isBefore(heard, place)) this.heard.set(lane, place);
  }

  /** The process of a server is gone, and nothing that it did is missing. @param {string} lane */
  end(lane) {
    const sight = this.sights.get(lane);
    if (sight) sight.hasEnded = true;
  }

  /** Whether a server's state is known, and nothing that others know of is missing. @param {string} lane */
  isWhole(lane) {
    return this.isWholeSince(lane, Infinity);
  }

  /** Whether all is known that a server did in a term. @param {string} lane @param {number} term */
  isWholeSince(lane, term) {
    const sight = this.sights.get(lane);
    if (!sight || sight.since === Infinity || sight.since > term) return false;
    const heard = this.heard.get(lane);
    return !heard || !isBefore([sight.epoch, sight.number], heard);
  }
}

/** @param {[number, number]} one @param {[number, number]} other */
function isBefore(one, other) {
  return one[0] < other[0] || (one[0] === other[0] && one[1] < other[1]);
}

/** Who has a vote, and what a majority is; while joint, of both halves. */

/** Whoever has a vote, by name. @param {ConfigurationView} conf */
export function votersOf(conf) {
  return [...new Set([...(conf.voters ?? []), ...(conf.outgoing ?? [])])].sort();
}

/** Whether servers are a majority. @param {ConfigurationView} conf @param {string[]} servers */
export function areMajorities(conf, servers) {
  return [conf.voters ?? [], conf.outgoing ?? []].every((half) => !half.length || half.filter((voter) => servers.includes(voter)).length * 2 > half.length);
}

/** The highest index that a majority holds. @param {string} lane The leader. @param {ServerState} state */
export function onMajority(lane, state) {
  const halves = [state.conf.voters ?? [], state.conf.outgoing ?? []].filter((half) => half.length);
  if (!state.conf.voters?.length) return 0;
  return Math.min(...halves.map((half) => half.map((voter) => (voter === lane ? state.durable : state.match[voter] ?? 0)).sort((a, b) => b - a)[Math.floor(half.length / 2)]));
}

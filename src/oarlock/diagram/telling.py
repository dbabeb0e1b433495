"""How each rule's acting is told, and why the rule is there: for people who learn the algorithm from a run.

A sentence has operands in braces, by the names of `trace/flows.py`. `{granted?yes|no}` chooses by whether one is true;
`{x}` that is `None` reads "none". The subject is the server: sentences follow its name.
"""

from typing import Final, NamedTuple


class Telling(NamedTuple):
    """One rule in words."""

    says: str
    """What the server did, as a sentence without its subject."""
    reason: str
    """What would go wrong otherwise."""


TELLINGS: Final[dict[str, Telling]] = {
    "P-1": Telling(
        "has to put its term, vote and log on disk before {message} may leave",
        "A server that forgets a vote or an entry in a crash could vote twice in a term, or lose what it acknowledged.",
    ),
    "V-1": Telling(
        "began with everything up to index {base_index} as committed",
        "What is committed is learnt again from a leader; only a snapshot is known to be committed by itself.",
    ),
    "VL-1": Telling(
        "assumed, newly elected, that every follower's log ends where its own does, at next index {next_index}",
        "A leader begins hopeful and steps back on each refusal; match index starts at 0, as nothing is proved yet.",
    ),
    "AE-1": Telling(
        "refused entries of term {term}, being in term {current_term}",
        "An old leader does not know that it was replaced. Its entries must not reach a log again.",
    ),
    "AE-2": Telling(
        "refused entries that follow index {prev_log_index} of term {prev_log_term}: it holds "
        "{held_term?term {held_term} there|no such entry}",
        "Entries are taken only on top of one that agrees. By induction two logs that agree at one entry agree on all "
        "before it.",
    ),
    "AE-3": Telling(
        "deleted its log from index {index} on: it had an entry of term {held_term} where the leader's has term "
        "{new_term}",
        "Only on a real conflict: a late message with an older prefix must not cut off entries acknowledged since.",
    ),
    "AE-4": Telling(
        "appended new entries from index {first_index} on",
        "Entries that are there already are left alone, so a repeated message changes nothing.",
    ),
    "AE-5": Telling(
        "raised its commit index from {commit_index} towards {leader_commit}, no further than the last entry the "
        "message vouches for, {last_new_index}",
        "Beyond the entries just checked its log may still differ from the leader's.",
    ),
    "RV-1": Telling(
        "refused to vote in term {term}, being in term {current_term} already",
        "A candidate of an older term has lost its election, whether it knows that or not.",
    ),
    "RV-2": Telling(
        "{granted?gave its vote|refused its vote}: its log ends at {own_log}, the candidate's at {candidate_log}, and "
        "{voted_for?it has voted for {voted_for}|it had voted for nobody}",
        "One vote a term, so two leaders of one term cannot be; and only for a log at least as up to date, so that "
        "every leader has all that is committed.",
    ),
    "ALL-1": Telling(
        "handed entries {first_index} to {last_index}, committed, to its state machine",
        "Committed entries are applied in the order of the log, each once.",
    ),
    "ALL-2": Telling(
        "learnt of term {term} while in term {current_term}, adopted it and follows",
        "Terms are a logical clock: whoever is behind is out of date, a leader too.",
    ),
    "F-1": Telling(
        "takes the message of {source}, whose term is current",
        "Only the current leader and a granted vote set the election timer anew. Otherwise servers with stale logs "
        "keep others from leading.",
    ),
    "F-2": Telling(
        "heard no leader for {waited} s and campaigns",
        "Timeouts are random, so that mostly one server campaigns alone.",
    ),
    "C-1": Telling(
        "became a candidate, leaving term {term}", "A term has at most one leader, and it begins with an election."
    ),
    "C-1a": Telling("raised its term to {term}", "A vote counts in one term alone, so each campaign needs a new one."),
    "C-1b": Telling("voted for itself, {candidate}", "It counts as its one vote of this term, and is on disk first."),
    "C-1c": Telling("set its election timer anew", "So that a campaign that finds no majority ends by itself."),
    "C-1d": Telling("asks {peer} for its vote", "All at once, and each again if it does not answer."),
    "C-2": Telling(
        "leads term {term}, with {votes} votes",
        "Two majorities share a server, and that server votes once: nobody else can lead this term.",
    ),
    "C-3": Telling(
        "follows {source}, which leads its term already",
        "AppendEntries of its own term proves that another candidate has won.",
    ),
    "C-4": Telling(
        "got no majority for {waited} s and campaigns again, in a new term",
        "Votes were split or lost. New random timeouts make the next round differ.",
    ),
    "L-1": Telling("sends a heartbeat to {peer}", "Silence makes followers campaign."),
    "L-2": Telling(
        "appended {entries} from its clients, from index {first_index} on",
        "The answer waits until the entry is committed and applied: only then it cannot be lost.",
    ),
    "L-3": Telling(
        "sends {peer} {entries} entries, from index {next_index} on",
        "Whatever the follower lacks, new or old, goes the same way.",
    ),
    "L-3a": Telling(
        "knows that {source} holds its log up to {match_index}",
        "From what was sent, not from the follower's last index, nor from next index - 1: replies come late and out of "
        "order.",
    ),
    "L-3b": Telling(
        "was refused by {source} at index {prev_log_index}, and goes back to {next_index}",
        "Somewhere before, the two logs agree; the leader looks for that place.",
    ),
    "L-4": Telling(
        "counted a majority that holds entry {index} of its own term {current_term}, and committed from {commit_index} "
        "up to it",
        "An entry of an older term on a majority is not safe by counting (Figure 8): a server with a newer entry "
        "elsewhere may still win and overwrite it. One entry of the leader's own term on top settles all before it.",
    ),
    "IS-0": Telling(
        "has compacted its log up to {base_index}, beyond entry {next_index} that {peer} needs: sends its snapshot",
        "The entries are gone; the snapshot holds what they did.",
    ),
    "IS-1": Telling("refused a snapshot of term {term}, being in term {current_term}", "As AE-1, for snapshots."),
    "IS-2": Telling(
        "began to receive a snapshot up to index {last_included_index}",
        "What was received of another is dropped.",
    ),
    "IS-3": Telling(
        "wrote {bytes} bytes of the snapshot at {offset}", "Aside: the old one stands until the new is whole."
    ),
    "IS-4": Telling(
        "waits for the snapshot's part at {next_offset}", "Parts come in order, each acknowledged on disk."
    ),
    "IS-5": Telling(
        "has the whole snapshot up to {last_included_index}, its own commit index being {commit_index}",
        "One that ends before what is committed here already is old news, and must not turn back time.",
    ),
    "IS-6": Telling(
        "keeps its log after {last_included_index}, up to {last_index}: it holds the snapshot's last entry",
        "Then the log agrees up to there, and what follows may have been acknowledged: to drop it would lose it.",
    ),
    "IS-7": Telling(
        "drops its whole log, which ended at {last_index} and does not reach or disagrees with the snapshot at "
        "{last_included_index}",
        "It lags behind or conflicts; the snapshot replaces it.",
    ),
    "IS-8": Telling(
        "set its state machine and its members to those of the snapshot at {last_included_index}",
        "The snapshot stands for everything up to its last entry, the configuration too.",
    ),
    "CL-Q1": Telling("does not lead, and sends the read on to {leader}", "Its own state may be stale."),
    "CL-Q2": Telling(
        "must commit an entry of its own term {current_term} before it can serve the read; commit index {commit_index}",
        "A new leader has all that is committed, but does not know yet how far that is.",
    ),
    "CL-Q3": Telling(
        "took {commit_index} as the read's index", "All that was acknowledged when the read came is up to there."
    ),
    "CL-Q4": Telling(
        "{confirmed?was confirmed as leader|is not yet confirmed as leader} by {confirmed_by}",
        "Without that a deposed leader, cut off, would serve what another has long changed.",
    ),
    "CL-Q5": Telling(
        "waits with the read until it has applied index {read_index}; it is at {last_applied}",
        "Committed is not yet visible in the state machine.",
    ),
    "PV-1": Telling(
        "asks first whether it could win term {term}",
        "A server that was cut off would otherwise come back with a high term and depose a good leader.",
    ),
    "PV-2": Telling(
        "{granted?would vote|would not vote} for {source} in term {term}: its log ends at {own_log}, the other's at "
        "{candidate_log}{live_leader?, and it hears a leader|}",
        "As a vote is decided, and only if no leader was heard lately; but neither term nor vote change.",
    ),
    "PV-3": Telling("could win, by {votes} answers that say so, and campaigns", "Now a real term is worth its price."),
    "PV-4": Telling(
        "would vote for {source}, its own leader", "A leader that campaigns knows best that it lost touch."
    ),
    "PV-5": Telling(
        "answered a question of term {term} with its own term {current_term}",
        "A server stuck in an old term learns the new one, and can go on.",
    ),
    "CQ-1": Telling(
        "heard from {heard} other servers in an election timeout, no majority with itself, and steps down",
        "Cut off, it can commit nothing; its clients should look elsewhere.",
    ),
    "CQ-2": Telling(
        "ignored the campaign of {source} for term {term}: it hears a live leader",
        "A server that was removed, or hears nothing, must not disturb those that do well.",
    ),
    "CQ-3": Telling(
        "told {source}, which leads the old term {term}, of its newer one",
        "So that a stale leader steps down soon.",
    ),
    "CQ-4": Telling(
        "waited {waited} s for its own disk, and steps down",
        "A leader that cannot write helps nobody; another may.",
    ),
    "FC-1": Telling(
        "refused proposals: {uncommitted_bytes} bytes wait to be committed, {bytes} more would be too many",
        "What can grow has a limit; the client is told to try later.",
    ),
    "FC-2": Telling(
        "has {messages} messages with {bytes} bytes on their way to {peer}, and sends no more for now",
        "A slow follower must not fill the leader's memory.",
    ),
    "FC-3": Telling("sends {peer} no more than {bytes} bytes in one message", "Long messages delay heartbeats."),
    "FC-4": Telling("refused a read: {reads} wait already", "What can grow has a limit."),
    "FC-5": Telling(
        "holds back the news that {commit_index} is committed, to send it with entries",
        "One message instead of two.",
    ),
    "NO-1": Telling(
        "appended an empty entry at {index}, to open its term",
        "Only entries of its own term can be committed by counting; this one comes at once.",
    ),
    "RS-1": Telling(
        "ignored a {message} that nothing it waits for explains ({detail})",
        "Replies come late, doubled and out of order; one that nothing explains is none.",
    ),
    "BT-1": Telling(
        "refuses, naming {conflict_term?term {conflict_term}, which begins|its log's end,} at index {conflict_index}",
        "The leader can step back a whole term at once.",
    ),
    "BT-2": Telling(
        "steps back to index {next_index} for {peer}, not below its match index {match_index}",
        "What is known to match is not asked again.",
    ),
    "NS-1": Telling(
        "did not count the word of {source}: it speaks from disk {disk_id}, and {admitted?disk {admitted}|no disk} is "
        "admitted",
        "A server on another disk has forgotten what it promised: its vote could elect a leader that lacks entries.",
    ),
    "NS-2": Telling(
        "admitted the disks of {servers}, first heard, in the log at {index}",
        "From then on the log says which disk's word counts, so a later one is told apart.",
    ),
    "NS-3": Telling(
        "took a step to let the word of {peer} count from another disk, {disk_id}",
        "First no disk of it counts, then the new one: quorums before and after share a server that remembers.",
    ),
    "DL-1": Telling(
        "found that {source} denies index {prev_log_index}, having acknowledged {match_index}: its disk has lost data",
        "Raft assumes disks that keep what they acknowledged. It is served anew, and the operator is told loudly.",
    ),
    "LC-1": Telling(
        "compacted its log up to {index}; it has applied {last_applied}",
        "Only what is durable elsewhere, in a snapshot or the store, may leave the log.",
    ),
    "RI-1": Telling(
        "sent the read {context} on to {leader}", "Each under its own name, so that no answer serves another."
    ),
    "RI-2": Telling(
        "counts only answers to requests sent after the read began: {confirmed_by}",
        "A late answer to an older heartbeat proves nothing about now.",
    ),
    "LT-1": Telling(
        "hands over to {to}, and takes no commands meanwhile", "The successor's log has to become complete."
    ),
    "LT-2": Telling("told {to}, whose log is complete, to campaign at once", "Before its timer would run out."),
    "LT-3": Telling(
        "campaigns at once, as {source} asked", "Voters do not hold their live leader against it this time."
    ),
    "LT-4": Telling("gave up handing over to {to}", "It took an election timeout; clients should not wait longer."),
    "LT-5": Telling(
        "appends nothing while {to} may campaign", "With an entry more than its own log others would not vote for it."
    ),
    "FL-1": Telling(
        "forgets its leader, {leader}, as it was told to",
        "It may vote for another at once, unless that leader reads by a lease that this server promised.",
    ),
    "LS-1": Telling(
        "serves the read by its lease, which holds until {lease_until}; it is {now}",
        "Within it no other can have been elected, if clocks drift no more than declared.",
    ),
    "LS-2": Telling("holds no lease, since it may have asked {to} to campaign", "The new leader need not wait for it."),
    "MC-1": Telling(
        "goes by the configuration at index {index}",
        "From the moment it is in the log, committed or not: otherwise two majorities could decide apart.",
    ),
    "MC-2": Telling(
        "needed majorities of both halves for {purpose}", "So neither the old nor the new members decide alone."
    ),
    "MC-3": Telling(
        "may not change members yet: commit index {commit_index} is not of its term {current_term}",
        "An uncommitted change of an earlier leader may still be there.",
    ),
    "MC-4": Telling(
        "may not change members yet: the change at {configuration_index} is not done, commit index {commit_index}",
        "One change at a time.",
    ),
    "MC-5": Telling(
        "changes {changed} without joint consensus", "With one voter more or less, majorities overlap anyway."
    ),
    "MC-6": Telling(
        "leaves joint consensus: the configuration at {configuration_index} is committed", "Both halves agreed."
    ),
    "MC-7": Telling(
        "steps down: the configuration at {configuration_index}, committed, is without it",
        "Its work ends with that.",
    ),
    "MC-8": Telling(
        "does not campaign: the configuration at {configuration_index} gives it no vote",
        "It would only disturb.",
    ),
    "MC-9": Telling(
        "goes on serving {peer}, which was removed and may not know it yet; it knows {knows}",
        "Otherwise it would campaign for ever.",
    ),
}
"""By rule."""

"""The rules that code, traces, tests, mutants and diagrams cite by id: every line of Figure 2 and Figure 13.

Each rule has one place in the code that fires it and at least one test that proves it. The wording is ours;
ids are stable and never reused.
"""

from enum import StrEnum

import msgspec


class Figure(StrEnum):
    """Where a rule is stated."""

    FIGURE_2 = "Raft paper (extended), Figure 2"
    FIGURE_3 = "Raft paper (extended), Figure 3"
    FIGURE_13 = "Raft paper (extended), Figure 13"
    DISSERTATION_3 = "Raft dissertation, section 3.10"
    DISSERTATION_4 = "Raft dissertation, chapter 4"
    DISSERTATION_6 = "Raft dissertation, section 6.4"
    DISSERTATION_9 = "Raft dissertation, section 9.6"
    SECTION_5_3 = "Raft paper (extended), section 5.3, and the Students' Guide"
    SECTION_6 = "Raft paper (extended), section 6"
    SECTION_7 = "Raft paper (extended), section 7"
    SECTION_8 = "Raft paper (extended), section 8"
    PRACTICE = "Established practice (etcd, hashicorp/raft)"


class Rule(msgspec.Struct, frozen=True):
    """A rule: its stable id, where it comes from, and one sentence."""

    id: str
    source: Figure
    sentence: str


_FIGURE_2 = {
    "P-1": "The current term, the vote and the log are durable before an RPC is answered.",
    "V-1": "commit_index and last_applied start at the snapshot's index and never decrease.",
    "VL-1": "A new leader sets every next_index to its last log index + 1 and every match_index to 0.",
    "AE-1": "A receiver refuses AppendEntries of an older term.",
    "AE-2": "A receiver refuses AppendEntries unless its log has prev_log_term at prev_log_index.",
    "AE-3": "An existing entry that conflicts with a new one is deleted, with all that follow it.",
    "AE-4": "New entries that are not yet in the log are appended.",
    "AE-5": "If leader_commit exceeds commit_index, that becomes min(leader_commit, index of the last new entry).",
    "RV-1": "A receiver refuses RequestVote of an older term.",
    "RV-2": "A vote is granted if none was given to another, and the candidate's log is at least as up to date.",
    "ALL-1": "While commit_index exceeds last_applied, the next entry is applied.",
    "ALL-2": "A higher term in any request or reply is adopted, the vote cleared, and the server follows.",
    "F-1": "A follower answers the RPCs of leaders and candidates.",
    "F-2": "A follower that hears no current leader and grants no vote for an election timeout campaigns.",
    "C-1": "A campaign begins: the server becomes a candidate.",
    "C-1a": "On campaigning, current_term rises by one.",
    "C-1b": "On campaigning, the candidate votes for itself.",
    "C-1c": "On campaigning, the election timer is reset.",
    "C-1d": "On campaigning, RequestVote goes to all other servers.",
    "C-2": "A candidate with votes from a majority leads.",
    "C-3": "A candidate that hears AppendEntries from its term's leader follows.",
    "C-4": "A candidate whose election times out starts a new one.",
    "L-1": "A leader sends heartbeats at once on election, then whenever idle, to prevent elections.",
    "L-2": "A leader appends a client's command to its log and answers after applying it.",
    "L-3": "If the last log index reaches a follower's next_index, entries from next_index on are sent.",
    "L-3a": "On success the follower's next_index and match_index rise.",
    "L-3b": "On a mismatch next_index is lowered and AppendEntries retried.",
    "L-4": "commit_index rises to N if a majority's match_index reaches N and entry N is of the current term.",
}

_FIGURE_3 = {
    "SP-1": "Election safety: at most one leader per term.",
    "SP-2": "Leader append-only: a leader never overwrites or deletes its own entries.",
    "SP-3": "Log matching: logs with the same index and term agree up to it.",
    "SP-4": "Leader completeness: a committed entry is in every later leader's log.",
    "SP-5": "State machine safety: no two servers apply different entries at one index.",
}

_FIGURE_13 = {
    "IS-0": "A leader sends a snapshot when the entry at next_index is no longer in its log.",
    "IS-1": "A receiver refuses InstallSnapshot of an older term.",
    "IS-2": "A chunk at offset 0 starts a new snapshot file.",
    "IS-3": "A chunk's data is written at its offset.",
    "IS-4": "Until the last chunk, the receiver answers and waits for more.",
    "IS-5": "The complete snapshot is saved, and partial or older ones are discarded.",
    "IS-6": "If the log has the snapshot's last entry, what follows it is kept.",
    "IS-7": "Otherwise the whole log is discarded.",
    "IS-8": "The state machine and the configuration are reset from the snapshot.",
}

_EXTENSIONS = {
    "CL-Q1": (
        Figure.DISSERTATION_6,
        "A server that does not lead refuses a read, or forwards it to the leader.",
    ),
    "CL-Q2": (
        Figure.DISSERTATION_6,
        "A leader serves reads only after it committed an entry of its own term.",
    ),
    "CL-Q3": (Figure.DISSERTATION_6, "The read index is the commit index when the read arrives."),
    "CL-Q4": (
        Figure.DISSERTATION_6,
        "The leader confirms by a round of heartbeats that a majority still follows it.",
    ),
    "CL-Q5": (Figure.DISSERTATION_6, "The read waits until last_applied reaches the read index."),
    "CL-Q6": (Figure.DISSERTATION_6, "The query runs against the state machine."),
    "CL-Q7": (Figure.DISSERTATION_6, "The result is returned."),
    "PV-1": (
        Figure.DISSERTATION_9,
        "Before a campaign a server asks whether it could win, at no cost of term or vote.",
    ),
    "PV-2": (
        Figure.DISSERTATION_9,
        "A pre-vote is granted only for a newer term, an up-to-date log and no live leader.",
    ),
    "PV-3": (Figure.DISSERTATION_9, "Pre-votes of a majority start the real campaign."),
    "PV-4": (
        Figure.PRACTICE,
        "A voter's own current leader may pre-campaign: it knows best that it lost touch.",
    ),
    "PV-5": (
        Figure.PRACTICE,
        "A lower-term pre-vote is answered with the own term, so that a stuck server learns it.",
    ),
    "CQ-1": (
        Figure.PRACTICE,
        "A leader that has not heard a majority within an election timeout steps down.",
    ),
    "CQ-2": (
        Figure.SECTION_6,
        "A vote is refused, and its term ignored, while a live leader was just heard.",
    ),
    "CQ-3": (
        Figure.PRACTICE,
        "A stale leader's message is answered with the newer term, so that it steps down.",
    ),
    "CQ-4": (Figure.PRACTICE, "A leader whose own disk stalls for an election timeout steps down."),
    "FC-1": (Figure.PRACTICE, "Proposals beyond the cap on uncommitted bytes are refused."),
    "FC-2": (Figure.PRACTICE, "In-flight AppendEntries to one follower are bounded in number and bytes."),
    "FC-3": (Figure.PRACTICE, "One AppendEntries carries no more entries than the message limit in bytes."),
    "FC-4": (Figure.PRACTICE, "Pending reads are bounded; more are refused."),
    "FC-5": (
        Figure.PRACTICE,
        "News of commitment that a follower does not await waits briefly for entries to go with.",
    ),
    "NO-1": (Figure.SECTION_8, "A new leader appends a no-op, so that its term can commit."),
    "RS-1": (Figure.PRACTICE, "A reply that no awaited request explains changes nothing."),
    "BT-1": (
        Figure.SECTION_5_3,
        "A refusal names the conflicting term and its first index, or the log's length.",
    ),
    "BT-2": (
        Figure.SECTION_5_3,
        "The leader skips the conflicting term whole, never to match_index or below.",
    ),
    "NS-1": (
        Figure.PRACTICE,
        "A server's vote, acknowledgement or confirmation counts only from the disk that the configuration admits.",
    ),
    "NS-2": (
        Figure.PRACTICE,
        "A leader admits the disk from which a voter is first heard: from then on its log says which one counts.",
    ),
    "NS-3": (
        Figure.DISSERTATION_4,
        "Another disk is admitted in two changes of configuration: the old one's word ends, then the new one's begins.",
    ),
    "DL-1": (
        Figure.PRACTICE,
        "A follower that denies what it acknowledged has lost data: it is served anew, and loudly.",
    ),
    "LC-1": (
        Figure.SECTION_7,
        "The log is compacted only up to what was applied and is held durably elsewhere.",
    ),
    "RI-1": (Figure.PRACTICE, "A follower forwards a read to its leader under its own context."),
    "RI-2": (Figure.PRACTICE, "Each attempt at a read is confirmed only by requests sent after it began."),
    "LT-1": (Figure.DISSERTATION_3, "A leader asked to hand over takes no more commands until its successor leads."),
    "LT-2": (Figure.DISSERTATION_3, "TimeoutNow goes to the successor once its log is complete."),
    "LT-3": (Figure.DISSERTATION_3, "On TimeoutNow a server campaigns at once, and its RequestVote is not refused."),
    "LT-4": (Figure.DISSERTATION_3, "A transfer that takes longer than an election timeout is given up."),
    "LT-5": (
        Figure.PRACTICE,
        "Once it has sent TimeoutNow a leader appends nothing of its own: the successor's log must stay complete.",
    ),
    "FL-1": (
        Figure.PRACTICE,
        "A follower told to forget its leader may vote at once, unless it has promised a lease.",
    ),
    "LS-1": (
        Figure.DISSERTATION_6,
        "Within a lease, counted from when the confirming requests left, a read needs no round.",
    ),
    "LS-2": (Figure.PRACTICE, "A leader that may have asked for another's election holds no lease."),
    "MC-1": (
        Figure.SECTION_6,
        "A configuration is in force from the moment it is in the log, and leaves with it.",
    ),
    "MC-2": (Figure.SECTION_6, "While joint, elections and commitment need majorities of both halves."),
    "MC-3": (Figure.DISSERTATION_4, "A leader changes members only after it committed an entry of its own term."),
    "MC-4": (
        Figure.DISSERTATION_4,
        "A change begins only when the one before is committed and has left joint consensus.",
    ),
    "MC-5": (Figure.DISSERTATION_4, "One voter more or less needs no joint consensus: the majorities overlap."),
    "MC-6": (Figure.SECTION_6, "When the joint configuration is committed, the leader appends the new one."),
    "MC-7": (Figure.SECTION_6, "A leader that is no member of the committed configuration steps down."),
    "MC-8": (Figure.DISSERTATION_4, "A server that a committed configuration gives no vote does not campaign."),
    "MC-9": (Figure.PRACTICE, "A removed server is served until it can know of its removal."),
}

RULES: dict[str, Rule] = {
    **{id_: Rule(id_, Figure.FIGURE_2, sentence) for id_, sentence in _FIGURE_2.items()},
    **{id_: Rule(id_, Figure.FIGURE_3, sentence) for id_, sentence in _FIGURE_3.items()},
    **{id_: Rule(id_, Figure.FIGURE_13, sentence) for id_, sentence in _FIGURE_13.items()},
    **{id_: Rule(id_, source, sentence) for id_, (source, sentence) in _EXTENSIONS.items()},
}
"""Every rule by its id."""

"""Figure 2's boxes, line by line: what is durable, AppendEntries and RequestVote, left out or bent."""

from oarlock.zoo.mutant import Edit, Mutant

_REFUSAL = '        state.fire("CQ-3", message.source, message.term)\n        _refuse(state, message)\n'

_UP_TO_DATE = "return (last_term, last_index) >= (self.last_term, self.last_index)"

_DURABLE = "if self.hard_state_is_durable and claimed_index <= self.log.durable_index:"

PERSISTENCE = (
    Mutant(
        id="votes-before-the-disk",
        breaks=("P-1", "B1"),
        bug="Replies leave before term and vote are on disk.",
        harm="safety",
        edits=(Edit("raft.state", _DURABLE, "if claimed_index <= self.log.durable_index:"),),
    ),
    Mutant(
        id="acknowledges-before-the-disk",
        breaks=("P-1", "B1"),
        bug="A follower acknowledges entries before they are on disk.",
        harm="safety",
        edits=(Edit("raft.state", _DURABLE, "if self.hard_state_is_durable:"),),
        source="etcd issue 14143",
    ),
    Mutant(
        id="asks-before-the-disk",
        breaks=("P-1", "B1"),
        bug="A candidate asks for votes before its own vote is on disk.",
        harm="safety",
        edits=(
            Edit(
                "raft.request_vote",
                "            disrupt_leader,\n        )\n        state.send_after_persist(peer, request)",
                "            disrupt_leader,\n        )\n        state.messages.append((peer, request))",
            ),
        ),
    ),
    Mutant(
        id="forgets-votes",
        breaks=("P-1", "B1"),
        bug="A vote is written only together with a new term.",
        harm="safety",
        edits=(
            Edit(
                "raft.raft",
                "        if hard_state == state.saved_hard_state:",
                "        if hard_state.current_term == state.saved_hard_state.current_term:",
            ),
        ),
    ),
    Mutant(
        id="leader-counts-its-memory",
        breaks=("P-1", "L-4"),
        bug="A leader counts itself for entries that are not on its disk yet.",
        harm="safety",
        edits=(
            Edit(
                "raft.replication",
                "match_index[state.server_id] = state.log.durable_index",
                "match_index[state.server_id] = state.log.last_index",
            ),
        ),
        source="etcd issue 14370",
    ),
    Mutant(
        id="believes-a-write-since-replaced",
        breaks=("P-1",),
        bug="A write under way counts for entries that replaced the written ones meanwhile.",
        harm="safety",
        edits=(
            Edit(
                "raft.state",
                "write.last_index = min(write.last_index, index - 1)",
                "write.last_index = max(write.last_index, 0)",
            ),
        ),
        source="openraft cecb5de8",
    ),
    Mutant(
        id="durable-index-survives-truncation",
        breaks=("P-1", "AE-3"),
        bug="What was on disk before a truncation counts as on disk for what comes after it.",
        harm="safety",
        edits=(Edit("raft.log", "self.durable_index = min(self.durable_index, index - 1)", "pass"),),
    ),
    Mutant(
        id="applies-before-the-disk",
        breaks=("P-1", "ALL-1"),
        bug="Committed entries are applied before they are on this server's disk.",
        harm="safety",
        edits=(
            Edit(
                "raft.raft",
                "return min(self.state.commit_index, self.state.log.durable_index)",
                "return self.state.commit_index",
            ),
        ),
    ),
    Mutant(
        id="starts-at-the-base",
        breaks=("V-1", "B8"),
        bug="After a restart everything since the snapshot is applied again to a machine that kept it.",
        harm="safety",
        edits=(
            Edit(
                "raft.state",
                "self.commit_index: Index = max(log.base_index, applied_index)",
                "self.commit_index: Index = log.base_index",
            ),
        ),
    ),
    Mutant(
        id="commit-index-falls",
        breaks=("V-1",),
        bug="commit_index becomes what the leader says, lower or not.",
        harm="safety",
        edits=(
            Edit("raft.state", "self.commit_index = max(self.commit_index, index)", "self.commit_index = index"),
            Edit("raft.append_entries", "if commit_index > state.commit_index:", "if commit_index >= 0:"),
        ),
    ),
    Mutant(
        id="match-index-starts-at-next",
        breaks=("VL-1", "G16"),
        bug="A new leader takes match_index for next_index - 1.",
        harm="safety",
        edits=(Edit("raft.progress", "self.match_index: Index = 0", "self.match_index: Index = next_index - 1"),),
    ),
)

APPEND_ENTRIES = (
    Mutant(
        id="goes-on-after-refusing",
        breaks=("AE-1", "G7"),
        bug="AppendEntries of an older term is refused, and carried out all the same.",
        harm="safety",
        edits=(Edit("raft.append_entries", _REFUSAL + "        return\n", _REFUSAL),),
    ),
    Mutant(
        id="stale-heartbeat-resets-timer",
        breaks=("AE-1", "F-2", "G2"),
        bug="AppendEntries of an older term resets the election timer.",
        harm="liveness",
        edits=(Edit("raft.append_entries", _REFUSAL, _REFUSAL + "        state.hear_from_leader(message.source)\n"),),
    ),
    Mutant(
        id="gap-is-no-mismatch",
        breaks=("AE-2", "G8"),
        bug="prev_log_index past the log's end is taken for a match.",
        harm="safety",
        edits=(
            Edit(
                "raft.append_entries",
                "if log.term(prev_log_index) != prev_log_term:",
                "if log.term(prev_log_index) not in (None, prev_log_term):",
            ),
        ),
    ),
    Mutant(
        id="heartbeat-skips-check",
        breaks=("AE-2", "G5", "G9"),
        bug="An AppendEntries without entries is answered with success, its previous entry unchecked.",
        harm="safety",
        edits=(
            Edit(
                "raft.append_entries",
                "if log.term(prev_log_index) != prev_log_term:",
                "if entries and log.term(prev_log_index) != prev_log_term:",
            ),
            Edit(
                "raft.append_entries",
                "commit_index = min(message.leader_commit, last_new_index)",
                "commit_index = min(message.leader_commit, last_new_index, log.last_index)",
            ),
        ),
        source="scylladb issue 9965",
    ),
    Mutant(
        id="previous-term-unchecked",
        breaks=("AE-2",),
        bug="It is enough that some entry is at prev_log_index; its term is not compared.",
        harm="safety",
        edits=(
            Edit(
                "raft.append_entries",
                "if log.term(prev_log_index) != prev_log_term:",
                "if log.term(prev_log_index) is None:",
            ),
        ),
    ),
    Mutant(
        id="always-truncates",
        breaks=("AE-3", "G6"),
        bug="Whatever follows prev_log_index is deleted, conflict or not.",
        harm="safety",
        edits=(
            Edit(
                "raft.append_entries",
                "    for entry in entries:\n        term = state.log.term(entry.index)",
                "    if entries and state.log.base_index < entries[0].index <= state.log.last_index:\n"
                "        state.truncate_log_from(entries[0].index)\n"
                "    for entry in entries:\n        term = state.log.term(entry.index)",
            ),
            Edit("raft.state", "if index <= self.commit_index:", "if index <= self.log.base_index:"),
        ),
        source="openraft issue 511, willemt/raft issue 37",
    ),
    Mutant(
        id="keeps-conflicting-entries",
        breaks=("AE-3",),
        bug="An entry that conflicts with a new one stays.",
        harm="safety",
        edits=(Edit("raft.append_entries", "        if term != entry.term:", "        if term > entry.term:"),),
    ),
    Mutant(
        id="appends-one-entry",
        breaks=("AE-4",),
        bug="Of several missing entries only the first is appended, and all are acknowledged.",
        harm="safety",
        edits=(
            Edit(
                "raft.append_entries",
                "[entry for entry in entries if entry.index >= missing]",
                "[entry for entry in entries if entry.index == missing]",
            ),
        ),
    ),
    Mutant(
        id="commits-what-was-not-verified",
        breaks=("AE-5", "G10"),
        bug="commit_index follows leader_commit up to the log's end, not to the last entry this request verified.",
        harm="safety",
        edits=(
            Edit(
                "raft.append_entries",
                "commit_index = min(message.leader_commit, last_new_index)",
                "commit_index = min(message.leader_commit, log.last_index)",
            ),
        ),
        source="scylladb issue 9965, copycat issue 265",
    ),
    Mutant(
        id="empty-message-commits-nothing",
        breaks=("AE-5",),
        bug="leader_commit is looked at only where entries come with it.",
        harm="liveness",
        edits=(
            Edit(
                "raft.append_entries",
                "if commit_index > state.commit_index:",
                "if entries and commit_index > state.commit_index:",
            ),
        ),
    ),
    Mutant(
        id="conflict-term-is-a-lie",
        breaks=("AE-2", "AE-3"),
        bug="Only the last of the new entries is compared with what the log has.",
        harm="safety",
        edits=(Edit("raft.append_entries", "    for entry in entries:", "    for entry in entries[-1:]:"),),
    ),
)

VOTES = (
    Mutant(
        id="votes-in-an-older-term",
        breaks=("RV-1",),
        bug="A vote is given to a candidate of an older term, in that term.",
        harm="safety",
        edits=(
            Edit(
                "raft.request_vote",
                '    if message.term < state.current_term:\n        state.fire("RV-1"',
                '    if message.term < 0:\n        state.fire("RV-1"',
            ),
            Edit(
                "raft.request_vote",
                "reply = RequestVoteReply(state.server_id, state.current_term,",
                "reply = RequestVoteReply(state.server_id, message.term,",
            ),
        ),
    ),
    Mutant(
        id="votes-twice",
        breaks=("RV-2",),
        bug="A vote is given to every candidate with an up-to-date log.",
        harm="safety",
        edits=(
            Edit(
                "raft.request_vote",
                "state.voted_for in (None, message.source)",
                "state.voted_for != 0",
            ),
        ),
    ),
    Mutant(
        id="votes-for-any-log",
        breaks=("RV-2",),
        bug="A vote is given whatever the candidate's log.",
        harm="safety",
        edits=(Edit("raft.log", _UP_TO_DATE, "return last_term >= 0"),),
    ),
    Mutant(
        id="longer-log-wins",
        breaks=("RV-2", "G11"),
        bug="Logs are compared by their length alone.",
        harm="safety",
        edits=(Edit("raft.log", _UP_TO_DATE, "return last_index >= self.last_index"),),
    ),
    Mutant(
        id="newer-term-wins",
        breaks=("RV-2", "G11"),
        bug="Logs are compared by their last term alone.",
        harm="safety",
        edits=(Edit("raft.log", _UP_TO_DATE, "return last_term >= self.last_term"),),
    ),
    Mutant(
        id="length-before-term",
        breaks=("RV-2", "G11"),
        bug="Logs are compared by their length first, and by their last term only where that is equal.",
        harm="safety",
        edits=(Edit("raft.log", _UP_TO_DATE, "return (last_index, last_term) >= (self.last_index, self.last_term)"),),
    ),
    Mutant(
        id="trimmed-log-has-term-zero",
        breaks=("RV-2", "B7"),
        bug="A log whose entries are all compacted says that its last term is 0.",
        harm="safety",
        edits=(
            Edit(
                "raft.log",
                "return self._entries[-1].term if self._entries else self.base.last_included_term",
                "return self._entries[-1].term if self._entries else 0",
            ),
        ),
    ),
)

RECEIVERS = (*PERSISTENCE, *APPEND_ENTRIES, *VOTES)
"""Mutants of the State, AppendEntries and RequestVote boxes."""

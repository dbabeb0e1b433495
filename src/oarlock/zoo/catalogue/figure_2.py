"""Figure 2, line by line: what happens where a rule is left out or bent."""

from oarlock.zoo.mutant import Edit, Mutant

_RESET = "    if granted:\n        state.voted_for = message.source\n        state.reset_election_timer()\n"
_LOOK = "            self._look_over_term(message)\n"
_LAST_HANDLER = "                on_install_snapshot_reply(state, state.leader, message)\n"
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

ALL_SERVERS = (
    Mutant(
        id="hands-out-twice",
        breaks=("ALL-1", "G12"),
        bug="Committed entries are handed to the applier again with the next ones.",
        harm="safety",
        edits=(Edit("raft.raft", "        state.handed_to_apply = last\n", ""),),
    ),
    Mutant(
        id="term-adopted-afterwards",
        breaks=("ALL-2", "G4"),
        bug="A message is handled first, and its higher term adopted after.",
        harm="safety",
        edits=(
            Edit("raft.raft", _LOOK + "            if message.term <", "            if message.term <"),
            Edit("raft.raft", _LAST_HANDLER, _LAST_HANDLER + _LOOK),
        ),
    ),
    Mutant(
        id="vote-outlives-its-term",
        breaks=("ALL-2",),
        bug="A higher term is adopted, and the vote of the old one kept.",
        harm="liveness",
        edits=(
            Edit(
                "raft.roles",
                "        state.current_term = term\n        state.voted_for = None\n",
                "        state.current_term = term\n",
            ),
        ),
    ),
    Mutant(
        id="stepping-down-clears-the-vote",
        breaks=("ALL-2", "B1"),
        bug="A server that steps down within a term forgets whom it voted for in it.",
        harm="safety",
        edits=(
            Edit(
                "raft.roles",
                "        state.current_term = term\n        state.voted_for = None\n",
                "        state.current_term = term\n    state.voted_for = None\n",
            ),
        ),
        source="CCF issue 8094",
    ),
    Mutant(
        id="replies-teach-no-term",
        breaks=("ALL-2",),
        bug="A higher term in a reply is not adopted.",
        harm="liveness",
        edits=(
            Edit(
                "raft.raft",
                "        if message.term <= state.current_term:\n            return\n",
                "        if message.term <= state.current_term or isinstance(message, _REPLIES):\n            return\n",
            ),
        ),
    ),
)

FOLLOWERS_AND_CANDIDATES = (
    Mutant(
        id="heartbeats-are-not-answered",
        breaks=("F-1",),
        bug="A follower answers an AppendEntries only where entries come with it.",
        harm="liveness",
        edits=(
            Edit(
                "raft.append_entries",
                "    _accept(state, message, last_new_index)",
                "    if message.entries:\n        _accept(state, message, last_new_index)",
            ),
        ),
    ),
    Mutant(
        id="refused-vote-resets-timer",
        breaks=("F-2", "G1"),
        bug="Any RequestVote resets the election timer, granted or not.",
        harm="liveness",
        edits=(Edit("raft.request_vote", _RESET, "    state.reset_election_timer()\n" + _RESET),),
    ),
    Mutant(
        id="newer-term-resets-timer",
        breaks=("F-2", "G1"),
        bug="Learning of a newer term resets the election timer, whoever brings it.",
        harm="liveness",
        edits=(
            Edit(
                "raft.roles",
                "    if deposed is not None:\n        state.reset_election_timer()\n",
                "    state.reset_election_timer()\n    if deposed is not None:\n",
            ),
        ),
    ),
    Mutant(
        id="trusts-a-leader-for-ever",
        breaks=("F-2",),
        bug="A follower that knows a leader never campaigns.",
        harm="liveness",
        edits=(
            Edit(
                "raft.request_vote",
                "state.snapshot_to_install is not None",
                "state.leader_id is not None",
            ),
        ),
    ),
    Mutant(
        id="one-timeout-for-all",
        breaks=("F-2", "B2"),
        bug="Election timeouts are not randomised.",
        harm="liveness",
        edits=(
            Edit(
                "raft.state",
                "self.config.election_timeout * (1 + self.rng.random())",
                "self.config.election_timeout * 1.5",
            ),
        ),
    ),
    Mutant(
        id="campaigns-as-a-leader",
        breaks=("C-1", "C-1a"),
        bug="A campaign that failed is begun again in the same term.",
        harm="safety",
        edits=(
            Edit("raft.roles", "    state.current_term += 1\n", "    state.current_term += state.voted_for is None\n"),
        ),
    ),
    Mutant(
        id="votes-for-nobody",
        breaks=("C-1b",),
        bug="A candidate counts its own vote without recording it, and gives another one away.",
        harm="safety",
        edits=(Edit("raft.roles", "    state.voted_for = state.server_id\n", "    state.voted_for = None\n"),),
    ),
    Mutant(
        id="campaign-leaves-timer-alone",
        breaks=("C-1c", "B4"),
        bug="A campaign does not reset the election timer, so it is begun again at once, and again.",
        harm="liveness",
        edits=(
            Edit(
                "raft.roles",
                '    state.reset_election_timer()\n    state.fire("C-1c"',
                '    state.fire("C-1c"',
            ),
        ),
    ),
    Mutant(
        id="asks-only-one",
        breaks=("C-1d",),
        bug="A candidate asks only one other server for its vote.",
        harm="liveness",
        edits=(
            Edit(
                "raft.request_vote",
                '    for peer in state.others:\n        state.fire("C-1d", peer)',
                '    for peer in state.others[:1]:\n        state.fire("C-1d", peer)',
            ),
        ),
    ),
    Mutant(
        id="half-is-a-majority",
        breaks=("C-2", "L-4"),
        bug="Of an even number of voters half is taken for a majority.",
        harm="safety",
        edits=(Edit("raft.quorum", "return voters // 2 + 1", "return (voters + 1) // 2"),),
    ),
    Mutant(
        id="refusals-count-as-votes",
        breaks=("C-2",),
        bug="A candidate counts every answer as a vote.",
        harm="safety",
        edits=(
            Edit(
                "raft.request_vote",
                "_count_vote(state, candidate, message.source, granted=message.vote_granted)",
                "_count_vote(state, candidate, message.source, granted=True)",
            ),
        ),
    ),
    Mutant(
        id="old-votes-count",
        breaks=("C-2", "RS-1", "G18", "K6"),
        bug="A vote counts in whatever campaign it arrives.",
        harm="safety",
        edits=(
            Edit(
                "raft.raft",
                "if message.term < state.current_term and isinstance(message, _REPLIES):",
                "if message.term < state.current_term and isinstance(message, AppendEntriesReply):",
            ),
            Edit("raft.request_vote", " or message.request_id != candidate.request_id:", ":"),
        ),
    ),
    Mutant(
        id="candidate-follows-nobody",
        breaks=("C-3",),
        bug="A candidate refuses AppendEntries of the leader that its own term has elected.",
        harm="liveness",
        edits=(
            Edit(
                "raft.append_entries",
                "    if message.term < state.current_term:",
                "    if message.term < state.current_term or state.role is Role.CANDIDATE:",
            ),
        ),
    ),
    Mutant(
        id="candidate-waits-for-ever",
        breaks=("C-4", "G3"),
        bug="A candidate whose election has no result starts no new one.",
        harm="liveness",
        edits=(
            Edit(
                "raft.request_vote",
                "state.snapshot_to_install is not None",
                "state.role is Role.CANDIDATE",
            ),
        ),
    ),
)

LEADERS = (
    Mutant(
        id="no-idle-heartbeats",
        breaks=("L-1",),
        bug="A leader with nothing to send sends nothing.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "heartbeat_interval:\n        leader.heartbeat_due = True",
                "heartbeat_interval:\n        leader.last_heartbeat = state.now",
            ),
        ),
    ),
    Mutant(
        id="entries-wait-for-the-heartbeat",
        breaks=("L-1", "L-3", "G13", "B3"),
        bug="What is new is sent with the next heartbeat, a new leader's first message too.",
        harm="liveness",
        edits=(
            Edit("raft.state", "self.heartbeat_due = True", "self.heartbeat_due = False"),
            Edit(
                "raft.replication",
                "        _send_entries(state, leader, peer, progress)\n    if",
                "        if leader.heartbeat_due:\n            _send_entries(state, leader, peer, progress)\n    if",
            ),
        ),
    ),
    Mutant(
        id="commits-when-it-appends",
        breaks=("L-2", "G23"),
        bug="A leader takes a command for done when it is in its own log.",
        harm="safety",
        edits=(
            Edit(
                "raft.replication",
                "    state.append_to_log(entries)\n",
                "    state.append_to_log(entries)\n    state.commit_to(state.log.last_index)\n",
            ),
        ),
    ),
    Mutant(
        id="skips-an-entry",
        breaks=("L-3",),
        bug="Entries are sent from next_index + 1 on.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "log.batch(progress.next_index, state.config.max_message_bytes)",
                "log.batch(progress.next_index + 1, state.config.max_message_bytes)",
            ),
        ),
    ),
    Mutant(
        id="match-from-todays-next",
        breaks=("L-3a", "G17"),
        bug="On success match_index becomes today's next_index - 1, not what the request held.",
        harm="safety",
        edits=(
            Edit(
                "raft.replication",
                "progress.raise_match(message.match_index",
                "progress.raise_match(progress.next_index - 1",
            ),
        ),
    ),
    Mutant(
        id="match-from-the-log's-end",
        breaks=("L-3a", "G17"),
        bug="On success match_index becomes the leader's last index.",
        harm="safety",
        edits=(
            Edit(
                "raft.replication",
                "progress.raise_match(message.match_index",
                "progress.raise_match(state.log.last_index",
            ),
        ),
    ),
    Mutant(
        id="match-index-falls",
        breaks=("L-3a", "RS-1", "G19"),
        bug="A late answer lowers match_index.",
        harm="safety",
        edits=(
            Edit(
                "raft.progress", "        is_news = match_index > self.match_index", "        is_news = match_index > 0"
            ),
        ),
    ),
    Mutant(
        id="retries-the-same",
        breaks=("L-3b",),
        bug="After a mismatch the same AppendEntries is sent again.",
        harm="liveness",
        edits=(
            Edit("raft.replication", "    progress.lower_next(next_index)", "    progress.probe_outstanding = False"),
        ),
    ),
    Mutant(
        id="counts-older-terms",
        breaks=("L-4", "G15"),
        bug="Entries of older terms are committed by counting replicas: Figure 8.",
        harm="safety",
        edits=(
            Edit(
                "raft.replication",
                "if index <= state.commit_index or state.log.term(index) != state.current_term:",
                "if index <= state.commit_index:",
            ),
        ),
    ),
    Mutant(
        id="one-copy-commits",
        breaks=("L-4",),
        bug="An entry commits as soon as any voter has it.",
        harm="safety",
        edits=(Edit("raft.quorum", "return values[majority(len(voters)) - 1]", "return values[0]"),),
    ),
    Mutant(
        id="learners-count",
        breaks=("L-4",),
        bug="Learners count for commitment.",
        harm="safety",
        edits=(
            Edit(
                "raft.quorum",
                "agreed = _agreed(configuration.voters, value_of)",
                "agreed = _agreed(configuration.voters | configuration.learners, value_of)",
            ),
        ),
    ),
    Mutant(
        id="old-acknowledgements-count",
        breaks=("RS-1", "G14", "G18"),
        bug="Answers to AppendEntries of an earlier term count in this one.",
        harm="safety",
        edits=(
            Edit(
                "raft.raft",
                "if message.term < state.current_term and isinstance(message, _REPLIES):",
                "if message.term < state.current_term and isinstance(message, RequestVoteReply | PreVoteReply):",
            ),
            Edit(
                "raft.replication",
                "if not leader.first_request_id < message.request_id <= state.request_counter:",
                "if message.request_id > state.request_counter:",
            ),
        ),
        source="openraft cecb5de8",
    ),
)

FIGURE_2 = (*PERSISTENCE, *APPEND_ENTRIES, *VOTES, *ALL_SERVERS, *FOLLOWERS_AND_CANDIDATES, *LEADERS)
"""Mutants of Figure 2's rules."""
